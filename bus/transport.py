"""The broker as services and clients use it: kombu, so that `memory://` keeps the same contract in one process.

The promises, each held by tests/bus/test_transport_contract.py:
a message is published when `publish` returns (AMQP: confirmed by the broker);
a delivery that was not acknowledged comes again, first in line, when its channel is gone;
messages of one publisher reach one queue in the order they were published.
"""

from __future__ import annotations

import functools
import random
import ssl
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import amqp.exceptions
import kombu
import kombu.exceptions

from bus.delivery import Delivery, delivered
from bus.errors import Mismatch, Unavailable, Unroutable
from bus.event import CONTENT_TYPE
from bus.frames import Ahead, acknowledged, published
from bus.login import Login, account_of, login
from bus.reply_to import REPLY_TO, Presence
from bus.topology import Topology

__all__ = ["FIRST_ACCOUNT", "FORBIDDEN", "HEARTBEAT_S", "LOST", "REPLY_TO", "Delivery", "Transport", "back_off"]

FIRST_ACCOUNT = "pilotbus-first-account"
HEARTBEAT_S = 30
PROBE_S = 2.0
# its own: a program that seeds Python's must not make a crowd knock together
_CHANCE = random.Random()
FORBIDDEN = amqp.exceptions.AccessRefused
LOST = (
    OSError,
    amqp.exceptions.ConnectionError,
    amqp.exceptions.ChannelError,
    amqp.exceptions.RecoverableConnectionError,
    kombu.exceptions.OperationalError,
    kombu.exceptions.ConnectionError,
)


def back_off(attempt: int, cap_s: float = 30.0) -> float:
    """Seconds to wait before try number `attempt` (0, 1, 2 …): exponential with full jitter."""
    return _CHANCE.uniform(0, min(cap_s, 0.1 * 2**attempt))


