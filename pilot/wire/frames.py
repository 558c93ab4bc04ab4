"""STOMP 1.2 as bytes: frames written, and read piece by piece from a stranger, within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

LARGEST_HEAD_BYTES = 16_384
LARGEST_BODY_BYTES = 262_144
_ESCAPES = {"\\": "\\\\", "\r": "\\r", "\n": "\\n", ":": "\\c"}
_MEANINGS = {escape: character for character, escape in _ESCAPES.items()}
_HEAD_END = re.compile(rb"\n\r?\n")
_UNESCAPED = {"CONNECT", "CONNECTED"}  # their headers are as in STOMP 1.0, which knew no escapes


class BadFrame(Exception):
    """What came is no STOMP; one sentence says where."""


class Frame(NamedTuple):
    """One frame; of a header that comes more than once the first holds."""

    command: str
    headers: Mapping[str, str]
    body: bytes = b""


def written(frame: Frame) -> bytes:
    """The frame's bytes, its length among them. Raises BadFrame for a header that can not be written."""
    lines = [frame.command]
    for name, value in {**frame.headers, "content-length": str(len(frame.body))}.items():
        if "\0" in name + value or (frame.command in _UNESCAPED and re.search(r"[\r\n]", name + value)):
            raise BadFrame(f"the header {name!r} can not be written")
        lines.append(f"{name}:{value}" if frame.command in _UNESCAPED else f"{_escaped(name)}:{_escaped(value)}")
    return "\n".join([*lines, "", ""]).encode() + frame.body + b"\0"


class Reader:
    """The frames in a stream of bytes."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._searched = 0

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """The frames that are whole with this piece. Raises BadFrame; nothing after it can be trusted."""
        self._bytes += piece
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        if self._bytes.startswith((b"\r", b"\n")):  # heart-beats
            del self._bytes[: len(self._bytes) - len(self._bytes.lstrip(b"\r\n"))]
            self._searched = 0
        end = _HEAD_END.search(self._bytes, max(0, self._searched - 2), LARGEST_HEAD_BYTES)
        if end is None:
            self._searched = len(self._bytes)
            if len(self._bytes) >= LARGEST_HEAD_BYTES:
                raise BadFrame(f"a frame's headers have more than {LARGEST_HEAD_BYTES} bytes")
            return None
        command, headers = _head(bytes(self._bytes[: end.start()]))
        size = self._size(headers, end.end())
        if size is None or len(self._bytes) <= end.end() + size:
            return None
        body = bytes(self._bytes[end.end() : end.end() + size])
        if self._bytes[end.end() + size] != 0:
            raise BadFrame(f"the body of a {command} is not {size} bytes long, as its content-length says")
        del self._bytes[: end.end() + size + 1]
        self._searched = 0
        return Frame(command, headers, body)

    def _size(self, headers: Mapping[str, str], begin: int) -> int | None:
        """How long the body is; None when that is not known yet."""
        told = headers.get("content-length")
        if told is None:
            found = self._bytes.find(b"\0", begin, begin + LARGEST_BODY_BYTES + 1)
            size = found - begin if found >= 0 else len(self._bytes) - begin
        elif re.fullmatch(r"[0-9]{1,9}", told):
            found = size = int(told)
        else:
            raise BadFrame(f"the content-length {told[:40]!r} is no number")
        if size > LARGEST_BODY_BYTES:
            raise BadFrame(f"a frame's body has more than {LARGEST_BODY_BYTES} bytes")
        return size if found >= 0 else None


def _head(raw: bytes) -> tuple[str, dict[str, str]]:
    try:
        command, *lines = raw.decode().split("\n")
    except UnicodeDecodeError as problem:
        raise BadFrame("a frame's headers are not UTF-8") from problem
    command = command.rstrip("\r")
    if not re.fullmatch(r"[A-Z]{1,20}", command):
        raise BadFrame(f"{command[:40]!r} is no command of STOMP")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.rstrip("\r").partition(":")
        if not colon:
            raise BadFrame(f"the header {name[:40]!r} of a {command} has no colon")
        if command not in _UNESCAPED:
            name, value = _plain(name), _plain(value)
        headers.setdefault(name, value)
    return command, headers


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _plain(text: str) -> str:
    def meant(found: re.Match[str]) -> str:
        if found[0] not in _MEANINGS:
            raise BadFrame(f"{found[0]!r} in a header is no escape of STOMP")
        return _MEANINGS[found[0]]

    return re.sub(r"\\.?", meant, text)
