"""AMQP's frames by hand, where many messages travel in one write and many are read at once.

A client library writes each message alone and reads each frame in three pieces; over TLS that costs more than all else.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bus.event import CONTENT_TYPE

METHOD, HEADER, BODY = 1, 2, 3
OVERHEAD_BYTES = 8
READ_BYTES = 1 << 16
FRAME_BYTES = 1 << 17  # what RabbitMQ offers, and so what is agreed upon if nobody has set it otherwise
_PUBLISH = struct.pack(">HHH", 60, 40, 0)
# the bits of properties, in the order in which those that are there follow each other
_PROPERTIES = {
    "headers": 0x2000,
    "delivery_mode": 0x1000,
    "correlation_id": 0x0400,
    "reply_to": 0x0200,
    "message_id": 0x0080,
    "type": 0x0020,
    "user_id": 0x0010,
}
_HAS_CONTENT_TYPE = 0x8000


def short(text: str) -> bytes:
    """A short string of AMQP."""
    raw = text.encode(errors="surrogatepass")  # as py-amqp reads them: a stranger may have chosen the letters
    return bytes((len(raw),)) + raw


def _long(raw: bytes) -> bytes:
    return struct.pack(">I", len(raw)) + raw


def _table(headers: Mapping[str, str | Sequence[str]]) -> bytes:
    """A field table of strings and of arrays of strings."""
    parts = []
    for name, value in headers.items():
        texts = [b"S" + _long(text.encode()) for text in ([value] if isinstance(value, str) else value)]
        parts += [short(name), texts[0] if isinstance(value, str) else b"A" + _long(b"".join(texts))]
    return _long(b"".join(parts))


_CONTENT_TYPE = short(CONTENT_TYPE)


def published(
    exchange: str,
    routing_key: str,
    body: bytes,
    *,
    channel: int,
    frame_bytes: int = FRAME_BYTES,
    durable: bool = False,
    mandatory: bool = False,
    headers: Mapping[str, str | Sequence[str]] | None = None,
    **properties: str,
) -> bytes:
    """The frames of one message, none larger than so many bytes; properties are those of _PROPERTIES that are text."""
    flags, values = _HAS_CONTENT_TYPE, [_CONTENT_TYPE]
    encoded = {name: short(value) for name, value in properties.items() if value}
    encoded |= {"delivery_mode": b"\2" if durable else b"\1"} | ({"headers": _table(headers)} if headers else {})
    for name, flag in _PROPERTIES.items():
        if name in encoded:
            flags |= flag
            values.append(encoded[name])
    method = b"".join((_PUBLISH, short(exchange), short(routing_key), b"\1" if mandatory else b"\0"))
    header = b"".join((struct.pack(">HHQH", 60, 0, len(body), flags), *values))
    most = frame_bytes - OVERHEAD_BYTES
    bodies = [(BODY, body)] if len(body) <= most else [(BODY, body[at : at + most]) for at in range(0, len(body), most)]
    return b"".join(
        part
        for kind, payload in ((METHOD, method), (HEADER, header), *bodies)
        for part in (struct.pack(">BHI", kind, channel, len(payload)), payload, b"\xce")
    )


def in_pieces(frames: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes, joined to pieces of about this size."""
    piece: list[bytes] = []
    length = 0
    for one in frames:
        piece.append(one)
        length += len(one)
        if length >= size:
            yield b"".join(piece)
            piece, length = [], 0
    if piece:
        yield b"".join(piece)


def acknowledged(tags: Iterable[int], channel: int) -> bytes:
    """The frames that acknowledge these deliveries, each alone."""
    head = struct.pack(">BHI", METHOD, channel, 13)
    return b"".join(head + struct.pack(">HHQB", 60, 80, tag, 0) + b"\xce" for tag in tags)


class Ahead:
    """Reads for py-amqp's connection, and all that has come at once."""

    def __init__(self, connection: Any) -> None:
        self._connection, self._socket = connection, connection.transport.sock
        self._bytes, self._at = b"", 0
        connection.transport._quick_recv = self._piece  # noqa: SLF001 - where py-amqp keeps the socket's own read

    def read(self, timeout_s: float) -> None:
        """All that has come is handled; waits for the first. Raises TimeoutError, and OSError when the broker is gone."""
        if not self._has_frame():
            with self._connection.transport.having_timeout(timeout_s):
                self._bytes, self._at = self._bytes[self._at :] + self._more(), 0
        while self._has_frame():
            self._connection.blocking_read()

    def _more(self) -> bytes:
        if more := self._socket.read(READ_BYTES):
            return bytes(more)
        raise ConnectionError("the broker has closed the connection")

    def _piece(self, size: int) -> bytes:
        if self._at == len(self._bytes):
            self._bytes, self._at = self._more(), 0
        piece = self._bytes[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def _has_frame(self) -> bool:
        left = len(self._bytes) - self._at
        return left >= OVERHEAD_BYTES and bool(left >= struct.unpack_from(">I", self._bytes, self._at + 3)[0] + OVERHEAD_BYTES)
