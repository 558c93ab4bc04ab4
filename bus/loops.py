"""The loops that are not a handler's own: the gate, the parking attendant, the parked requests, the clock."""

from __future__ import annotations

import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from bus import failpoints
from bus.apply import Stored, Words, answer, store
from bus.consume import BATCH, IDLE_S, HandlerLoop, Loop, reply
from bus.discover import Handler
from bus.errors import Unavailable
from bus.event import Event
from bus.gate import NAME, Gate
from bus.parking import park, quarantine
from bus.postgres import connect
from bus.topology import EVENTS, PARKING
from bus.transport import LOST, Delivery, back_off

log = structlog.get_logger()

LONGEST_WAIT_S = 1200  # the broker closes a channel whose delivery waits for 30 minutes
INBOX_DAYS = 14
MOST_PARKED = 8  # of one account: a stolen pilot holds no more of the house's memory, and of its jobs, than any other


class BatchLoop(Loop):
    """Deliveries are taken together; if that fails, one by one, and one that fails alone is put in quarantine."""

    def take(self, deliveries: Sequence[Delivery]) -> None:
        """These are settled."""
        try:
            self.hold(lambda: self.settle(deliveries))
        except (*LOST, Unavailable):
            raise
        except Exception:
            for delivery in deliveries:
                self._alone(delivery)
        failpoints.reach(failpoints.AFTER_COMMIT_BEFORE_ACK, self.name)
        self.transport.ack_up_to(deliveries[-1])

    def _alone(self, delivery: Delivery) -> None:
        try:
            self.hold(lambda: self.settle([delivery]))
        except (*LOST, Unavailable):
            raise
        except Exception:
            detail = traceback.format_exc()
            log.exception("message.failed", handler=self.name)
            self.hold(lambda: quarantine(self.database, delivery, detail))

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        """These have their effect, all or none."""
        raise NotImplementedError


class GateLoop(BatchLoop):
    """What comes from outside, checked and passed on."""

    def __init__(self, gate: Gate, **about: Any) -> None:
        super().__init__(NAME, **about)
        self._gate = gate

    def turn(self) -> None:
        """What came has passed or is refused, and what was refused elsewhere in this process is told."""
        super().turn()
        if alarms := self._gate.alarms():
            self.hold(lambda: self._tell(alarms))

    def _tell(self, alarms: Sequence[Event]) -> None:
        with self.database.transaction():
            stored = store(self.database, alarms, self.words)
        self.send(stored)

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        """These are in the event store, or refused."""
        self.send(self._gate.pass_on(deliveries, self.database))


class ParkingLoop(BatchLoop):
    """Dead letters into the table that `pilotbus parking` shows."""

    def __init__(self, **about: Any) -> None:
        super().__init__(PARKING, **about)

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        """These are kept."""
        with self.database.transaction():
            for delivery in deliveries:
                park(self.database, delivery)


class Gone(Exception):
    """Somebody who was about to be answered is not there any more."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A request that waits for its answer."""

    delivery: Delivery
    event: Event
    due_s: float


