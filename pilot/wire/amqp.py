"""One AMQP connection over TLS: confirms on everything, requests by direct reply-to. The only file that knows pika."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable

import pika
from pika.exceptions import ChannelClosed, ConnectionClosed, ProbableAccessDeniedError, ProbableAuthenticationError

from pilot.wire.envelope import CONTENT_TYPE, encode
from pilot.wire.login import Login
from pilot.wire.outbox import Outbox, backoff

_REPLY_TO = "amq.rabbitmq.reply-to"
_TICK_S = 0.2
_PERSISTENT = 2


class LoginRefused(Exception):
    """The broker does not let this account in."""


def sentence(problem: BaseException | None) -> str:
    """Why a connection could not be made or was lost, in the words of the socket, of TLS, or of the broker."""
    causes = _causes(problem)
    outside = [cause for cause in causes if not type(cause).__module__.startswith("pika") and str(cause)]
    told = [str(cause.reply_text) for cause in causes if isinstance(cause, (ConnectionClosed, ChannelClosed))]
    spoken = [str(cause) for cause in causes if str(cause)]
    return (told or [str(cause) for cause in outside] or spoken or ["it closed the connection"])[-1]


def _causes(problem: BaseException | None) -> list[BaseException]:
    """The exception and all it was made of, the innermost last; pika wraps in attributes, in args and in causes."""
    found: list[BaseException] = []
    level: list[Any] = [problem]
    while level and len(found) < 50:
        item = level.pop(0)
        if isinstance(item, BaseException) and item not in found:
            found.append(item)
            inner = [getattr(item, "exception", None), *(getattr(item, "exceptions", None) or ())]
            level += [*inner, *item.args, item.__cause__]
    return found


class _Lane:
    """One channel in confirm mode: what was published and how the broker answered, by our own ids."""

    def __init__(self, channel: Any, answered: Callable[..., None]) -> None:
        self.channel = channel
        self._answered = answered
        self._out: dict[int, str] = {}
        self._returned: set[str] = set()
        self._tag = 0
        channel.add_on_return_callback(lambda _channel, _method, properties, _body: self._returned.add(properties.message_id))

    def publish(self, exchange: str, key: str, raw: bytes, properties: Any, *, mandatory: bool) -> None:
        """The message is on its way; its id is answered for later."""
        self._tag += 1
        self._out[self._tag] = properties.message_id
        self.channel.basic_publish(exchange, key, raw, properties, mandatory)

    def confirmed(self, frame: Any) -> None:
        """Each message of this ack or nack is answered for: True when a queue has it."""
        tag = frame.method.delivery_tag
        tags = [out for out in self._out if out <= tag] if frame.method.multiple else [tag]
        acked = frame.method.NAME == "Basic.Ack"
        for each in sorted(tags):
            message_id = self._out.pop(each, "")
            self._answered(message_id, kept=acked and message_id not in self._returned)
            self._returned.discard(message_id)


class Session:
    """One connection from its opening to its end. run() is its thread; poke() and end() are for all others."""

    def __init__(self, login: Login, outbox: Outbox, ready: Callable[[], None], complain: Callable[[str], None]) -> None:
        self._login = login
        self._outbox = outbox
        self._ready = ready
        self._complain = complain
        self._lock = threading.Lock()
        self._loop: Any = None
        self._connection: Any = None
        self._main: _Lane | None = None
        self._log: _Lane | None = None
        self._record_out = ""
        self._record_due = 0.0
        self._record_failures = 0
        self._ending: BaseException | None = None
        self._told_to_end = False

    def run(self) -> str:
        """Serve one connection until it ends; why it ended. Raises LoginRefused."""
        try:
            self._connection = pika.SelectConnection(
                self._parameters(),
                on_open_callback=self._opened,
                on_open_error_callback=lambda _connection, problem: self._closed(problem),
                on_close_callback=lambda _connection, problem: self._closed(problem),
            )
        except OSError as problem:  # the file of the authority is missing or unreadable
            return f"{self._login.ca_file}: {problem.strerror or problem}"
        with self._lock:
            self._loop = self._connection.ioloop
            if self._told_to_end:
                self._loop.add_callback_threadsafe(self._close)
        self._connection.ioloop.start()
        with self._lock:
            self._loop = None
        self._connection.ioloop.close()
        denials = (ProbableAuthenticationError, ProbableAccessDeniedError)
        denial = next((cause for cause in _causes(self._ending) if isinstance(cause, denials)), None)
        if denial is not None:
            raise LoginRefused(f"the broker refuses the login {self._login.user!r}: {sentence(denial)}")
        return sentence(self._ending)

    def poke(self) -> None:
        """The connection, if there is one, looks for new things to send."""
        with self._lock:
            if self._loop is not None:
                self._loop.add_callback_threadsafe(self._pump)

    def renew(self, login: Login) -> None:
        """The broker is given the new password as soon as its thread gets to it; the connection stays."""
        with self._lock:
            self._login = login
            if self._loop is not None:
                self._loop.add_callback_threadsafe(self._update_secret)

    def _update_secret(self) -> None:
        if self._connection.is_open:
            self._connection.update_secret(self._login.password, "renewed")

    def end(self) -> None:
        """The connection is closed as soon as its thread gets to it."""
        with self._lock:
            self._told_to_end = True
            if self._loop is not None:
                self._loop.add_callback_threadsafe(self._close)

    def _parameters(self) -> Any:
        login = self._login
        return pika.ConnectionParameters(
            host=login.host,
            port=login.port,
            virtual_host=login.vhost,
            credentials=pika.PlainCredentials(login.user, login.password),
            ssl_options=pika.SSLOptions(login.tls(), login.host),
            heartbeat=30,
            blocked_connection_timeout=60,
            socket_timeout=10,
            stack_timeout=15,
            client_properties={"connection_name": self._outbox.source},
        )

    def _opened(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._main_opened)

    def _main_opened(self, channel: Any) -> None:
        lane = _Lane(channel, self._main_answered)
        channel.add_on_close_callback(lambda _channel, problem: self._fail(problem))
        channel.confirm_delivery(lane.confirmed)
        channel.basic_consume(_REPLY_TO, self._replied, auto_ack=True, callback=lambda _frame: self._serve(lane))

    def _serve(self, lane: _Lane) -> None:
        self._main = lane
        self._connection.channel(on_open_callback=self._log_opened)
        self._ready()
        self._tick()

    def _log_opened(self, channel: Any) -> None:
        lane = _Lane(channel, self._log_answered)
        channel.add_on_close_callback(lambda _channel, problem: self._log_closed(problem))
        channel.confirm_delivery(lane.confirmed, callback=lambda _frame: self._log_ready(lane))

    def _log_ready(self, lane: _Lane) -> None:
        self._log = lane
        for envelope in list(self._outbox.batches.values()):
            self._publish(lane, "telemetry", envelope)
        self._pump()

    def _tick(self) -> None:
        if self._connection.is_open:
            self._pump()
            self._connection.ioloop.call_later(_TICK_S, self._tick)

    def _pump(self) -> None:
        if self._main is None or not self._connection.is_open:
            return
        self._send_record(self._main)
        for ask in self._outbox.due_asks():
            ask.due = time.monotonic() + ask.again_after_s
            self._publish(self._main, "requests", ask.envelope)
        if self._log is not None:
            for envelope in self._outbox.new_batches():
                self._publish(self._log, "telemetry", envelope)

    def _send_record(self, lane: _Lane) -> None:
        # one at a time: with two on the way a nack of the first would turn their order around
        if self._record_out or time.monotonic() < self._record_due:
            return
        envelope = self._outbox.spool.first()
        if envelope is not None:
            self._record_out = envelope["id"]
            self._publish(lane, "ingress", envelope)

    def _publish(self, lane: _Lane, exchange: str, envelope: dict[str, Any]) -> None:
        properties = pika.BasicProperties(
            content_type=CONTENT_TYPE,
            delivery_mode=_PERSISTENT,
            message_id=envelope["id"],
            type=envelope["type"],
            user_id=self._login.user,
            timestamp=int(time.time()),
        )
        if exchange == "requests":
            properties.reply_to, properties.correlation_id = _REPLY_TO, envelope["id"]
        key = f"{self._login.user}.{envelope['type']}.{envelope['subject']}"
        lane.publish(exchange, key, encode(envelope), properties, mandatory=exchange != "telemetry")

    def _main_answered(self, message_id: str, *, kept: bool) -> None:
        if message_id != self._record_out:
            if not kept:
                self._outbox.refused_by_broker(message_id)
            return
        self._record_out = ""
        self._record_failures = 0 if kept else self._record_failures + 1
        if kept:
            self._outbox.spool.confirm(message_id)
            self._outbox.changed()
        else:
            self._record_due = time.monotonic() + backoff(self._record_failures)
            if self._record_failures == 1:
                self._complain("no queue takes this pilot's events; they are kept and sent again")
        self._pump()

    def _log_answered(self, message_id: str, **_: bool) -> None:
        self._outbox.batches.pop(message_id, None)
        self._outbox.changed()

    def _replied(self, _channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        self._outbox.answered(properties.correlation_id or "", body)

    def _log_closed(self, problem: BaseException) -> None:
        self._log = None
        if self._connection.is_open:
            self._outbox.lines_refused = sentence(problem)
            self._complain(f"the broker takes no log lines: {sentence(problem)}")
            self._outbox.changed()

    def _fail(self, problem: BaseException) -> None:
        self._main = None
        if self._connection.is_open:
            self._ending = problem
            self._close()

    def _close(self) -> None:
        if not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()

    def _closed(self, problem: BaseException) -> None:
        self._main = self._log = None
        self._ending = self._ending or problem
        self._connection.ioloop.stop()
