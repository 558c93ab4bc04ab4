"""The line to the bus as the pilot uses it: one thread owns the connection, and makes a new one when it is lost."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import Any, Callable, Sequence

from pilot.wire import amqp, stomp
from pilot.wire.envelope import seal
from pilot.wire.lines import MOST_IN_BATCH, Stream
from pilot.wire.login import Broker, Login, NotRenewed
from pilot.wire.outbox import Outbox, backoff
from pilot.wire.session import RENEWED, LoginRefused
from schemas.rules.log_levels import INFO

_STEADY_S = 60
_MOST_REFUSALS = 5
_NO_LINE_S = 5.0
_SESSIONS: dict[str, type[amqp.Session | stomp.Session]] = {"amqps": amqp.Session, "stomps": stomp.Session}


class Unreachable(Exception):
    """No broker answered in the time that was given."""


class Link:
    """A line that is always there for its users: what is said while the broker is away is sent when it is back."""

    def __init__(
        self, login: Login, outbox: Outbox, complain: Callable[[str], None], login_now: Callable[[], Login] | None = None
    ) -> None:
        """`login_now` gives what to log in with at each new connection, when that changes."""
        self.outbox = outbox
        self.refused = ""
        self._login: Login = login
        self._login_now: Callable[[], Login] = login_now or (lambda: self._login)
        self._complain = complain
        self._connected = threading.Event()
        self._decided = threading.Event()
        self._leaving = threading.Event()
        self._reasons: dict[Broker, str] = {}
        self._at = 0
        self._worked = False
        self._session = self._new_session()
        self._thread = threading.Thread(target=self._live, name="wire", daemon=True)

    def start(self, patience_s: float, give_up: Callable[[], bool] = lambda: False) -> None:
        """The broker has let this pilot in. Raises LoginRefused at once, Unreachable when the patience is over."""
        self._thread.start()
        until = time.monotonic() + patience_s
        while not self._decided.wait(0.2) and time.monotonic() < until and not give_up():
            pass
        if self.refused:
            raise LoginRefused(self.refused)
        if not self._connected.is_set():
            raise Unreachable("; ".join(map(self._unreached, self._login.brokers)))

    @property
    def broker(self) -> Broker:
        """The address that is used, or tried."""
        return self._login.brokers[self._at % len(self._login.brokers)]

    def renewed(self, login: Login) -> None:
        """The connection goes on with this password, and so does each later one."""
        self._login = login
        if self.outbox.lines_refused:  # for want of a token that holds: the next connection is asked again
            self.outbox.lines_refused = ""
            self._session.end()
        self._session.renew(login)

    def record(self, name: str, data: dict[str, Any]) -> None:
        """The event of record is on disk, and goes out in the order in which it was said, until it is confirmed."""
        outbox = self.outbox
        outbox.spool.append(seal(name, outbox.source, data, outbox.pilot_id))
        if outbox.spool.complaint:
            self._complain(outbox.spool.complaint)
        self._session.poke()

    def line(self, stream: Stream, text: str, level: str = INFO) -> None:
        """The log line goes out within a quarter of a second, or when the broker is back; or it is dropped, and counted."""
        self.outbox.lines.add(stream, text, level)
        self._added()

    def lines(self, stream: Stream, texts: Sequence[str]) -> None:
        """The same for lines of a payload."""
        self.outbox.lines.add_all(stream, texts)
        self._added()

    def _added(self) -> None:
        if len(self.outbox.lines) >= MOST_IN_BATCH and not self.outbox.batches:
            self._session.poke()
        if complaint := self.outbox.lines.complaint():
            self._complain(complaint)

    def ask(self, name: str, data: dict[str, Any], again_after_s: float) -> Future[dict[str, Any]]:
        """The reply, once there is one; until then the same request is sent again over every new connection."""
        ask = self.outbox.ask(name, data, again_after_s)
        self._session.poke()
        return ask.answer

    def settle(self, seconds: float, *, only_lines: bool = False) -> bool:
        """True when the broker has confirmed all that was said, False when the time was up first."""
        self._session.poke()
        return self.outbox.settle(seconds, only_lines=only_lines)

    def let_lines_go(self, seconds: float) -> None:
        """Lines that wait have been sent, for as long as they go at all and the time is not up."""
        until = time.monotonic() + seconds
        while (left := len(self.outbox.lines)) and time.monotonic() < until:
            self.settle(_NO_LINE_S, only_lines=True)
            if len(self.outbox.lines) >= left:
                return

    def close(self) -> None:
        """The connection is closed; what is unconfirmed stays in the spool."""
        self._leaving.set()
        self._session.end()
        if self._thread.is_alive():
            self._thread.join(5)
        self.outbox.spool.close()
        self.outbox.lines.close()

    def _ready(self) -> None:
        self._worked = True
        self._complain(f"the line to the services goes over {self.broker}")
        self._connected.set()
        self._decided.set()

    def _new_session(self) -> amqp.Session | stomp.Session:
        broker = self.broker
        return _SESSIONS[broker.scheme](broker, self._login, self.outbox, self._ready, self._complain)

    def _live(self) -> None:
        try:
            self._connect_again_and_again()
        finally:
            if not self._leaving.is_set():
                self.refused = self.refused or "the pilot's own line to the broker failed"
            self._decided.set()

    def _connect_again_and_again(self) -> None:
        failures = in_vain = 0
        refusals: list[str] = []
        while not self._leaving.is_set():
            began, self._worked = time.monotonic(), False
            try:
                reason = self._session.run()
            except LoginRefused as refusal:
                reason = str(refusal)
                refusals.append(reason)
            if self._leaving.is_set():
                return
            if self._worked:
                refusals, in_vain = [], 0
            else:
                in_vain += 1
            all_tried = in_vain % len(self._login.brokers) == 0
            if len(refusals) == _MOST_REFUSALS or (refusals and all_tried and not self._connected.is_set()):
                self.refused = refusals[-1]
                return
            steady = reason == RENEWED or time.monotonic() - began > _STEADY_S
            failures = 0 if steady else failures + int(all_tried)
            self._complain_of(reason)
            self.outbox.connection_lost()
            if not self._worked:
                self._at += 1
            self._take_login()
            self._session = self._new_session()
            if reason != RENEWED and all_tried:
                self._leaving.wait(backoff(failures))

    def _take_login(self) -> None:
        """There is something to log in with, once somebody gives it: that the services are away is no refusal."""
        failures = 0
        while not self._leaving.is_set():
            try:
                login = self._login_now()
            except NotRenewed as problem:
                self._complain_of(str(problem))
                self._leaving.wait(backoff(failures := failures + 1))
                continue
            if login.password != self._login.password:
                self.outbox.lines_refused = ""
            self._login = login
            return

    def _unreached(self, broker: Broker) -> str:
        return f"the broker {broker} can not be reached: {self._reasons.get(broker, 'it does not answer')}"

    def _complain_of(self, reason: str) -> None:
        if reason not in (RENEWED, self._reasons.get(self.broker)):
            self._reasons[self.broker] = reason
            self._complain(f"the broker {self.broker} is away: {reason}")