class AnswerLoop(HandlerLoop):
    """The loop of `answer`: requests wait unacknowledged until the handler has a reply, or their time is up.

    A wake event is a hint, not a fact: it comes to every process that holds requests, and only the handler's claim decides.
    """

    def __init__(self, handler: Handler, hands: Any, gate: Gate, **about: Any) -> None:
        super().__init__(handler, hands, gate, **about)
        self._wake_queue = ""
        self._parked: dict[str, Parked] = {}
        self._of: dict[str, dict[str, None]] = {}

    def open(self) -> None:
        """Consuming requests, as many as there are, and wakes."""
        self._parked.clear()
        self._of.clear()
        self._wake_queue = f"wake.{self.name}.{uuid.uuid4().hex}"  # a new one: the broker may still hold the last for a while
        self.transport.consume(self.name, 0)
        self.transport.own_queue(self._wake_queue)
        for kind in self._handler.wakes:
            self.transport.bind(self._wake_queue, EVENTS, f"{kind}.*")
        self.transport.consume(self._wake_queue, no_ack=True)

    def turn(self) -> None:
        """What came is answered or parked; what has waited long enough is told to ask again."""
        deliveries = self.transport.receive(BATCH, IDLE_S)
        wakes = [Event.from_json(delivery.body) for delivery in deliveries if delivery.queue == self._wake_queue]
        asked = [delivery for delivery in deliveries if delivery.queue != self._wake_queue]
        self.hold(lambda: self._gate.learn(self.database, asked))
        new: list[Event] = []
        for delivery in asked:
            new += self._park(delivery)
        if new:
            self._answer(new, [])
        if wakes and self._parked:
            self._answer([parked.event for parked in self._parked.values()], wakes)
        self._expire()

    def _park(self, delivery: Delivery) -> list[Event]:
        event = self._read(delivery)
        if event is None:
            self.transport.ack([delivery])
            return []
        wait_s = min(float(event.data.get("wait_s", 0)), LONGEST_WAIT_S)
        if older := self._parked.pop(event.id, None):
            self.transport.ack([older.delivery])
        self._parked[event.id] = Parked(delivery, event, time.monotonic() + wait_s)
        self._make_room(event)
        return [event]

    def _make_room(self, event: Event) -> None:
        """An account has only so many parked requests; the oldest is told that there is nothing."""
        own = self._of.setdefault(event.authid or "", {})
        own[event.id] = None
        gone = [request_id for request_id in own if request_id not in self._parked]
        for request_id in gone:
            del own[request_id]
        if len(own) > MOST_PARKED:
            oldest = next(iter(own))
            del own[oldest]
            self._tell_nothing(self._parked.pop(oldest))

    def _answer(self, requests: Sequence[Event], wakes: Sequence[Event]) -> None:
        """What can be answered is; a request on which the handler fails is told so, and the others are asked about alone."""
        try:
            self.hold(lambda: self._ask(requests, wakes))
        except (*LOST, Unavailable):
            raise
        except Exception:
            if len(requests) > 1:
                for request in requests:
                    self._answer([request], wakes)
            else:
                parked = self._parked.pop(requests[0].id, None)
                if parked is not None:
                    self.give_up(parked.delivery, parked.event)
                    self.transport.ack([parked.delivery])

    def _ask(self, requests: Sequence[Event], wakes: Sequence[Event]) -> None:
        """A pilot that died while its request was parked gets nothing: it is forgotten before anything is committed."""
        waiting = [request for request in requests if request.id in self._parked]
        try:
            replies, stored = answer(self._handler, waiting, wakes, self.database, self.words, self._confirm)
        except Gone:
            self._forget([request for request in waiting if not self._is_there(request.id)])
            self._ask(requests, wakes)
            return
        self.send(stored)
        for request_id, event in replies.items():
            self._settle(self._parked.pop(request_id), event)

    def _is_there(self, request_id: str) -> bool:
        reply_to = self._parked[request_id].delivery.reply_to
        return reply_to is not None and self.transport.alive(reply_to)

    def _confirm(self, request_ids: Iterable[str]) -> None:
        if not all(self._is_there(request_id) for request_id in request_ids):
            raise Gone

    def _forget(self, gone: Sequence[Event]) -> None:
        log.info("requests.forgotten", handler=self.name, count=len(gone))
        self.transport.ack([self._parked.pop(request.id).delivery for request in gone])

    def _settle(self, parked: Parked, event: Event) -> None:
        failpoints.reach(failpoints.AFTER_COMMIT_BEFORE_ACK, self.name)
        reply(self.transport, parked.delivery, event)
        self.transport.ack([parked.delivery])

    def _expire(self) -> None:
        now_s = time.monotonic()
        over = [request_id for request_id, parked in self._parked.items() if parked.due_s <= now_s]
        for request_id in over:
            self._tell_nothing(self._parked.pop(request_id))
        if len(self._of) > 2 * len(self._parked) + BATCH:
            held = {parked.event.authid or "" for parked in self._parked.values()}
            self._of = {account: own for account, own in self._of.items() if account in held}

    def _tell_nothing(self, parked: Parked) -> None:
        self._settle(parked, parked.event.reply(dict(self._handler.empty or {})).signed(self._handler.source))


class Clock:
    """A thread for which time is an event: due timers, and a minute that is over."""

    def __init__(self, dsn: str, words: Words, send: Callable[[list[Stored]], None]) -> None:
        self._dsn, self._words, self._send = dsn, words, send
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def start(self) -> Clock:
        """The thread runs."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """The thread is over."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        attempt, tidied = 0, None
        connection = None
        while not self._stopping.wait(0.5):
            try:
                connection = connect(self._dsn) if connection is None or connection.closed else connection
                with connection.transaction():
                    stored = store(connection, [*_due(connection), *_minute(connection)], self._words)
                self._send(stored)
                if tidied != (today := datetime.now(UTC).date()):
                    connection.execute("SELECT bus.tidy(%s, %s)", (today, INBOX_DAYS))
                    tidied = today
                attempt = 0
            except Exception as problem:  # whatever it is, time goes on
                log.warning("clock.paused", reason=str(problem))
                self._stopping.wait(back_off(attempt := attempt + 1, cap_s=5))
        if connection is not None:
            connection.close()


_DUE = """DELETE FROM bus.timers WHERE timer IN
(SELECT timer FROM bus.timers WHERE due_at <= now() ORDER BY due_at LIMIT 1000 FOR UPDATE SKIP LOCKED)
RETURNING type, subject, data"""
_TICK = """INSERT INTO bus.inbox (handler, event_id) VALUES ('clock', %s)
ON CONFLICT DO NOTHING RETURNING event_id"""
_MINUTES = uuid.UUID("6f0d6a52-3a51-5c7e-9d0e-0c3a6f3b8a11")


def _due(connection: Any) -> list[Event]:
    rows: Sequence[tuple[str, str, Mapping[str, Any]]] = connection.execute(_DUE).fetchall()
    return [Event(kind, "/pilotbus/bus.clock", subject, data) for kind, subject, data in rows]


def _minute(connection: Any) -> list[Event]:
    """This minute's event, from whichever process comes first."""
    minute = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:00Z")
    tick = str(uuid.uuid5(_MINUTES, minute))
    if connection.execute(_TICK, (tick,)).fetchone() is None:
        return []
    return [Event("clock.minute.v1", "/pilotbus/bus.clock", minute[:16].replace(":", "-"), {"minute": minute}, id=tick)]
