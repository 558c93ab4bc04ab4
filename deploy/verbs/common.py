"""What the verbs share: exit codes, the connection, ids, output for people and for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bus.account import client_settings, told
from bus.apply import Words
from bus.client import Client
from bus.errors import Invalid
from bus.jobs import all_of
from bus.session import Session
from bus.settings import Settings
from schemas.rules.selection import MOST_IDS, Range, ids, joined

JOBS_FAILED, USAGE, NOT_FOUND, DENIED, UNAVAILABLE, PARTIAL, CONFLICT = 1, 2, 3, 4, 5, 6, 7
CODES = {"invalid": USAGE, "not_found": NOT_FOUND, "denied": DENIED, "unavailable": UNAVAILABLE, "conflict": CONFLICT}
FINAL = ("Done", "Failed", "Killed", "Deleted")
WIDE = 240  # columns where there is no terminal to fit into

talk = Console(stderr=True, highlight=False)
data = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


class Failure(Exception):
    """One sentence and the exit code that goes with it."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


def door_settings() -> Settings:
    """Settings in which the door is named. Raises Failure."""
    found = told()
    if not found.door_url:
        raise Failure("no door is set: start one with `pilotbus up`, or set PILOTBUS_DOOR_URL", UNAVAILABLE)
    return found


def client(component: str, words: Words | None = None) -> Client:
    """A client, to be entered."""
    found = client_settings()
    return Client(found.client_amqp_url, found.ca_file, component=component, words=words)


def session(component: str) -> Session:
    """A session, connected."""
    found = client_settings()
    return Session(found.client_amqp_url, found.ca_file, component=component)


def job_ranges(words: Iterable[str]) -> list[Range]:
    """The ranges of such words as 17 and 17-40; `-` reads words from standard input. Raises Invalid, naming the word."""
    found: list[Range] = []
    for word in words:
        if word == "-":
            piped = job_ranges(sys.stdin.read().split())
            if not piped:
                raise Invalid("there are no job ids on standard input")
            found += piped
            continue
        named = re.fullmatch(r"([0-9]{1,20})(?:-([0-9]{1,20}))?", word)
        if named is None:
            raise Invalid(f"{word} is no job id; write 17, or 17-40 for a range")
        first, last = int(named[1]), int(named[2] or named[1])
        if not 1 <= first <= last < 2**53 or last - first >= MOST_IDS:
            raise Invalid(f"{word} is no range of job ids")
        found.append((first, last))
    return joined(found)


def job_ids(words: Iterable[str]) -> list[int]:
    """The ids of such words, each once, in order. Raises Invalid."""
    return list(ids(job_ranges(words)))


def one_job(word: str) -> int:
    """The id of such a word, which names one job. Raises Invalid."""
    found = job_ids([word])
    if len(found) != 1:
        raise Invalid(f"{word} is more than one job; name one")
    return found[0]


def jobs_of(bus: Client, ids: Sequence[int], **asked: Any) -> list[dict[str, Any]]:
    """All jobs asked for, however many pages that takes. Raises Refused when an id is nobody's or another's."""
    return list(all_of(bus, ids, **asked))


def print_json(value: Any) -> None:
    """One document on standard output."""
    sys.stdout.write(json.dumps(value, indent=None if isinstance(value, str) else 2) + "\n")


def print_rows(name: str, rows: Iterable[Any], rest: Callable[[], dict[str, Any]]) -> None:
    """One document with a list of this name, written while its rows come, and with the rest, which is known then."""
    sys.stdout.write(f'{{"{name}": [')
    for number, row in enumerate(rows):
        sys.stdout.write(("," if number else "") + "\n  " + json.dumps(row))
    sys.stdout.write("\n]" + "".join(f', "{key}": {json.dumps(value)}' for key, value in rest().items()) + "}\n")


def print_line(value: Any) -> None:
    """One JSON line on standard output, at once."""
    sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def safe(text: object) -> str:
    """Text of strangers for a terminal: control characters are shown, not obeyed."""
    return "".join(letter if letter.isprintable() or letter == "\t" else f"\\x{ord(letter):02x}" for letter in str(text))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table for people, on standard output; plain columns where it is no terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(safe(cell)) for cell in row))  # not markup, which strangers could write too
    data.print(table)


def progress() -> Progress:
    """A progress bar on standard error, and only on a terminal; data go where they went."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # of its own accord it would take standard output for its own, also where that is a file or a pipe
    own = sys.stdout.isatty()
    return Progress(*columns, console=talk, disable=not talk.is_terminal, transient=True, redirect_stdout=own)
