"""The loop of a handler that remembers: its requests wait unacknowledged, and its memory says which of them is next."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import structlog

from bus import failpoints
from bus.apply import memory_of, serve
from bus.consume import BATCH, IDLE_S, HandlerLoop
from bus.discover import Handler
from bus.errors import Unavailable
from bus.event import Event
from bus.gate import Gate
from bus.replies import reply_all
from bus.topology import EVENTS
from bus.transport import LOST, Delivery

MOST_FAILURES = 20

log = structlog.get_logger()


class ServeLoop(HandlerLoop):
    """The loop of `serve`: requests wait unacknowledged until the handler has a reply to each.

    Which of them wait, and for how long, is the handler's: it remembers them in its memory, of which every loop has its own.
    A wake event is a hint, not a fact: it comes to every process that holds requests, and only the database decides.
    """

    def __init__(self, handler: Handler, hands: Any, gate: Gate, **about: Any) -> None:
        super().__init__(handler, hands, gate, **about)
        self._wake_queue = ""
        self._held: dict[str, Delivery] = {}
        self._memory: Any = None
        self._failures = 0

    def open(self) -> None:
        """Consuming requests, as many as there are, and wakes; nothing is remembered of what was before."""
        self._held.clear()
        self._failures = 0
        self._memory = memory_of(self._handler, self._hands)
        self._memory.is_there = self._is_there
        self._wake_queue = f"wake.{self.name}.{uuid.uuid4().hex}"  # a new one: the broker may still hold the last for a while
        self.transport.own_queue(self._wake_queue)
        for kind in self._handler.wakes:
            self.transport.bind(self._wake_queue, EVENTS, f"{kind}.*")
        self.transport.consume(self._wake_queue, no_ack=True)
        self._answer([], [])  # what there is already is known before the first request
        self.transport.consume(self.name, 0)

    def turn(self) -> None:
        """What came is answered or waits; what waited is answered when there is something for it, or its time is up."""
        deliveries = self.transport.receive(BATCH, min(IDLE_S, self._memory.idle_s()))
        wakes = [Event.from_json(delivery.body) for delivery in deliveries if delivery.queue == self._wake_queue]
        asked = [delivery for delivery in deliveries if delivery.queue != self._wake_queue]
        self.hold(lambda: self._gate.learn(self.database, asked))
        new: dict[str, Event] = {}  # a request that comes twice at once is one
        for delivery in asked:
            new |= {event.id: event for event in self._take_in(delivery)}
        self._answer(list(new.values()), wakes)

    def _take_in(self, delivery: Delivery) -> list[Event]:
        event = self._read(delivery)
        if event is None:
            self.transport.ack([delivery])
            return []
        if older := self._held.pop(event.id, None):
            self.transport.ack([older])
        self._held[event.id] = delivery
        return [event]

    def _answer(self, requests: Sequence[Event], wakes: Sequence[Event]) -> None:
        """What can be answered is; a request on which the handler fails is told so, and the others are asked about alone."""
        try:
            self.hold(lambda: self._ask(requests, wakes))
        except (*LOST, Unavailable):
            raise
        except Exception:
            if not requests:  # those that wait are as before, and are asked about again
                self._failures += 1
                if self._failures > MOST_FAILURES:
                    raise
                log.exception("requests.failed", handler=self.name)
                return
            if len(requests) > 1:
                self._answer([], wakes)
                for request in requests:
                    self._answer([request], [])
            elif (delivery := self._held.pop(requests[0].id, None)) is not None:
                self.give_up(delivery, requests[0])
                self.transport.ack([delivery])
        for request in requests:
            if request.id in self._held:
                self._held[request.id] = self._held[request.id].slim()

    def _ask(self, requests: Sequence[Event], wakes: Sequence[Event]) -> None:
        replies, stored = serve(self._handler, requests, wakes, self.database, self.words, self._memory)
        self.send(stored)
        failpoints.reach(failpoints.AFTER_COMMIT_BEFORE_ACK, self.name)
        told = [(delivery, event) for request_id, event in replies.items() if (delivery := self._held.pop(request_id, None))]
        reply_all(self.transport, told)
        self.transport.ack([delivery for delivery, _ in told])

    def _is_there(self, request_id: str) -> bool:
        """Whether the reply would be heard; what nobody waits for is not held any more."""
        delivery = self._held.get(request_id)
        if delivery is not None and delivery.reply_to is not None and self.transport.alive(delivery.reply_to):
            return True
        if delivery is not None:
            log.info("request.forgotten", handler=self.name)
            self.transport.ack([self._held.pop(request_id)])
        return False
