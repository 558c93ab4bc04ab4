"""The lines of one stream that wait: blocks in order, each in memory or on disk, none larger than a message."""

from __future__ import annotations

import json
from collections import deque
from typing import Any, NamedTuple, Optional

from pilot.wire.line_spool import Place
from schemas.rules.log_levels import DEBUG, INFO
from schemas.rules.secrets import Scrubber

LONGEST_TEXT = 2000
MOST_IN_BATCH = 200
MOST_BATCH_BYTES = 40_000
_AROUND = 60  # what a line has beside its text in a message
_escaped = json.encoder.encode_basestring_ascii


class Stream(NamedTuple):
    """Where a line belongs: a job's attempt or the pilot itself, and std.out, std.err or pilot."""

    job_id: int | None
    attempt: int | None
    name: str


class Line(NamedTuple):
    """One line with its number in its stream."""

    number: int
    at: str
    level: str
    text: str


def size_of(text: str) -> int:
    """What a line takes in a message."""
    return _AROUND + len(_escaped(text))


class Block:
    """Lines that are sent, spilled and dropped together."""

    __slots__ = ("count", "debug", "kept", "lines", "order", "place", "size")

    def __init__(self, order: int, *, kept: bool = False) -> None:
        self.order = order
        self.kept = kept  # says what was dropped, and is not dropped itself
        self.lines: Optional[list[Line]] = []
        self.place: Optional[Place] = None
        self.count = self.debug = self.size = 0

    def put(self, line: Line, size: int) -> None:
        """The line is its last."""
        if self.lines is not None:
            self.lines.append(line)
            self.count += 1
            self.size += size
            self.debug += line.level == DEBUG

    def takes(self, size: int) -> bool:
        """Whether a further line of this size has room."""
        return self.lines is not None and not self.kept and self.count < MOST_IN_BATCH and self.size + size <= MOST_BATCH_BYTES

    def fill(self, lines: list[Line]) -> None:
        """These are its lines, in memory."""
        self.lines, self.place = [], None
        self.count = self.debug = self.size = 0
        for line in lines:
            self.put(line, size_of(line.text))


def pack(lines: list[Line]) -> bytes:
    """Lines as they are on disk."""
    return json.dumps(lines, separators=(",", ":")).encode()


def unpack(raw: bytes) -> list[Line]:
    """The lines of `pack`."""
    return [Line(*found) for found in json.loads(raw)]


class Queue:
    """One stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.scrubber = Scrubber()
        self.number = 0
        self.blocks: deque[Block] = deque()
        self.in_memory = 0  # bytes
        self.on_disk = 0


def body_of(lines: list[Line]) -> dict[str, Any]:
    """Lines as log.written.v1 has them: a level where it is not info, a number where the one before it is missing."""
    told: list[dict[str, Any]] = []
    expected = lines[0].number
    for line in lines:
        said: dict[str, Any] = {"at": line.at, "text": line.text}
        if line.level != INFO:
            said["level"] = line.level
        if line.number != expected:
            said["number"] = line.number
        expected = line.number + 1
        told.append(said)
    return {"first_number": lines[0].number, "lines": told}
