"""Receive, apply, acknowledge: one handler's loop, with the three fates of a message that fails."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Sequence
from typing import Any

import structlog

from bus import failpoints
from bus.apply import Applied, apply, outright
from bus.backlog import Backlog
from bus.discover import Handler
from bus.errors import Conflict, Invalid, Unavailable
from bus.event import Event
from bus.gate import Denied, Flooded, Gate
from bus.loop import BATCH, IDLE_S, Loop
from bus.parking import park, quarantine
from bus.postgres import Direct
from bus.replies import reply, reply_all
from bus.topology import PREFETCH, REQUESTS, TELEMETRY
from bus.transport import LOST, Delivery, back_off
from schemas import exchange_of
from schemas.rules.identity import pilot_of

__all__ = ["BATCH", "IDLE_S", "HandlerLoop", "Loop", "reply"]

log = structlog.get_logger()

CONFLICTS = 20
FEW = 8

Received = tuple[Delivery, Event]


class HandlerLoop(Loop):
    """The loop of `handle`, `handle_all` and `act`."""

    def __init__(self, handler: Handler, hands: Any, gate: Gate, **about: Any) -> None:
        super().__init__(handler.name, **about)
        self._handler, self._hands, self._gate = handler, hands, gate
        exchange = exchange_of(self.words.known[handler.consumes[0]])
        self._guarded = exchange not in (REQUESTS, TELEMETRY)
        self._backlog = Backlog(self.name, counts=exchange == TELEMETRY)

    def open(self) -> None:
        """Consuming; what takes one at a time takes only a little ahead."""
        self._backlog.count(self.transport)
        self.transport.consume(self.name, FEW if self._handler.alone else PREFETCH)

    def take(self, deliveries: Sequence[Delivery]) -> None:
        """These have been applied and acknowledged: together, or one by one where each may take long."""
        if not self._handler.alone:
            with self._backlog.turn(self.transport):
                self._take(deliveries)
            return
        for delivery in deliveries:
            self._take([delivery])
            self.transport.beat()

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        if not self._guarded:
            self.hold(lambda: self._gate.learn(self.database, deliveries))
        good = [(delivery, event) for delivery in deliveries if (event := self._read(delivery)) is not None]
        unsettled: set[Any] = set()
        try:
            self.hold(lambda: self._apply(good))
        except (*LOST, Unavailable):
            raise
        except Exception:
            unsettled = {one[0].tag for one in good if not self._apply_one(one)}
        failpoints.reach(failpoints.AFTER_COMMIT_BEFORE_ACK, self.name)
        if not unsettled:
            self.transport.ack_up_to(deliveries[-1])
        else:
            self.transport.ack([delivery for delivery in deliveries if delivery.tag not in unsettled])

    def _apply_one(self, one: Received) -> bool:
        """Whether the message is settled; a conflict is read and decided again, for somebody else has just moved the row."""
        for attempt in range(CONFLICTS):
            try:
                self.hold(lambda: self._apply([one]))
            except (*LOST, Unavailable):
                raise
            except Exception as problem:
                if isinstance(problem, Conflict) and attempt < CONFLICTS - 1:
                    self.stopping.wait(back_off(attempt, cap_s=1))
                    continue
                if self._guarded:
                    self.failed(*one)
                    return False
                self.give_up(*one)
            return True
        return True

    def give_up(self, delivery: Delivery, event: Event) -> None:
        """A bug on something that is not of record: the asker is told, the bytes are parked, and it is over."""
        detail = traceback.format_exc()
        log.error("event.failed", handler=self.name, type=event.type, id=event.id, problem=detail)
        self.hold(lambda: park(self.database, delivery, detail))
        reason = f"{self.name} failed on this request; its operators find it by id {event.id}"
        reply(self.transport, delivery, event.refuse("unavailable", reason).signed(self._handler.source))

    def _read(self, delivery: Delivery) -> Event | None:
        """The event, or None when it is quarantined (of record) or refused (a request)."""
        event: Event | None = None
        try:
            if not self._guarded and not self._backlog.took():
                self._gate.within_rate(delivery)
            event = Event.from_json(delivery.body)
            if event.type not in self._handler.consumes:
                raise Invalid(f"{self.name} does not take {event.type}")
            self.words.judge(event)
            if self._guarded:
                return event
            if delivery.exchange == REQUESTS and delivery.reply_to is None:
                raise Denied("a request is replied to by direct reply-to and in no other way")
            return self._gate.admit(delivery, event)
        except Flooded as problem:
            # a pilot's is neither read nor replied to: whoever floods pays for it alone; a person's program is told
            if delivery.exchange == REQUESTS and pilot_of(delivery.account or "") is None:
                self._tell_flooded(delivery, problem)
            return None
        except Invalid as problem:
            self._refuse(delivery, event, problem)
            return None

    def _tell_flooded(self, delivery: Delivery, problem: Flooded) -> None:
        with contextlib.suppress(Invalid):
            event = Event.from_json(delivery.body)
            reply(self.transport, delivery, event.refuse("unavailable", str(problem)).signed(self._handler.source))

    def _refuse(self, delivery: Delivery, event: Event | None, problem: Invalid) -> None:
        if not self._guarded:
            self._gate.alarm(delivery, problem)
        if event is not None and delivery.exchange == REQUESTS:
            code = "denied" if isinstance(problem, Denied) else "invalid"
            reply(self.transport, delivery, event.refuse(code, str(problem)).signed(self._handler.source))
        else:
            reason = str(problem)
            self.hold(lambda: quarantine(self.database, delivery, reason))

    def _apply(self, received: Sequence[Received]) -> None:
        if not received:
            return
        if self._handler.verb == "act":
            for one in received:
                self._act(one)
            return
        events = [event for _, event in received]
        with self._pulse.busy(self.transport):
            applied, stored = apply(self._handler, events, self.database, self.words, once=self._guarded, hands=self._hands)
        failpoints.reach(failpoints.AFTER_COMMIT_BEFORE_REPLY, self.name)
        self.send(stored)
        self._reply(received, applied)

    def _act(self, one: Received) -> None:
        """The outside first, outside any transaction and perhaps twice; then what came of it."""
        found = outright(self._handler.function, one[1], Direct(self.database, self._handler.sql), self._hands)
        applied, stored = apply(
            self._handler, [one[1]], self.database, self.words, once=self._guarded, function=lambda _event, _db: found
        )
        self.send(stored)
        self._reply([one], applied)

    def _reply(self, received: Sequence[Received], applied: Sequence[Applied]) -> None:
        replies = [
            (delivery, event)
            for (delivery, _), outcome in zip(received, applied, strict=True)
            for event in outcome.answers
            if event.type.endswith(".reply")
        ]
        reply_all(self.transport, replies)
