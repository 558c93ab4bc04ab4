"""Numbered lines from the store and from the live stream, printed each once and in order; what is missing is told."""

from __future__ import annotations

import sys
import time
from typing import Any

from bus.client import Client
from deploy.verbs.common import print_line, safe, talk

HOLD_S = 3.0  # for lines that another service is just storing


class Lines:
    """What has been printed of each stream, and what waits because lines before it have not come."""

    def __init__(self, bus: Client, asked: dict[str, Any], *, as_json: bool) -> None:
        self._bus, self._asked, self._as_json = bus, asked, as_json
        self._seen: dict[str, int] = {}
        self._held: list[dict[str, Any]] = []
        self._held_since = 0.0
        self._asked_at = 0.0

    def catch_up(self, *, final: bool) -> None:
        """All that is stored has been printed; when it is final, a gap is a gap."""
        more = True
        known = dict(self._seen)
        while more:
            page = self._bus.ask(*self._question(known))
            for line in page["lines"]:
                known[_key(line)] = line["number"]
                self._hold(line)
            more = page["more"]
            self._flush(gaps=final or more)  # before the end of what is stored, what is missing will not come any more
        self._asked_at = time.monotonic()

    def take(self, written: dict[str, Any]) -> None:
        """Lines as they were streamed have been printed, or are held until those before them have come."""
        number = written["first_number"] - 1
        for line in written["lines"]:
            number = line.get("number", number + 1)
            self._hold({**line, "attempt": written.get("attempt", 0), "stream": written["stream"], "number": number})
        self._flush(gaps=False)

    def go_on(self) -> None:
        """Lines that were missed have been asked for; what has not come for seconds is told to be missing."""
        if not self._held:
            return
        if time.monotonic() > self._asked_at + 1.0:
            self.catch_up(final=False)
        if self._held and time.monotonic() > self._held_since + HOLD_S:
            self._flush(gaps=True)

    def _question(self, known: dict[str, int]) -> tuple[str, dict[str, Any]]:
        if "pilot_id" in self._asked:
            return "log.read_pilot.v1", {**self._asked, "after": known.get("0/pilot", 0)}
        return "log.read.v1", {**self._asked, "after": known}

    def _hold(self, line: dict[str, Any]) -> None:
        wanted = all(self._asked.get(name, line[name]) == line[name] for name in ("stream", "attempt"))
        if wanted and line["number"] > self._seen.get(_key(line), 0):
            if not self._held:
                self._held_since = time.monotonic()
            self._held.append(line)

    def _flush(self, *, gaps: bool) -> None:
        """Lines whose turn it is are printed in the order in which they were told, which is the order of time."""
        while self._held:
            before, self._held = self._held, []
            for line in before:
                last = self._seen.get(_key(line), 0)
                if line["number"] == last + 1:
                    self._print(line)
                elif line["number"] > last:
                    self._held.append(line)
            if len(self._held) == len(before):
                if not gaps:
                    return
                self._over_gap()

    def _over_gap(self) -> None:
        """The first line that waits, of its stream the lowest, is printed; what is missing before it will not come."""
        key = _key(self._held[0])
        line = min((held for held in self._held if _key(held) == key), key=lambda held: int(held["number"]))
        self._held.remove(line)
        self._print_gap(line, line["number"] - self._seen.get(key, 0) - 1)
        self._print(line)

    def _print_gap(self, line: dict[str, Any], count: int) -> None:
        if self._as_json:
            print_line({"attempt": line["attempt"], "stream": line["stream"], "missing": count, "before": line["number"]})
        else:
            sys.stdout.flush()
            talk.print(f"… {count} lines of {line['stream']} are missing …")

    def _print(self, line: dict[str, Any]) -> None:
        self._seen[_key(line)] = line["number"]
        if self._as_json:
            print_line({name: line[name] for name in ("attempt", "stream", "number", "at", "level", "text") if name in line})
        else:
            sys.stdout.write(f"{'[pilot] ' if line['stream'] == 'pilot' else ''}{safe(line['text'])}\n")
            sys.stdout.flush()


def _key(line: dict[str, Any]) -> str:
    return f"{line['attempt']}/{line['stream']}"
