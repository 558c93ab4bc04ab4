"""Publish an event: TYPE and its body as JSON, from the argument, --file, or standard input (- or JSON lines).

Checked against its schema, confirmed by the broker, taken by a queue; then its id is printed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from bus.apply import Words
from bus.errors import Invalid
from bus.settings import settings
from deploy.house import words_of
from deploy.verbs.common import client


def run(
    type: Annotated[str, typer.Argument(metavar="TYPE", help="Such as site.described.v1.")],  # noqa: A002 - CloudEvents' word
    body: Annotated[str, typer.Argument(metavar="[BODY]", help="JSON; - reads JSON or JSON lines from standard input.")] = "-",
    file: Annotated[Path | None, typer.Option(help="A file of JSON or JSON lines instead.")] = None,
    subject: Annotated[str, typer.Option(help="The event's subject, where its schema does not name one.")] = "",
    event_id: Annotated[str, typer.Option("--id", help="The event's own uuid: sending it twice is sending it once.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check.")] = False,  # noqa: FBT002
) -> None:
    """Publish an event."""
    words = words_of(settings())
    if type not in words.known:
        raise Invalid(f"no schema for {type}{_suggestion(type, words)}")
    text = file.read_text(encoding="utf-8") if file else sys.stdin.read() if body == "-" else body
    bodies = list(_bodies(text, str(file or ("standard input" if body == "-" else "BODY"))))
    if event_id and len(bodies) != 1:
        raise Invalid("--id goes with one event")
    if dry_run:
        from bus.event import Event

        for value in bodies:
            words.judge(Event(type, "/dry/run", "_", value), strict=True)
        return
    with client("publish-event", words) as bus:
        for value in bodies:
            sys.stdout.write(bus.say(type, value, subject=subject or None, event_id=event_id or None).id + "\n")


def _suggestion(wanted: str, words: Words) -> str:
    import difflib

    close = difflib.get_close_matches(wanted, words.known, 1)
    return f"; did you mean {close[0]}?" if close else ""


def _bodies(text: str, where: str) -> Iterator[Any]:
    """One JSON value, or one a line. Raises Invalid with the line that is none."""
    try:
        yield json.loads(text)
    except json.JSONDecodeError as whole:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) < 2 or not lines[0][1].rstrip().endswith("}"):
            raise Invalid(f"{where}: line {whole.lineno}, column {whole.colno}: {whole.msg}") from whole
        for number, line in lines:
            try:
                yield json.loads(line)
            except json.JSONDecodeError as problem:
                raise Invalid(f"{where}: line {number}, column {problem.colno}: {problem.msg}") from problem
