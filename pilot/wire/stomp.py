"""One STOMP 1.2 connection over TLS: a receipt for everything, requests by direct reply-to. The standard library only."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Callable, Optional
from urllib.parse import quote

from pilot.wire.dial import PATIENCE_S, dial
from pilot.wire.envelope import CONTENT_TYPE, encode
from pilot.wire.frames import BadFrame, Frame, Reader, written
from pilot.wire.login import Broker, Login
from pilot.wire.outbox import Outbox
from pilot.wire.session import (
    HEARTBEAT_S,
    RENEWED,
    REPLY_TO,
    REQUESTS,
    TELEMETRY,
    TICK_S,
    UNCONFIRMED_S,
    Conversation,
    LoginRefused,
)

_LEAVE_S = 2.0
_PIECE_BYTES = 65_536
_LONGEST_REASON = 500


class _Ended(Exception):
    """The connection is over; why, in one sentence."""


class Session:
    """One connection from its opening to its end. run() is its thread; poke(), renew() and end() are for all others."""

    def __init__(
        self, broker: Broker, login: Login, outbox: Outbox, ready: Callable[[], None], complain: Callable[[str], None]
    ) -> None:
        self._broker = broker
        self._login = login
        self._ready = ready
        self._talk = Conversation(outbox, self._send, complain)
        self._unconfirmed: dict[str, tuple[str, float]] = {}
        self._reader = Reader()
        self._to_write = bytearray()
        self._wrote = self._heard = time.monotonic()
        self._beat_s = self._silence_s = float("inf")
        self._subscription = ""
        self._serving = False
        self._socket: Any = None
        self._waker: Optional[socket.socket] = None
        self._lock = threading.Lock()
        self._told_to_end = False
        self._renewed = False

    def run(self) -> str:
        """Serve one connection until it ends; why it ended, RENEWED when only the token did. Raises LoginRefused."""
        try:
            with contextlib.closing(self._connected()) as self._socket, self._pipe() as woken:
                return self._served(woken)
        except (_Ended, BadFrame) as problem:
            return str(problem)
        except (OSError, UnicodeError) as problem:  # a host's name may be none that DNS can ask for
            return str(problem) or "it closed the connection"

    def poke(self) -> None:
        """The connection, if there is one, looks for new things to send."""
        with self._lock, contextlib.suppress(BlockingIOError):  # a full pipe has woken it already
            if self._waker is not None:
                self._waker.send(b"!")

    def renew(self, login: Login) -> None:
        """All that is out is confirmed, then the connection ends as RENEWED: STOMP has no way to show another token."""
        self._renewed = login.password != self._login.password
        self.poke()

    def end(self) -> None:
        """The connection is closed as soon as its thread gets to it."""
        self._told_to_end = True
        self.poke()

    @contextlib.contextmanager
    def _pipe(self) -> Iterator[socket.socket]:
        """The end of a pipe that can be read when somebody pokes."""
        near, far = socket.socketpair()
        with near, far:
            near.settimeout(0)
            far.settimeout(0)
            self._waker = far
            try:
                yield near
            finally:
                with self._lock:
                    self._waker = None

    def _connected(self) -> ssl.SSLSocket:
        try:
            tls = self._login.tls()
        except OSError as problem:  # the file of the authority is missing or unreadable
            raise _Ended(f"{self._login.ca_file}: {problem.strerror or problem}") from problem
        line = dial(self._broker.host, self._broker.port)
        try:
            line.settimeout(PATIENCE_S)
            return tls.wrap_socket(line, server_hostname=self._broker.host)
        except BaseException:
            line.close()
            raise

    def _served(self, woken: socket.socket) -> str:
        self._socket.settimeout(0)
        beat_ms = int(HEARTBEAT_S * 1000)
        self._write(
            Frame(
                "CONNECT",
                {
                    "accept-version": "1.2",
                    "host": self._broker.vhost,
                    "heart-beat": f"{beat_ms},{beat_ms}",
                    "login": self._login.user,
                    "passcode": self._login.password,
                },
            )
        )
        began = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(woken, selectors.EVENT_READ)
            selector.register(self._socket, selectors.EVENT_READ)
            while True:
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._to_write else 0)
                selector.modify(self._socket, wanted)
                selector.select(TICK_S)
                with contextlib.suppress(BlockingIOError):
                    woken.recv(_PIECE_BYTES)
                self._step()
                if not self._serving and time.monotonic() - began > PATIENCE_S:
                    raise _Ended("it does not answer")
                if self._told_to_end or (self._renewed and self._quiet()):
                    self._leave()
                    return "the pilot leaves" if self._told_to_end else RENEWED

    def _step(self) -> None:
        """Whatever came is read, and whatever may be sent is on its way."""
        self._read()
        if self._renewed:
            self._talk.finish()
        if self._serving:
            self._talk.pump()
        moment = time.monotonic()
        if moment - self._heard > self._silence_s:
            raise _Ended("it has gone silent")
        if self._unconfirmed and moment - next(iter(self._unconfirmed.values()))[1] > UNCONFIRMED_S:
            raise _Ended(f"it has confirmed nothing for {UNCONFIRMED_S} s")
        if not self._to_write and moment - self._wrote > self._beat_s:
            self._to_write += b"\n"
        self._flush()

    def _quiet(self) -> bool:
        return self._serving and not self._unconfirmed and not self._to_write

    def _leave(self) -> None:
        """The broker has taken all that was written, or does not say so in time."""
        receipt = self._write(Frame("DISCONNECT", {"receipt": uuid.uuid4().hex}))
        self._unconfirmed[receipt] = "", time.monotonic()
        until = time.monotonic() + _LEAVE_S
        with contextlib.suppress(OSError, _Ended), selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while receipt in self._unconfirmed and time.monotonic() < until:
                self._flush()
                selector.select(0.05)
                self._read()

    def _read(self) -> None:
        while True:
            try:
                piece = self._socket.recv(_PIECE_BYTES)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            if not piece:
                raise _Ended("it closed the connection")
            self._heard = time.monotonic()
            for frame in self._reader.feed(piece):
                self._take(frame)

    def _flush(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while self._to_write:
                del self._to_write[: self._socket.send(self._to_write[:_PIECE_BYTES])]
                self._wrote = time.monotonic()

    def _write(self, frame: Frame) -> str:
        self._to_write += written(frame)
        return frame.headers.get("receipt", "")

    def _take(self, frame: Frame) -> None:
        if frame.command == "CONNECTED":
            self._let_in(frame.headers)
        elif frame.command == "RECEIPT":
            self._confirmed(frame.headers.get("receipt-id", ""))
        elif frame.command == "MESSAGE":
            self._talk.replied(frame.headers.get("correlation-id", ""), frame.body)
        elif frame.command == "ERROR":
            self._refused(frame)
        else:
            raise BadFrame(f"{frame.command} is nothing that a broker says")

    def _let_in(self, headers: Mapping[str, str]) -> None:
        if headers.get("version") != "1.2":
            raise _Ended("it does not speak STOMP 1.2")
        sends, wants = _beats(headers.get("heart-beat", "0,0"))
        # a crowded node is late now and then: twice as often as promised, and twice as patient as agreed
        self._beat_s = max(HEARTBEAT_S, wants) / 2 if wants else self._beat_s
        self._silence_s = max(HEARTBEAT_S, sends) * 2 if sends else self._silence_s
        self._subscription = uuid.uuid4().hex
        asked = {"id": "replies", "destination": f"/amq/queue/{REPLY_TO}", "ack": "auto", "receipt": self._subscription}
        self._write(Frame("SUBSCRIBE", asked))

    def _confirmed(self, receipt: str) -> None:
        if receipt and receipt == self._subscription:
            self._serving = True
            self._ready()
            self._talk.open_lines()
            return
        exchange, _ = self._unconfirmed.pop(receipt, ("", 0.0))
        if exchange:
            self._talk.answered(exchange, receipt, kept=True)

    def _refused(self, frame: Frame) -> None:
        said = frame.body.decode("utf-8", "replace").strip() or frame.headers.get("message", "")
        reason = " ".join("".join(c if c.isprintable() else " " for c in said).split())[:_LONGEST_REASON]
        if not self._serving:
            user, vhost = self._login.user, self._broker.vhost
            raise LoginRefused(f"the broker refuses the login {user!r} in {vhost!r}: {reason}")
        if f"exchange '{TELEMETRY}'" in reason:
            self._talk.close_lines(reason)
        raise _Ended(reason or "it ended the connection with an error")

    def _send(self, exchange: str, envelope: dict[str, Any]) -> None:
        key = f"{self._login.user}.{envelope['type']}.{envelope['subject']}"
        headers = {
            "destination": f"/exchange/{exchange}/{quote(key, safe='')}",
            "content-type": CONTENT_TYPE,
            "persistent": "true",
            "amqp-message-id": envelope["id"],
            "type": envelope["type"],
            "user-id": self._login.user,
            "timestamp": str(int(time.time())),
            "receipt": envelope["id"],
        }
        if exchange == REQUESTS:
            headers.update({"reply-to": REPLY_TO, "correlation-id": envelope["id"]})
        self._unconfirmed[self._write(Frame("SEND", headers, encode(envelope)))] = exchange, time.monotonic()


def _beats(told: str) -> tuple[float, float]:
    """The seconds between two signs of the broker's life, and between two that it wants to see; 0 for none."""
    try:
        sends, wants = (int(number) / 1000 for number in told.split(","))
    except ValueError as problem:
        raise BadFrame(f"the heart-beat {told[:40]!r} is not two numbers") from problem
    return sends, wants