class Transport:
    """One connection with one channel; owned by one thread."""

    def __init__(self, url: str, ca_file: str = "") -> None:
        self.account = account_of(url)
        self._url, self._ca_file = url, ca_file
        self._deliveries: deque[Delivery] = deque()
        self._returned: list[Exception] = []
        self._beat_at = 0.0
        self._connection: Any = None
        self._raw: Any = None  # what the channel is of: kombu's and py-amqp's own properties dial again when it is gone
        self._wire: Any = None
        self._channel: Any = None
        self._socket: Any = None
        self._ahead: Ahead | None = None
        self._presence = Presence(lambda: self._dial(login(url), PROBE_S))

    def connect(self) -> Transport:
        """Connected; raises Unavailable, naming host and port, when the broker can not be reached."""
        who = login(self._url)
        try:
            self._connection = kombu.Connection(self._url) if who.scheme == "memory" else self._dial(who)
            self._connection.connect()
            self._open_channel()
            self._wire = getattr(self._raw, "transport", None)
            self._socket = getattr(self._wire, "sock", None)
            if who.scheme == "amqps":
                self._ahead = Ahead(self._raw)
        except amqp.exceptions.AccessRefused as problem:
            raise Unavailable(f"the broker at {who.host}:{who.port} refuses the account {self.account}") from problem
        except (*LOST, ssl.SSLError) as problem:
            raise Unavailable(f"no broker answers at {who.host}:{who.port} ({problem})") from problem
        return self

    def _dial(self, who: Login, patience_s: float | None = None) -> Any:
        secured: dict[str, Any] = {"ca_certs": self._ca_file or None, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": who.host}
        if who.external:
            secured |= {"certfile": who.certificate, "keyfile": who.key or None}
        return kombu.Connection(
            transport="pyamqp",
            hostname=who.host,
            port=who.port,
            userid=who.account,
            password=who.secret(),
            virtual_host=who.vhost,
            login_method="EXTERNAL" if who.external else "PLAIN",
            ssl=secured if who.scheme == "amqps" else False,
            heartbeat=0 if patience_s else HEARTBEAT_S,  # nobody would beat on the one that only asks
            connect_timeout=10,
            transport_options={"read_timeout": patience_s, "write_timeout": patience_s} if patience_s else {},
        )

    def _open_channel(self) -> None:
        self._deliveries.clear()
        self._channel = self._connection.channel()
        self._raw = self._channel.connection
        self._channel.auto_decode = False
        if hasattr(self._channel, "events"):
            self._channel.events["basic_return"].add(self._on_return)

    def _on_return(self, problem: Exception, *_about: object) -> None:
        self._returned.append(problem)

    def close(self) -> None:
        """Closed; what was not acknowledged goes back to its queue."""
        if self._connection is not None:
            try:
                self._connection.close()
            except LOST:
                self._connection.collect()
            self._connection = None
        self._presence.close()
        if self._socket is not None:
            self._socket.close()  # py-amqp leaves it open when the other end is gone
            self._socket = None

    def declare(self, topology: Topology) -> None:
        """Every exchange, queue and binding is there. Repeating it changes nothing.

        Raises Mismatch, naming the queue, when the broker has one of that name with other arguments.
        """
        try:
            self._declare(topology)
        except amqp.exceptions.PreconditionFailed as problem:
            raise Mismatch(
                f"the broker has it otherwise: {problem.reply_text}; drain that queue, delete it, and start again"
            ) from problem

    def _declare(self, topology: Topology) -> None:
        exchanges = {name: kombu.Exchange(name, kind, durable=True) for name, kind in topology.exchanges.items()}
        for exchange in exchanges.values():
            exchange(self._channel).declare()
        for queue in topology.queues:
            kombu.Queue(queue.name, durable=True, queue_arguments=dict(queue.arguments))(self._channel).queue_declare()
        for binding in topology.bindings:
            self.bind(binding.queue, binding.exchange, binding.routing_key)

    def own_queue(self, name: str) -> None:
        """A queue of this connection alone, gone with it; `name` is prescribed by the broker's rights."""
        kombu.Queue(name, exclusive=True, auto_delete=True, durable=False)(self._channel).queue_declare()

    def bind(self, queue: str, exchange: str, routing_key: str) -> None:
        """The queue gets what the exchange takes under this key."""
        kombu.Queue(queue, no_declare=True)(self._channel).bind_to(exchange, routing_key)

    def delete(self, queue: str) -> None:
        """The queue is gone, with what it held."""
        kombu.Queue(queue)(self._channel).delete()

    def depth(self, queue: str) -> int:
        """How many messages are ready in the queue."""
        return int(kombu.Queue(queue)(self._channel).queue_declare(passive=True).message_count)

    def alive(self, reply_to: str) -> bool:
        """Whether the asker with this direct reply-to address is still there."""
        return self._presence.is_there(reply_to)

    def consume(self, queue: str, prefetch: int = 0, *, no_ack: bool = False) -> None:
        """From now on `receive` gives what this queue holds; prefetch 0 is unlimited."""
        if prefetch:
            self._channel.basic_qos(0, prefetch, False)
        # not kombu's Consumer: it would obey a stranger's headers, and unpack or decode what it was sent
        self._channel.basic_consume(
            queue,
            no_ack=no_ack,
            callback=lambda message: self._deliveries.append(delivered(queue, message)),
            consumer_tag=f"{queue}.{uuid.uuid4().hex}",
        )

    def receive(self, limit: int, timeout_s: float) -> list[Delivery]:
        """What has arrived, at most `limit`; waits up to timeout_s for the first, never for the others."""
        if not self._deliveries:
            self._drain(timeout_s)
        while len(self._deliveries) < limit and self._drain(0):
            pass
        return [self._deliveries.popleft() for _ in range(min(limit, len(self._deliveries)))]

    def beat(self) -> None:
        """The broker knows that this connection is alive, however much waits to be handled."""
        self._drain(0)

    def _drain(self, timeout_s: float) -> bool:
        """True when something arrived."""
        self._beat()
        had = len(self._deliveries)
        try:
            if self._ahead is None:
                self._connection.transport.drain_events(self._raw, timeout=timeout_s or 0.0001)
            else:
                self._ahead.read(timeout_s or 0.0001)
        except TimeoutError:
            return False
        return len(self._deliveries) > had

    def _live(self) -> None:
        if not getattr(self._wire, "connected", True):
            raise ConnectionError("the connection to the broker is lost")

    def _beat(self) -> None:
        self._live()
        if time.monotonic() > self._beat_at and self._connection.supports_heartbeats:
            self._connection.transport.heartbeat_check(self._raw, rate=2)
            self._beat_at = time.monotonic() + HEARTBEAT_S / 4

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        mandatory: bool = False,
        confirm: bool = True,
        transient: bool = False,
        **properties: Any,
    ) -> None:
        """Kept by the broker (in memory only if `transient`), or on its way if not `confirm`.

        Raises Unroutable when mandatory and no queue takes it, Unavailable when the broker says no.
        """
        self._beat()
        self._returned.clear()
        send = self._channel.basic_publish
        if self._connection.transport.driver_type == "amqp":
            properties["user_id"] = self.account
            if confirm:
                send = functools.partial(self._channel.basic_publish_confirm, timeout=15, confirm_timeout=15)
        properties = {name: value for name, value in properties.items() if value is not None} | {
            "delivery_mode": 1 if transient else 2
        }
        message = self._channel.prepare_message(
            body, 0, content_type=CONTENT_TYPE, content_encoding="binary", headers={}, properties=properties
        )
        try:
            send(message, exchange=exchange, routing_key=routing_key, mandatory=mandatory)
        except amqp.exceptions.MessageNacked as problem:
            raise Unavailable(f"the broker is full and took no more for {routing_key}") from problem
        if self._returned:
            raise Unroutable(f"{routing_key}: no queue takes it on exchange {exchange}")

    def reply(self, replies: Sequence[tuple[str, str | None, bytes]]) -> None:
        """These are on their way, in memory only and together: each a direct reply-to address, a correlation and a body."""
        if self._ahead is None:
            for address, correlation, body in replies:
                self.publish("", address, body, confirm=False, transient=True, correlation_id=correlation)
            return
        self._beat()
        where = {"channel": self._channel.channel_id, "frame_bytes": self._raw.frame_max}
        told = [
            published("", address, body, user_id=self.account, correlation_id=correlation or "", **where)
            for address, correlation, body in replies
        ]
        self._wire.write(b"".join(told))

    def ack(self, deliveries: list[Delivery]) -> None:
        """The broker may forget these."""
        if self._ahead is not None and len(deliveries) > 1:
            self._live()
            self._wire.write(acknowledged([delivery.tag for delivery in deliveries], self._channel.channel_id))
            return
        for delivery in deliveries:
            self._channel.basic_ack(delivery.tag)

    def ack_up_to(self, delivery: Delivery) -> None:
        """The broker may forget this one and all that came before it on this channel."""
        self._channel.basic_ack(delivery.tag, multiple=True)

    def reject(self, delivery: Delivery, *, requeue: bool) -> None:
        """Back to the queue, one delivery burnt; or to the parking exchange."""
        self._channel.basic_reject(delivery.tag, requeue=requeue)

    @contextmanager
    def closing(self) -> Iterator[Transport]:
        """Connected inside the block and closed after it."""
        try:
            yield self.connect()
        finally:
            self.close()
