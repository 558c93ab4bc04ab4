"""One AMQP connection over TLS: confirms on everything, requests by direct reply-to. The only file that knows pika."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable

import pika
from pika.adapters.select_connection import IOLoop
from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter
from pika.exceptions import ChannelClosed, ConnectionClosed, ProbableAccessDeniedError, ProbableAuthenticationError

from pilot.wire.dial import PATIENCE_S, NoWay, Proxy, proxy_to, tunnel
from pilot.wire.envelope import CONTENT_TYPE, encode
from pilot.wire.login import Broker, Login
from pilot.wire.outbox import Outbox
from pilot.wire.session import HEARTBEAT_S, REPLY_TO, REQUESTS, TELEMETRY, TICK_S, UNCONFIRMED_S, Conversation, LoginRefused

_PERSISTENT = 2


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
        self._out: dict[int, tuple[str, str]] = {}
        self._returned: set[str] = set()
        self._tag = 0
        channel.add_on_return_callback(lambda _channel, _method, properties, _body: self._returned.add(properties.message_id))

    def publish(self, exchange: str, key: str, raw: bytes, properties: Any, *, mandatory: bool) -> None:
        """The message is on its way; its id is answered for later."""
        self._tag += 1
        self._out[self._tag] = exchange, properties.message_id
        self.channel.basic_publish(exchange, key, raw, properties, mandatory)

    def confirmed(self, frame: Any) -> None:
        """Each message of this ack or nack is answered for: True when a queue has it."""
        tag = frame.method.delivery_tag
        tags = [out for out in self._out if out <= tag] if frame.method.multiple else [tag]
        acked = frame.method.NAME == "Basic.Ack"
        for each in sorted(tags):
            exchange, message_id = self._out.pop(each)
            self._answered(exchange, message_id, kept=acked and message_id not in self._returned)
            self._returned.discard(message_id)


class _Tunnelled(SelectorIOServicesAdapter):  # type: ignore[misc]
    """Sockets that pika believes to lead to the broker, and that lead through a proxy."""

    def __init__(self, proxy: Proxy, broker: Broker) -> None:
        super().__init__(IOLoop())
        self._proxy, self._broker = proxy, broker

    def getaddrinfo(self, **named: Any) -> Any:
        """The proxy's addresses."""
        return super().getaddrinfo(**{**named, "host": self._proxy.host, "port": self._proxy.port})

    def connect_socket(self, sock: Any, resolved_addr: Any, on_done: Callable[[Any], None]) -> Any:
        """The socket leads to the broker when on_done hears of no problem."""

        def connected(problem: Any) -> None:
            try:
                if problem is None:
                    tunnel(sock, self._proxy, self._broker.host, self._broker.port)
                    sock.setblocking(False)
            except OSError as refusal:
                problem = refusal
            on_done(problem)

        return super().connect_socket(sock, resolved_addr, connected)


class Session:
    """One connection from its opening to its end. run() is its thread; poke(), renew() and end() are for all others."""

    def __init__(
        self, broker: Broker, login: Login, outbox: Outbox, ready: Callable[[], None], complain: Callable[[str], None]
    ) -> None:
        self._broker = broker
        self._login = login
        self._source = outbox.source
        self._ready = ready
        self._talk = Conversation(outbox, self._send, complain)
        self._lock = threading.Lock()
        self._loop: Any = None
        self._connection: Any = None
        self._main: _Lane | None = None
        self._log: _Lane | None = None
        self._ending: BaseException | None = None
        self._told_to_end = False

    def run(self) -> str:
        """Serve one connection until it ends; why it ended. Raises LoginRefused."""
        try:
            proxy = proxy_to(self._broker.host, self._broker.port)
            self._connection = pika.SelectConnection(
                self._parameters(),
                custom_ioloop=_Tunnelled(proxy, self._broker) if proxy else None,
                on_open_callback=self._opened,
                on_open_error_callback=lambda _connection, problem: self._closed(problem),
                on_close_callback=lambda _connection, problem: self._closed(problem),
            )
        except NoWay as problem:
            return str(problem)
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
        login, broker = self._login, self._broker
        return pika.ConnectionParameters(
            host=broker.host,
            port=broker.port,
            virtual_host=broker.vhost,
            credentials=pika.PlainCredentials(login.user, login.password),
            ssl_options=pika.SSLOptions(login.tls(), broker.host),
            heartbeat=HEARTBEAT_S,
            blocked_connection_timeout=UNCONFIRMED_S,
            socket_timeout=PATIENCE_S,
            stack_timeout=PATIENCE_S + 5,
            client_properties={"connection_name": self._source},
        )

    def _opened(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._main_opened)

    def _main_opened(self, channel: Any) -> None:
        lane = _Lane(channel, self._talk.answered)
        channel.add_on_close_callback(lambda _channel, problem: self._fail(problem))
        channel.confirm_delivery(lane.confirmed)
        channel.basic_consume(REPLY_TO, self._replied, auto_ack=True, callback=lambda _frame: self._serve(lane))

    def _serve(self, lane: _Lane) -> None:
        self._main = lane
        self._connection.channel(on_open_callback=self._log_opened)
        self._ready()
        self._tick()

    def _log_opened(self, channel: Any) -> None:
        # a channel of their own: a broker that refuses lines closes it, and this one alone
        lane = _Lane(channel, self._talk.answered)
        channel.add_on_close_callback(lambda _channel, problem: self._log_closed(problem))
        channel.confirm_delivery(lane.confirmed, callback=lambda _frame: self._log_ready(lane))

    def _log_ready(self, lane: _Lane) -> None:
        self._log = lane
        self._talk.open_lines()

    def _tick(self) -> None:
        if self._connection.is_open:
            self._pump()
            self._connection.ioloop.call_later(TICK_S, self._tick)

    def _pump(self) -> None:
        if self._main is not None and self._connection.is_open:
            self._talk.pump()

    def _send(self, exchange: str, envelope: dict[str, Any]) -> None:
        lane = self._log if exchange == TELEMETRY else self._main
        if lane is None or not self._connection.is_open:
            return  # it waits for the next connection
        properties = pika.BasicProperties(
            content_type=CONTENT_TYPE,
            delivery_mode=_PERSISTENT,
            message_id=envelope["id"],
            type=envelope["type"],
            user_id=self._login.user,
            timestamp=int(time.time()),
        )
        if exchange == REQUESTS:
            properties.reply_to, properties.correlation_id = REPLY_TO, envelope["id"]
        key = f"{self._login.user}.{envelope['type']}.{envelope['subject']}"
        lane.publish(exchange, key, encode(envelope), properties, mandatory=exchange != TELEMETRY)

    def _replied(self, _channel: Any, _method: Any, properties: Any, body: bytes) -> None:
        self._talk.replied(properties.correlation_id or "", body)

    def _log_closed(self, problem: BaseException) -> None:
        self._log = None
        if self._connection.is_open:
            self._talk.close_lines(sentence(problem))

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
