"""From the event store to the broker: pipelined confirms, then the debt is struck out.

What this process has just committed is sent from memory; what another left behind when it died is found in the database.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from bus import failpoints
from bus.apply import Stored
from bus.errors import Unavailable
from bus.postgres import connect
from bus.publisher import Message, Publisher
from bus.topology import EVENTS, Topology
from bus.transport import back_off

log = structlog.get_logger()

BATCH = 1000
SWEEP_EVERY_S = 2.0
LEFT_BEHIND_AFTER_S = 5
CONFIRM_WITHIN_S = 30

_LEFT_BEHIND = """SELECT u.unsent_id, u.queue, coalesce(e.body::text, convert_from(p.body, 'UTF8')) AS body,
       e.type, e.subject, p.account
FROM bus.unsent u
LEFT JOIN bus.events e ON u.parked_id IS NULL AND e.event_id = u.unsent_id AND e.recorded_at = u.recorded_at
LEFT JOIN bus.parked p ON p.parked_id = u.parked_id
WHERE u.recorded_at <= now() - make_interval(secs => %s)
ORDER BY u.recorded_at, e.position LIMIT %s FOR UPDATE OF u SKIP LOCKED"""
_SENT = "DELETE FROM bus.unsent WHERE unsent_id = ANY(%s)"


class Relay:
    """A thread that owes the broker what is committed."""

    def __init__(self, publisher: Publisher, dsn: str, topology: Topology) -> None:
        self._publisher, self._dsn, self._topology = publisher, dsn, topology
        self._queue: queue.SimpleQueue[list[Stored]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._sweep_from_s = 0  # at the start everything owed is left behind
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._connection: Connection[Any] | None = None

    def start(self) -> Relay:
        """The thread runs."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """All that was handed over has been sent, or waits in the database for the next relay."""
        self._stopping.set()
        self._queue.put([])
        self._thread.join(timeout=15)

    def send(self, stored: list[Stored]) -> None:
        """Committed; to be sent as soon as may be."""
        if stored:
            self._queue.put(stored)

    def _take(self) -> list[Stored]:
        """All that waits, up to a batch; nothing when nothing has come for a while."""
        taken: list[Stored] = []
        try:
            taken += self._queue.get(timeout=SWEEP_EVERY_S)
            while len(taken) < BATCH:
                taken += self._queue.get_nowait()
        except queue.Empty:
            pass
        return taken

    def _run(self) -> None:
        attempt, sweep_s = 0, 0.0
        while not (self._stopping.is_set() and self._queue.empty()):
            taken = self._take()
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = connect(self._dsn)
                if taken:
                    self._send(taken)
                if time.monotonic() >= sweep_s:
                    while self._sweep() == BATCH and not self._stopping.is_set():
                        pass
                    sweep_s = time.monotonic() + SWEEP_EVERY_S
                attempt = 0
            except (Unavailable, psycopg.OperationalError, FutureTimeoutError) as problem:
                # the rows still stand in bus.unsent: the sweep finds them
                log.warning("relay.paused", reason=str(problem))
                self._stopping.wait(back_off(attempt := attempt + 1, cap_s=5))
        if self._connection is not None:
            self._connection.close()

    def _send(self, taken: Sequence[Stored]) -> None:
        messages = [
            Message(EVENTS, s.event.routing_key, s.body, s.event.id, s.event.type, transient=not s.journaled) for s in taken
        ]
        kept = self._publish(messages)
        owed = [message.id for message, stored in zip(messages, taken, strict=True) if stored.journaled and message.id in kept]
        self._strike(owed)

    def _publish(self, messages: Sequence[Message]) -> set[str]:
        """The ids that the broker has kept for everyone who must get them."""
        outcome = self._publisher.publish(messages).result(timeout=CONFIRM_WITHIN_S)
        failed = set(outcome.refused)
        for index in outcome.unroutable:
            message = messages[index]
            if message.exchange != EVENTS or self._topology.takers(message.type):
                log.error("relay.unroutable", type=message.type, id=message.id)
                failed.add(index)
        return {message.id for index, message in enumerate(messages) if index not in failed}

    def _strike(self, ids: list[str]) -> None:
        if ids and self._connection is not None:
            failpoints.reach(failpoints.AFTER_PUBLISH_BEFORE_MARK_SENT)
            self._connection.execute(_SENT, (ids,))

    def _sweep(self) -> int:
        """What was left behind is sent, and how much that was; safe with any number of relays: the rows are locked meanwhile."""
        if self._connection is None:
            return 0
        with self._connection.transaction():
            rows = self._connection.execute(_LEFT_BEHIND, (self._sweep_from_s, BATCH)).fetchall()
            messages = [
                Message(EVENTS, f"{kind}.{subject}", body.encode(), str(unsent_id), kind)
                if queue_name is None
                else Message("", queue_name, body.encode(), str(unsent_id), kind or "", account=account or "")
                for unsent_id, queue_name, body, kind, subject, account in rows
            ]
            kept = sorted(self._publish(messages)) if messages else []
            self._strike(kept)
        if len(rows) < BATCH:
            self._sweep_from_s = LEFT_BEHIND_AFTER_S
        return len(kept)
