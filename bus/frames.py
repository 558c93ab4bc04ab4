"""AMQP's frames by hand, where many messages travel in one write and many are read at once.

A client library writes each message alone and reads each frame in three pieces; over TLS that costs more than all else.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from bus.event import CONTENT_TYPE

METHOD, HEADER, BODY = 1, 2, 3
OVERHEAD_BYTES = 8
FRAME_BYTES = 1 << 17
READ_BYTES = 1 << 16
_PUBLISH = struct.pack(">HHH", 60, 40, 0)
# in the order of their bits, which is that of the properties: content type, delivery mode, correlation, reply-to, user
_FLAGS = {"mode": 0x9000, "correlation_id": 0x0400, "reply_to": 0x0200, "user_id": 0x0010}


def short(text: str) -> bytes:
    """A short string of AMQP."""
    raw = text.encode(errors="surrogatepass")  # as py-amqp reads them: a stranger may have chosen the letters
    return bytes((len(raw),)) + raw


_CONTENT_TYPE = short(CONTENT_TYPE)


def published(
    exchange: str,
    routing_key: str,
    body: bytes,
    *,
    channel: int,
    user_id: str,
    durable: bool = False,
    correlation_id: str = "",
    reply_to: str = "",
    frame_bytes: int = FRAME_BYTES,
) -> bytes:
    """The frames of one message, whose body is in as many frames of at most so many bytes as it needs."""
    flags, values = _FLAGS["mode"], [_CONTENT_TYPE, b"\2" if durable else b"\1"]
    for name, value in (("correlation_id", correlation_id), ("reply_to", reply_to), ("user_id", user_id)):
        if value:
            flags |= _FLAGS[name]
            values.append(short(value))
    method = b"".join((_PUBLISH, short(exchange), short(routing_key), b"\0"))
    header = b"".join((struct.pack(">HHQH", 60, 0, len(body), flags), *values))
    most = frame_bytes - OVERHEAD_BYTES
    pieces = [body] if 0 < len(body) <= most else [body[at : at + most] for at in range(0, len(body), most)]
    return b"".join(
        part
        for kind, payload in ((METHOD, method), (HEADER, header), *((BODY, piece) for piece in pieces))
        for part in (struct.pack(">BHI", kind, channel, len(payload)), payload, b"\xce")
    )


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
