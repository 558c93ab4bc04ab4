"""What a user's program needs: ask, say, follow. One connection, no database."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from bus.apply import Words
from bus.errors import Invalid, Refused, Unavailable, Unroutable
from bus.event import REFUSED, Event
from bus.reply_to import REPLY_TO
from bus.topology import EVENTS, INGRESS, REQUESTS
from bus.transport import FORBIDDEN, LOST, Delivery, Transport, back_off
from schemas import exchange_of, key_of

ASK_WITHIN_S = 30.0


class Client:
    """A connection to the bus in the name of one account; owned by one thread."""

    def __init__(self, url: str, ca_file: str = "", *, component: str = "client", words: Words | None = None) -> None:
        self._transport = Transport(url, ca_file)
        self.account, self.ca_file = self._transport.account, ca_file
        self._source = f"/{self.account}/{component}"
        self._words = words or Words()
        self._subscription = ""
        self._followed: list[str] = []
        self._backlog: list[Delivery] = []

    def __enter__(self) -> Self:
        self._connect()
        return self

    def _connect(self) -> None:
        self._transport.connect()
        self._transport.consume(REPLY_TO, no_ack=True)

    def reconnect(self, patience_s: float = 0.0) -> None:
        """Connected anew, and following what was followed; what happened meanwhile is not told. Raises Unavailable.

        While there is no broker it is tried again, with back-off, for so many seconds.
        """
        until = time.monotonic() + patience_s
        patterns, self._followed, self._subscription = self._followed, [], ""
        for attempt in itertools.count():
            self._transport.close()
            self._backlog.clear()
            try:
                self._connect()
                self.follow(*patterns)
                break
            except Unavailable:
                if time.monotonic() > until:
                    self._followed = patterns
                    raise
                self._followed, self._subscription = [], ""
                time.sleep(back_off(attempt, cap_s=5.0))

    def knows(self, kind: str, field: str = "") -> bool:
        """Whether this version has words for such an event or request, and for a field of it."""
        return kind in self._words.known and (not field or field in self._words.known[kind]["properties"])

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._transport.close()

    def _event(self, kind: str, data: Any, subject: str | None, event_id: str | None) -> Event:
        if kind not in self._words.known:
            raise Invalid(f"no schema for {kind}")
        key = key_of(self._words.known[kind])
        named = data.get(key) if key and isinstance(data, dict) else None
        word = subject or (str(named).replace(".", "_") if named is not None else "_")
        event = Event(kind, self._source, word, data, id=event_id or str(uuid.uuid4()))
        self._words.judge(event, strict=True)
        return event

    def say(self, kind: str, data: Any, *, subject: str | None = None, event_id: str | None = None) -> Event:
        """The event is with the broker and a queue has it. Raises Invalid, Unroutable or Unavailable, each naming the thing."""
        event = self._event(kind, data, subject, event_id)
        if exchange_of(self._words.known[kind]) != INGRESS:
            raise Invalid(f"{kind} is not an event that an outsider may send")
        self._send(INGRESS, event)
        return event

    def ask(self, kind: str, data: Any, *, within_s: float | None = None) -> Any:
        """The reply's data. Raises Refused with code and reason, Unavailable when nobody answers in time (30 s)."""
        return self._ask_once(kind, data, ASK_WITHIN_S if within_s is None else within_s)

    def _ask_once(self, kind: str, data: Any, within_s: float) -> Any:
        event = self._event(kind, data, None, None)
        self._send(REQUESTS, event, reply_to=REPLY_TO, correlation_id=event.id, transient=True)
        until = time.monotonic() + within_s
        while (left := until - time.monotonic()) > 0:
            came = self._receive(min(left, 1.0))
            self._backlog += [delivery for delivery in came if delivery.queue != REPLY_TO]
            for delivery in came:
                if delivery.queue == REPLY_TO and delivery.properties.get("correlation_id") == event.id:
                    return _data(Event.from_json(delivery.body))
        raise Unavailable(f"no service has answered {kind} within {within_s:.0f} s; `pilotbus ps` shows what runs")

    def insist(self, kind: str, data: Any, patience_s: float, reply_within_s: float = ASK_WITHIN_S) -> Any:
        """The reply, asked for again over a new connection for so many seconds; only for what may well be done twice."""
        until, attempt = time.monotonic() + patience_s, 0
        while True:
            left_s = until - time.monotonic()
            try:
                return self._ask_once(kind, data, max(1.0, min(left_s, reply_within_s)))
            except Unavailable:
                if left_s <= 0:
                    raise
                self.reconnect(left_s)
            except Refused as problem:
                if problem.code != "unavailable" or left_s <= 0:
                    raise
                time.sleep(back_off(attempt))
                attempt += 1

    def follow_own(self, *patterns: str) -> None:
        """From now on `events` gives what the trusted exchange carries under these patterns and belongs to this account."""
        self.follow(*(f"of.{self.account}.{pattern}" for pattern in patterns))

    def follow(self, *patterns: str) -> None:
        """From now on `events` gives what the trusted exchange carries under these patterns, such as `job.#`.

        Operators may follow all; others `of.<account>.#`, and `in.<community>.#` where their properties say so. Raises
        Refused for what one may not follow, after which the connection has to be made anew.
        """
        if not patterns:
            return
        try:
            self._subscribe()
        except LOST as problem:
            raise Unavailable(f"the connection to the broker was lost ({problem})") from problem
        for pattern in patterns:
            try:
                self._transport.bind(self._subscription, EVENTS, pattern)
            except FORBIDDEN as problem:
                raise Refused(
                    "denied", f"{self.account} may not follow {pattern}; operators may follow all, others what is theirs"
                ) from problem
            except LOST as problem:
                raise Unavailable(f"the connection to the broker was lost ({problem})") from problem
            self._followed.append(pattern)

    def _subscribe(self) -> None:
        if not self._subscription:
            self._subscription = f"subscription.{self.account}.{uuid.uuid4().hex}"
            self._transport.own_queue(self._subscription)
            self._transport.consume(self._subscription, no_ack=True)

    def events(self, within_s: float = 1.0) -> Iterator[Event]:
        """What has come of the followed patterns; waits at most within_s for the first."""
        came, self._backlog = self._backlog, []
        came += self._receive(0 if came else within_s)
        for delivery in came:
            if delivery.queue == self._subscription:
                yield Event.from_json(delivery.body)

    def _receive(self, timeout_s: float) -> list[Delivery]:
        try:
            return self._transport.receive(500, timeout_s)
        except LOST as problem:
            raise Unavailable(f"the connection to the broker was lost ({problem})") from problem

    def _send(self, exchange: str, event: Event, **properties: Any) -> None:
        key = f"{self.account}.{event.type}.{event.subject}"
        body = event.to_json()
        try:
            self._transport.publish(exchange, key, body, mandatory=True, message_id=event.id, type=event.type, **properties)
        except Unroutable as problem:
            raise Unroutable(f"nobody on this bus takes {event.type}; is the service for it running?") from problem
        except LOST as problem:
            raise Unavailable(f"the connection to the broker was lost ({problem})") from problem


def _data(reply: Event) -> Any:
    if reply.type == REFUSED:
        raise Refused(reply.data["code"], reply.data["reason"])
    return reply.data
