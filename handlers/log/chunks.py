"""Lines as the log store keeps them, and pages made of them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LEVEL = 3  # of compression: higher ones cost twice the time for a few per cent
INFO = "info"

Line = dict[str, Any]


def numbered(written: Mapping[str, Any]) -> list[list[Any]]:
    """The lines of a log.written, each as number, at, level, text."""
    found: list[list[Any]] = []
    number = written["first_number"] - 1
    for line in written["lines"]:
        number = max(line.get("number", 0), number + 1)
        found.append([number, line["at"], line.get("level", INFO), line["text"]])
    return found


def packed(lines: Sequence[Sequence[Any]]) -> bytes:
    """The bytes that are kept."""
    return zlib.compress(json.dumps(lines, ensure_ascii=False, separators=(",", ":")).encode(), LEVEL)


def unpacked(raw: bytes) -> list[list[Any]]:
    """The lines of `packed`, or of plain JSON."""
    found: list[list[Any]] = json.loads(raw if raw.startswith(b"[") else zlib.decompress(raw))
    return found


def merged(chunks: Iterable[Mapping[str, Any]]) -> tuple[list[Line], bool]:
    """The lines after those that were seen, in the order of time, as far as that is known; and whether there are more.

    Chunks come in the order of stream and number. A stream that has more chunks than were read is known to the last line
    of these: what another has after that moment is for the next page.
    """
    streams: dict[str, list[tuple[str, str, Line]]] = {}
    unread: set[str] = set()
    for chunk in chunks:
        lines = streams.setdefault(chunk["stream"], [])
        if chunk["unread"]:
            unread.add(chunk["stream"])
        for number, at, level, text in unpacked(bytes(chunk["lines"])):
            if number <= (lines[-1][2]["number"] if lines else chunk["seen"]):
                continue  # said twice
            line = {"attempt": chunk["attempt"], "stream": chunk["stream"], "number": number, "at": at, "text": text}
            # a clock that was set back does not turn lines around
            moment = max(at, lines[-1][0]) if lines else at
            lines.append((moment, chunk["stream"], line | ({"level": level} if level != INFO else {})))
    known_until = min((streams[stream][-1][0] for stream in unread if streams[stream]), default=None)
    told = [found for lines in streams.values() for found in lines if known_until is None or found[0] <= known_until]
    told.sort(key=lambda found: found[:2])
    return [line for _, _, line in told], bool(unread)
