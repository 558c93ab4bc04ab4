"""Print what a job has written; with -f, go on until it is over. The lines are numbered by the pilot, so gaps show."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from bus.client import Client
from deploy.verbs.common import FINAL, Json, client, job_ids, jobs_of, print_line, safe, talk


def run(
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job id.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job is over.")] = False,  # noqa: FBT002
    stream: Annotated[str, typer.Option(help="Only std.out, std.err or pilot.")] = "",
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Print what a job has written."""
    (job_id,) = job_ids([job])
    shown = Lines(stream, as_json=json)
    with client("logs") as bus:
        if follow:
            bus.follow_own(f"log.stored.v1.{job_id}", f"job.*.v1.{job_id}")
        over = jobs_of(bus, [job_id])[0]["state"] in FINAL
        shown.catch_up(bus, job_id)
        while follow and not over:
            for event in bus.events():
                if event.type == "log.stored.v1":
                    shown.take(event.data)
                over = over or event.type.split(".")[1].capitalize() in FINAL
        if follow:
            shown.catch_up(bus, job_id)


class Lines:
    """Prints each line once, in the order of its stream, and says where lines are missing."""

    def __init__(self, stream: str, *, as_json: bool) -> None:
        self._stream, self._as_json = stream, as_json
        self._seen: dict[str, int] = {}

    def catch_up(self, bus: Client, job_id: int) -> None:
        """All that is stored has been printed."""
        more = True
        while more:
            page = bus.ask("log.read.v1", {"job_id": job_id, "after": self._seen})
            for line in page["lines"]:
                self._print(line["attempt"], line["stream"], line["number"], line["at"], line["text"])
            more = page["more"]

    def take(self, written: dict[str, Any]) -> None:
        """Lines as they were streamed have been printed."""
        for place, line in enumerate(written["lines"]):
            number = written["first_number"] + place
            self._print(written.get("attempt", 0), written["stream"], number, line["at"], line["text"])

    def _print(self, attempt: int, stream: str, number: int, at: str, text: str) -> None:
        key = f"{attempt}/{stream}"
        last = self._seen.get(key, 0)
        if number <= last:
            return
        self._seen[key] = number
        if self._stream and stream != self._stream:
            return
        if number > last + 1:
            talk.print(f"… {number - last - 1} lines of {stream} are missing")
        if self._as_json:
            print_line({"attempt": attempt, "stream": stream, "number": number, "at": at, "text": text})
        else:
            sys.stdout.write(f"{'[pilot] ' if stream == 'pilot' else ''}{safe(text)}\n")
            sys.stdout.flush()
