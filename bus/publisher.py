"""Pipelined confirmed publishing: many messages on the way at once, each confirmed or said not to be.

pika, because kombu waits for every confirm and so sends a thirtieth of what the broker takes.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pika
import structlog
from pika.adapters.select_connection import SelectConnection

from bus.errors import Unavailable
from bus.frames import in_pieces, published
from bus.login import account_of, login
from bus.transport import FIRST_ACCOUNT, HEARTBEAT_S, Delivery, back_off

log = structlog.get_logger()

WRITE_BYTES = 16_000  # a record of TLS is no larger


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes and where they go."""

    exchange: str
    routing_key: str
    body: bytes
    id: str = ""
    type: str = ""
    transient: bool = False
    account: str = ""  # for a replay: in whose name the message first came
    also: Sequence[str] = ()  # further routing keys, which nobody who gets the message sees


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the broker said of a batch: indices of messages that it did not keep, and of those no queue took."""

    refused: frozenset[int]
    unroutable: frozenset[int]


def parameters(url: str, ca_file: str) -> Any:
    """How pika connects."""
    who = login(url)
    credentials = pika.credentials.ExternalCredentials() if who.external else pika.PlainCredentials(who.account, who.secret())
    return pika.ConnectionParameters(
        host=who.host,
        port=who.port,
        virtual_host=who.vhost,
        credentials=credentials,
        ssl_options=pika.SSLOptions(who.tls(ca_file), who.host) if who.scheme == "amqps" else None,
        heartbeat=HEARTBEAT_S,
        blocked_connection_timeout=60,
    )


def unreadable(url: str, ca_file: str, queue: str, look_at: int) -> Iterator[tuple[Delivery, Callable[[], None]]]:
    """Messages at the head of a queue whose properties or key are not UTF-8, each with what settles it.

    pika gives such words as bytes, where py-amqp gives up on the whole connection. The others go back to the queue.
    """
    connection = pika.BlockingConnection(parameters(url, ca_file))
    try:
        channel = connection.channel()
        for _ in range(look_at):
            method, properties, body = channel.basic_get(queue)
            if method is None:
                break
            words = [method.routing_key, *(getattr(properties, name, None) for name in _SHORT_WORDS)]
            if any(isinstance(word, bytes) for word in words) or _has_bytes(properties.headers):
                told = Delivery(queue, body, method.delivery_tag, method.exchange, "", {"user_id": properties.user_id})
                yield told, functools.partial(channel.basic_ack, method.delivery_tag)
    finally:
        connection.close()


_SHORT_WORDS = ("content_type", "content_encoding", "correlation_id", "reply_to", "expiration", "message_id", "type", "app_id")


def _has_bytes(value: Any) -> bool:
    if isinstance(value, dict):
        return any(isinstance(name, bytes) or _has_bytes(inner) for name, inner in value.items())
    return isinstance(value, bytes) or (isinstance(value, list) and any(map(_has_bytes, value)))


def _headers(message: Message) -> dict[str, Any] | None:
    if message.account:
        return {FIRST_ACCOUNT: message.account}
    return {"BCC": list(message.also)} if message.also else None


class _Batch:
    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.future: Future[Outcome] = Future()
        self.waiting = len(messages)
        self.refused: set[int] = set()
        self.unroutable: set[int] = set()


class Publisher:
    """A thread that owns one pika connection. `publish` may be called from any thread."""

    def __init__(self, url: str, ca_file: str = "") -> None:
        self._account = account_of(url)
        self._parameters = parameters(url, ca_file)
        self._lock = threading.Lock()
        self._connection: Any = None
        self._channel: Any = None
        self._sent: dict[int, tuple[_Batch, int]] = {}
        self._oldest = 1
        self._number = 0
        self._ids: dict[str, tuple[_Batch, int]] = {}
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> Publisher:
        """The thread runs and keeps a connection open, with back-off while there is no broker."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """The connection is closed and the thread over; what was on the way has failed."""
        self._stopping.set()
        self._soon(self._close)
        self._thread.join(timeout=10)

    def _soon(self, call: Callable[[], None]) -> bool:
        """The call will be made by the connection's own thread; False when there is no connection."""
        with self._lock:
            if self._connection is None:
                return False
            self._connection.ioloop.add_callback_threadsafe(call)
            return True

    def _close(self) -> None:
        if self._connection.is_open:
            self._connection.close()
        elif self._connection.is_closed:
            self._connection.ioloop.stop()

    def publish(self, messages: Sequence[Message]) -> Future[Outcome]:
        """All on their way; the future is done when every one is confirmed, and fails with Unavailable without a broker."""
        batch = _Batch(messages)
        if not messages:
            batch.future.set_result(Outcome(frozenset(), frozenset()))
        elif not self._ready.wait(timeout=10) or not self._soon(functools.partial(self._send, batch)):
            batch.future.set_exception(Unavailable("no connection to the broker"))
        return batch.future

    def _send(self, batch: _Batch) -> None:
        if self._channel is None or not self._channel.is_open:
            batch.future.set_exception(Unavailable("the connection to the broker was lost"))
            return
        try:
            pieces = list(in_pieces(map(self._framed, batch.messages), WRITE_BYTES))
        except ValueError as problem:  # a word that AMQP has no room for must not end the thread of all others
            batch.future.set_exception(problem)
            return
        for index, message in enumerate(batch.messages):
            self._number += 1
            self._sent[self._number] = (batch, index)
            if not message.transient:
                self._ids[message.id] = (batch, index)
        # pika writes each frame alone, and has no other way of its own: with TLS that costs more than all else
        self._channel.connection._output_marshaled_frames(pieces)  # noqa: SLF001

    def _framed(self, message: Message) -> bytes:
        return published(
            message.exchange,
            message.routing_key,
            message.body,
            channel=self._channel.channel_number,
            frame_bytes=self._channel.connection.params.frame_max,
            durable=not message.transient,
            mandatory=not message.transient,
            headers=_headers(message),
            message_id=message.id,
            type=message.type,
            user_id=self._account,
        )

    def _on_confirm(self, frame: Any) -> None:
        tag, kept = frame.method.delivery_tag, frame.method.NAME == "Basic.Ack"
        first = self._oldest if frame.method.multiple else tag
        for number in range(first, tag + 1):
            if (entry := self._sent.pop(number, None)) is None:
                continue
            batch, index = entry
            self._ids.pop(batch.messages[index].id, None)
            if not kept:
                batch.refused.add(index)
            batch.waiting -= 1
            if not batch.waiting:
                batch.future.set_result(Outcome(frozenset(batch.refused), frozenset(batch.unroutable)))
        if frame.method.multiple:
            self._oldest = tag + 1

    def _on_return(self, _channel: Any, _method: Any, properties: Any, _body: bytes) -> None:
        if entry := self._ids.get(properties.message_id):
            entry[0].unroutable.add(entry[1])

    def _run(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            self._connection = SelectConnection(
                self._parameters,
                on_open_callback=lambda connection: connection.channel(on_open_callback=self._on_channel),
                on_open_error_callback=self._on_lost,
                on_close_callback=self._on_lost,
            )
            self._connection.ioloop.start()
            attempt = 0 if self._ready.is_set() else attempt + 1
            self._ready.clear()
            self._fail()
            with self._lock:
                self._connection.ioloop.close()  # its sockets, which pika leaves open
                self._connection = None
            self._stopping.wait(back_off(attempt))

    def _on_channel(self, channel: Any) -> None:
        self._channel, self._number, self._oldest = channel, 0, 1
        channel.add_on_close_callback(lambda *_: self._close())
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, callback=lambda _: self._ready.set())

    def _on_lost(self, connection: Any, problem: Any) -> None:
        if not self._stopping.is_set():
            log.warning("publisher.disconnected", reason=str(problem))
        connection.ioloop.call_later(0.01, connection.ioloop.stop)  # pika closes the socket in a later turn

    def _fail(self) -> None:
        lost = {id(batch): batch for batch, _ in self._sent.values()}
        self._sent.clear()
        self._ids.clear()
        self._channel = None
        for batch in lost.values():
            batch.future.set_exception(Unavailable("the connection to the broker was lost"))
