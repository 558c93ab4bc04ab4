"""A connection to the broker that costs next to nothing: whole messages as bytes out, bodies of replies in.

pika and kombu spend more on a message than the matcher may spend on a match, and would be what is measured.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
from typing import Any

import pika.frame
from pika import spec

from bus.login import login

REPLY_TO = b"amq.rabbitmq.reply-to"
_FRAME_BYTES = 131_072
_READ_BYTES = 1 << 18
_METHOD, _HEADER, _BODY, _END = 1, 2, 3, b"\xce"
_PUBLISH, _BASIC = (60, 40), 60
_CLOSES = {(10, 50), (20, 40)}  # Connection.Close, Channel.Close
_CONTENT_TYPE, _REPLY_TO, _USER_ID = 1 << 15, 1 << 9, 1 << 4


def message(exchange: str, routing_key: str, body: bytes, user_id: str) -> bytes:
    """A message on channel 1 as it travels, to be replied to directly."""
    method = struct.pack(">HHH", *_PUBLISH, 0) + _short(exchange.encode()) + _short(routing_key.encode()) + b"\0"
    properties = _short(b"application/cloudevents+json") + _short(REPLY_TO) + _short(user_id.encode())
    header = struct.pack(">HHQH", _BASIC, 0, len(body), _CONTENT_TYPE | _REPLY_TO | _USER_ID) + properties
    return _frame(_METHOD, method) + _frame(_HEADER, header) + _frame(_BODY, body)


def _short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def _frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, 1, len(payload)) + payload + _END


class Line:
    """One connection with one channel, which has begun to take the replies to it."""

    def __init__(self, url: str, ca_file: str) -> None:
        who = login(url)
        plain = socket.create_connection((who.host, who.port), timeout=30)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket: ssl.SSLSocket = who.tls(ca_file).wrap_socket(plain, server_hostname=who.host)
        self._rest = b""
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._hear(spec.Connection.Start)
        secret = f"\0{who.account}\0{who.secret()}"
        self._say(0, spec.Connection.StartOk({}, "PLAIN", secret, "en_US"), spec.Connection.Tune)
        self._say(0, spec.Connection.TuneOk(16, _FRAME_BYTES, 0))
        self._say(0, spec.Connection.Open(who.vhost), spec.Connection.OpenOk)
        self._say(1, spec.Channel.Open(), spec.Channel.OpenOk)
        self._say(1, spec.Basic.Consume(queue=REPLY_TO.decode(), no_ack=True), spec.Basic.ConsumeOk)
        self.socket.settimeout(None)

    def _say(self, channel: int, method: Any, answer: Any = None) -> None:
        self.socket.sendall(pika.frame.Method(channel, method).marshal())
        if answer is not None:
            self._hear(answer)

    def _hear(self, wanted: Any) -> None:
        while True:
            used, frame = pika.frame.decode_frame(self._rest)
            if frame is None:
                self._rest += self._read()
                continue
            self._rest = self._rest[used:]
            if isinstance(frame, pika.frame.Method):
                if not isinstance(frame.method, wanted):
                    raise ConnectionError(f"the broker says {frame.method}")
                return

    def _read(self) -> bytes:
        read = self.socket.recv(_READ_BYTES)
        if not read:
            raise ConnectionError("the broker has closed the connection")
        return read

    def send(self, messages: bytes) -> None:
        """On their way."""
        self.socket.sendall(messages)

    def receive(self) -> list[bytes]:
        """The bodies of what has come; waits when nothing has."""
        parts = [self._rest, self._read()]
        while self.socket.pending():
            parts.append(self._read())
        data, start, bodies = b"".join(parts), 0, []
        while len(data) - start >= 8:
            kind, _, size = struct.unpack_from(">BHI", data, start)
            end = start + 7 + size
            if end >= len(data):
                break
            if kind == _BODY:
                bodies.append(data[start + 7 : end])
            elif kind == _METHOD and struct.unpack_from(">HH", data, start + 7) in _CLOSES:
                raise ConnectionError(f"the broker says {pika.frame.decode_frame(data[start:])[1].method}")
            start = end + 1
        self._rest = data[start:]
        return bodies

    def close(self) -> None:
        """Gone; the broker forgets where replies would go."""
        self.socket.close()


def receive(lines: list[Line], timeout_s: float) -> list[bytes]:
    """The bodies of what has come by any of the lines, after at most so long."""
    ready, _, _ = select.select([line.socket for line in lines], [], [], max(0.0, timeout_s))
    return [body for line in lines if line.socket in ready for body in line.receive()]
