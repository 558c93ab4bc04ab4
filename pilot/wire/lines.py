"""Log lines on their way: numbered, bounded in memory, the oldest dropped first and the drop said."""

from __future__ import annotations

import json
import threading
from collections import deque
from typing import Any, NamedTuple

from pilot.wire.envelope import now
from schemas.rules.secrets import Scrubber

LONGEST_TEXT = 2000
MOST_IN_BATCH = 100
LAST_LINES = 20
_MOST_BATCH_BYTES = 40_000


class Stream(NamedTuple):
    """Where a line belongs: a job's attempt or the pilot itself, and std.out, std.err or pilot."""

    job_id: int | None
    attempt: int | None
    name: str


class _Line(NamedTuple):
    order: int
    number: int
    at: str
    text: str


class Lines:
    """The lines not yet handed to the broker. A gap in the numbers is a drop, and a line of the stream pilot says so."""

    def __init__(self, *, most_lines: int = 10_000, most_characters: int = 4_000_000) -> None:
        self._most_lines = most_lines
        self._most_characters = most_characters
        self._lock = threading.Lock()
        self._scrubbers: dict[Stream, Scrubber] = {}
        self._queues: dict[Stream, deque[_Line]] = {}
        self._numbers: dict[Stream, int] = {}
        self._dropped: dict[Stream, int] = {}
        self._tails: dict[tuple[int, int], deque[str]] = {}
        self._order = self._lines = self._characters = 0

    def __len__(self) -> int:
        return self._lines

    def add(self, stream: Stream, text: str) -> None:
        """The text is numbered and waits, without secrets; one longer than 2000 characters becomes several lines."""
        with self._lock:
            scrubber = self._scrubbers.setdefault(stream, Scrubber())
            clean = scrubber.line(text.replace("\x00", "\ufffd"))  # NUL is what Postgres can not keep
            for start in range(0, len(clean) or 1, LONGEST_TEXT):
                self._add(stream, clean[start : start + LONGEST_TEXT])
            if stream.job_id is not None and stream.attempt is not None and stream.name != "pilot":
                self._tails.setdefault((stream.job_id, stream.attempt), deque(maxlen=LAST_LINES)).append(clean[:LONGEST_TEXT])

    def tail(self, job_id: int, attempt: int) -> list[str]:
        """The last lines of an attempt's payload, the newest last."""
        with self._lock:
            return list(self._tails.get((job_id, attempt), ()))

    def batch(self) -> dict[str, Any] | None:
        """The next lines of one stream as the body of log.written.v1, without its pilot_id; None when none waits."""
        with self._lock:
            self._announce()
            ready = [(queue[0].order, stream) for stream, queue in self._queues.items() if queue]
            if not ready:
                return None
            stream = min(ready, key=lambda pair: pair[0])[1]
            taken = self._take(self._queues[stream])
        body: dict[str, Any] = {
            "stream": stream.name,
            "first_number": taken[0].number,
            "lines": [{"at": line.at, "text": line.text} for line in taken],
        }
        if stream.job_id is not None:
            body.update(job_id=stream.job_id, attempt=stream.attempt)
        return body

    def _add(self, stream: Stream, text: str) -> None:
        number = self._numbers[stream] = self._numbers.get(stream, 0) + 1
        self._order += 1
        self._queues.setdefault(stream, deque()).append(_Line(self._order, number, now(), text))
        self._lines += 1
        self._characters += len(text)
        while self._lines > self._most_lines or self._characters > self._most_characters:
            self._drop()

    def _drop(self) -> None:
        # the stream that holds most loses: a flood of std.out must not wash the pilot's own words away
        stream = max(self._queues, key=lambda key: len(self._queues[key]))
        line = self._queues[stream].popleft()
        self._lines -= 1
        self._characters -= len(line.text)
        self._dropped[stream] = self._dropped.get(stream, 0) + 1

    def _announce(self) -> None:
        dropped, self._dropped = self._dropped, {}
        for stream, count in dropped.items():
            own = stream._replace(name="pilot")
            self._add(own, f"{count} lines of {stream.name} were dropped here: more was written than could be sent")

    def _take(self, queue: deque[_Line]) -> list[_Line]:
        taken: list[_Line] = []
        room = _MOST_BATCH_BYTES
        while queue and len(taken) < MOST_IN_BATCH:
            size = 60 + len(json.dumps(queue[0].text))
            if taken and size > room:
                break
            room -= size
            line = queue.popleft()
            self._lines -= 1
            self._characters -= len(line.text)
            taken.append(line)
        return taken
