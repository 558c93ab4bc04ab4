"""Receive, apply, acknowledge: one handler's loop, with the three fates of a message that fails."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from bus import failpoints
from bus.apply import Applied, Stored, Words, apply, outright
from bus.backlog import Backlog
from bus.discover import Handler
from bus.errors import Conflict, Invalid, Later, Unavailable
from bus.event import Event
from bus.gate import Denied, Flooded, Gate
from bus.parking import park, quarantine, storable
from bus.postgres import Direct, connect
from bus.publisher import unreadable
from bus.replies import reply, reply_all
from bus.topology import PREFETCH, REQUESTS, TELEMETRY, Topology
from bus.transport import LOST, Delivery, Transport, back_off
from schemas import exchange_of
from schemas.rules.identity import pilot_of

__all__ = ["BATCH", "IDLE_S", "HandlerLoop", "Loop", "reply"]

log = structlog.get_logger()

IDLE_S = 1.0
BATCH = PREFETCH // 2
CONFLICTS = 20
ACT_PREFETCH = 8

_FAILED = """INSERT INTO bus.failures (handler, event_id, failed_at, detail) VALUES (%s, %s, now(), %s)
ON CONFLICT (handler, event_id) DO UPDATE SET failed_at = now(), detail = excluded.detail"""

Received = tuple[Delivery, Event]


class Loop:
    """One handler's loop in its own thread, with its own channel and its own database connection.

    Broker lost: reconnect with back-off; what was unacknowledged comes again and the inbox knows it.
    Database lost: the batch is held and tried again with back-off; no delivery is burnt.
    """

    def __init__(
        self, name: str, url: str, ca_file: str, dsn: str, topology: Topology, send: Callable[[list[Stored]], None], words: Words
    ) -> None:
        self.name, self.words, self.send = name, words, send
        self._url, self._ca_file, self._dsn, self._topology = url, ca_file, dsn, topology
        self._database: Connection[Any] | None = None
        self.transport = Transport(url, ca_file)
        self.stopping = threading.Event()
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """The thread runs."""
        self._thread.start()

    def stop(self) -> None:
        """The loop takes nothing new; what it has in hand is finished."""
        self.stopping.set()

    def join(self, timeout_s: float) -> None:
        """The thread is over, or the time is up."""
        self._thread.join(timeout_s)

    @property
    def database(self) -> Connection[Any]:
        """A database connection that was alive a moment ago."""
        if self._database is None or self._database.closed:
            self._database = connect(self._dsn)
        return self._database

    def _run(self) -> None:
        attempt = 0
        while not self.stopping.is_set():
            stuck = False
            try:
                self.transport = Transport(self._url, self._ca_file).connect()
                if attempt:  # the runner has declared everything before the first time
                    self.transport.declare(self._topology)
                self.open()
                self.ready.set()
                while not self.stopping.is_set():
                    self.turn()
                    attempt = 0
            except (*LOST, Unavailable) as problem:
                log.warning("loop.disconnected", handler=self.name, reason=str(problem))
            except UnicodeDecodeError as problem:
                log.warning("loop.unreadable", handler=self.name, reason=str(problem))
                stuck = True
            except Exception:
                log.exception("loop.failed", handler=self.name)
            finally:
                self.transport.close()
            if stuck:
                self._unstick()
            self.stopping.wait(back_off(attempt := attempt + 1))
        if self._database is not None:
            self._database.close()

    def _unstick(self) -> None:
        """What py-amqp can not even read is in quarantine; without this it would come again for ever."""
        try:
            for delivery, settle in unreadable(self._url, self._ca_file, self.name, PREFETCH):
                quarantine(self.database, delivery, "a property or the routing key is not UTF-8")
                settle()
        except Exception:
            log.exception("loop.stuck", handler=self.name)

    def open(self) -> None:
        """Consuming."""
        self.transport.consume(self.name, PREFETCH)

    def turn(self) -> None:
        """One batch received, applied, acknowledged."""
        if deliveries := self.transport.receive(BATCH, IDLE_S):
            self.take(deliveries)

    def take(self, deliveries: Sequence[Delivery]) -> None:
        """These have been applied, quarantined or rejected, and acknowledged."""
        raise NotImplementedError

    def hold(self, work: Callable[[], None]) -> None:
        """The work is done; while the database is away it is tried again, and nothing is burnt."""
        attempt = 0
        while True:
            try:
                return work()
            except psycopg.errors.QueryCanceled:
                raise  # it takes too long, and would again: the fault of what was asked, not of the database
            except (psycopg.OperationalError, Later, Unavailable) as problem:
                if isinstance(problem, psycopg.OperationalError) and self._database is not None:
                    self._database.close()
                if self.stopping.is_set():
                    raise Unavailable("stopping before the database came back") from problem
                if attempt > 1:
                    log.warning("loop.paused", handler=self.name, reason=str(problem))
                self.stopping.wait(back_off(attempt := attempt + 1, cap_s=5))
                self.transport.beat()

    def failed(self, delivery: Delivery, event: Event) -> None:
        """A bug: the traceback is kept, and the message goes back, one delivery burnt, until the limit parks it."""
        detail = traceback.format_exc()
        log.error("event.failed", handler=self.name, type=event.type, id=event.id, problem=detail)
        self.hold(lambda: self._keep(event, storable(detail)))
        self.transport.reject(delivery, requeue=True)

    def _keep(self, event: Event, detail: str) -> None:
        self.database.execute(_FAILED, (self.name, event.id, detail))


class HandlerLoop(Loop):
    """The loop of `handle`, `handle_all` and `act`."""

    def __init__(self, handler: Handler, hands: Any, gate: Gate, **about: Any) -> None:
        super().__init__(handler.name, **about)
        self._handler, self._hands, self._gate = handler, hands, gate
        exchange = exchange_of(self.words.known[handler.consumes[0]])
        self._guarded = exchange not in (REQUESTS, TELEMETRY)
        self._backlog = Backlog(self.name, counts=exchange == TELEMETRY)

    def open(self) -> None:
        """Consuming; what touches the outside takes only a little ahead."""
        self._backlog.count(self.transport)
        self.transport.consume(self.name, ACT_PREFETCH if self._handler.verb == "act" else PREFETCH)

    def take(self, deliveries: Sequence[Delivery]) -> None:
        """These have been applied and acknowledged: together, or one by one where each touches the outside."""
        if self._handler.verb != "act":
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
        applied, stored = apply(self._handler, events, self.database, self.words, once=self._guarded, hands=self._hands)
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
