"""Many pilots on one connection, each in its own name: AMQP frames written many at a time and read as they come.

The account has RabbitMQ's tag `impersonator`, by which the broker lets it say whose message it is; a bench's broker only.
Written by hand because a client library would cost more than the services that are measured.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import ssl
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import amqp
import requests

from bus.frames import BODY, HEADER, METHOD, OVERHEAD_BYTES, published
from bus.login import login
from bus.settings import Settings
from bus.transport import REPLY_TO
from handlers.token.issuer import Issuer

ACCOUNT = "crowd"
_EXCHANGES = ("ingress", "requests")
_ENDS = {(10, 50), (20, 40)}
_BEAT_S = 10.0
_READ_BYTES = 1 << 18


@contextlib.contextmanager
def impersonator(told: Settings, pilots: str = "") -> Iterator[str]:
    """The address of an account that may speak as any pilot, or as those alone whose accounts are of this pattern.

    The account is gone after the block.
    """
    where, vhost, secret = urlsplit(told.amqp_url), login(told.amqp_url).vhost, secrets.token_urlsafe(24)
    place = f"{quote(vhost, safe='')}/{ACCOUNT}"
    issuer = Issuer(told.issuer_dir, told.door_url, vhost)

    def call(method: str, path: str, body: Any = None) -> None:
        auth = ("-", issuer.management().text)
        url = f"{told.management_url}/api/{path}"
        requests.request(method, url, json=body, auth=auth, verify=told.ca_file, timeout=30).raise_for_status()

    call("PUT", f"users/{ACCOUNT}", {"password": secret, "tags": "impersonator"})
    try:
        rights = {"configure": "^$", "write": f"^({'|'.join(_EXCHANGES)})$", "read": "^$"}
        call("PUT", f"permissions/{place}", rights)
        for exchange in _EXCHANGES if pilots else ():
            keys = f"^{pilots}\\.[A-Za-z0-9._-]+$"
            call("PUT", f"topic-permissions/{place}", {"exchange": exchange, "write": keys, "read": "^$"})
        yield urlunsplit(("amqps", f"{ACCOUNT}:{secret}@{where.hostname}:{where.port}", where.path, "", ""))
    finally:
        call("DELETE", f"users/{ACCOUNT}")


class Line:
    """One connection; `say`, `ask` and `add` only gather, `flush` sends what was gathered, `replies` gives what has come."""

    def __init__(self, url: str, ca_file: str, frame_bytes: int = 1 << 17) -> None:
        who = login(url)
        secured = {"ca_certs": ca_file or None, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": who.host}
        about = {"virtual_host": who.vhost, "ssl": secured, "login_method": "PLAIN", "heartbeat": 60, "frame_max": frame_bytes}
        self._connection = amqp.Connection(f"{who.host}:{who.port}", who.account, who.secret(), **about)
        self._connection.connect()
        channel = self._connection.channel()
        channel.basic_consume(REPLY_TO, no_ack=True)
        self.socket: ssl.SSLSocket = self._connection.transport.sock
        self.socket.setblocking(False)
        self._out, self._in = bytearray(), bytearray()
        self._correlation, self._left = b"", 0
        self._body = bytearray()
        self._beat_at_s = 0.0

    def close(self) -> None:
        """Closed, whatever the broker says to it."""
        self.socket.close()

    def say(self, account: str, key: str, body: bytes) -> None:
        """An event is on its way to the gate; durable and not confirmed."""
        self._out += published("ingress", f"{account}.{key}", body, channel=1, user_id=account, durable=True)

    def ask(self, account: str, key: str, body: bytes, correlation: str) -> None:
        """A request is on its way; `replies` will name its correlation."""
        named = f"{account}.{key}"
        self._out += published("requests", named, body, channel=1, user_id=account, correlation_id=correlation, reply_to=REPLY_TO)

    def add(self, frames: bytes) -> None:
        """These messages, as `bus.frames.published` has written them on channel 1, are on their way."""
        self._out += frames

    def flush(self) -> bool:
        """Whether all that was gathered is with the broker; if not, it takes no more for now."""
        if time.monotonic() > self._beat_at_s:
            self._beat_at_s = time.monotonic() + _BEAT_S
            self._out += b"\x08\0\0\0\0\0\0\xce"
        while self._out:
            try:
                sent = self.socket.send(memoryview(self._out)[: 1 << 16])
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return False
            del self._out[:sent]
        return True

    def replies(self) -> Iterator[tuple[str, bytes]]:
        """Correlation and body of each reply that has come. Raises ConnectionError when the broker ends it."""
        while True:
            try:
                piece = self.socket.recv(_READ_BYTES)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            if not piece:
                raise ConnectionError("the broker has closed the connection")
            self._in += piece
        at, end = 0, len(self._in)
        while end - at >= OVERHEAD_BYTES:
            kind, _channel, size = struct.unpack_from(">BHI", self._in, at)
            if end - at < size + OVERHEAD_BYTES:
                break
            found = self._frame(kind, bytes(self._in[at + 7 : at + 7 + size]))
            at += size + OVERHEAD_BYTES
            if found is not None:
                yield self._correlation.decode(), found
        del self._in[:at]

    def _frame(self, kind: int, payload: bytes) -> bytes | None:
        """The body of the reply that is whole with this frame."""
        if kind == METHOD and struct.unpack_from(">HH", payload) in _ENDS:
            raise ConnectionError(f"the broker ends it: {payload!r:.300}")
        if kind == HEADER:
            (self._left,) = struct.unpack_from(">Q", payload, 4)
            self._correlation = _correlation_of(payload)
            self._body.clear()
        elif kind == BODY:
            self._body += payload
            self._left -= len(payload)
            if not self._left:
                return bytes(self._body)
        return None


def send(lines: Sequence[Line]) -> None:
    """All that was gathered is with the broker."""
    left = [line for line in lines if not line.flush()]
    while left:
        select.select([], [line.socket for line in left], [])
        left = [line for line in left if not line.flush()]


def receive(lines: Sequence[Line], timeout_s: float) -> list[bytes]:
    """The bodies of the replies that have come by any of the lines, after at most so long."""
    ready, _, _ = select.select([line.socket for line in lines], [], [], max(0.0, timeout_s))
    return [body for line in lines if line.socket in ready for _, body in line.replies()]


def _correlation_of(header: bytes) -> bytes:
    """The correlation id among a header's properties."""
    (flags,) = struct.unpack_from(">H", header, 12)
    at = 14
    for flag in (0x8000, 0x4000):  # content type and encoding
        at += 1 + header[at] if flags & flag else 0
    if flags & 0x2000:  # headers
        at += 4 + int(struct.unpack_from(">I", header, at)[0])
    at += bool(flags & 0x1000) + bool(flags & 0x0800)  # delivery mode and priority
    return header[at + 1 : at + 1 + header[at]] if flags & 0x0400 else b""
