"""From the event store to the broker: pipelined confirms, then the debt is struck out.

What this process has just committed is sent from memory; what another left behind when it died is found in the database.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from bus import failpoints
from bus.apply import Stored
from bus.event import audience
from bus.postgres import connect
from bus.publisher import Message, Publisher
from bus.topology import EVENTS, Topology
from bus.transport import back_off

log = structlog.get_logger()

BATCH = 1000
SWEEP_EVERY_S = 2.0
LEFT_BEHIND_AFTER_S = 5
CONFIRM_WITHIN_S = 30
MOST_WAITING = 5000

_LEFT_BEHIND = """SELECT u.unsent_id, u.queue, coalesce(convert_to(e.body::text, 'UTF8'), p.body) AS body,
       e.type, e.subject, p.account, e.body->>'owner', e.body->>'vo'
FROM bus.unsent u
LEFT JOIN bus.events e ON u.parked_id IS NULL AND e.event_id = u.unsent_id AND e.recorded_at = u.recorded_at
LEFT JOIN bus.parked p ON p.parked_id = u.parked_id
WHERE u.recorded_at <= now() - make_interval(secs => %s) AND NOT u.unsent_id = ANY(%s::uuid[])
ORDER BY u.recorded_at, e.position LIMIT %s FOR UPDATE OF u SKIP LOCKED"""
_SENT = "DELETE FROM bus.unsent WHERE unsent_id = ANY(%s)"


class Relay:
    """A thread that owes the broker what is committed."""

    def __init__(self, publisher: Publisher, dsn: str, topology: Topology) -> None:
        self._publisher, self._dsn, self._topology = publisher, dsn, topology
        self._queue: queue.SimpleQueue[list[Stored]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._behind = threading.Event()
        self._behind.set()  # at the start everything owed was left behind
        self._sweep_at_s = 0.0
        self._unsendable: set[str] = set()
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
        if stored and self._queue.qsize() < MOST_WAITING:
            self._queue.put(stored)
        elif stored:
            self._behind.set()  # the database has them, in order

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
        attempt = 0
        while not (self._stopping.is_set() and self._queue.empty()):
            taken = self._take()
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = connect(self._dsn)
                    # a debt that was paid and is not struck out after a crash is paid again, which nobody minds
                    self._connection.execute("SET synchronous_commit = off")
                self._turn(taken)
                attempt = 0
            except Exception as problem:
                # what could not be sent stands in bus.unsent; from here on all goes from there, so that order is kept
                self._behind.set()
                log.warning("relay.paused", reason=str(problem))
                if isinstance(problem, psycopg.OperationalError) and self._connection is not None:
                    self._connection.close()
                self._stopping.wait(back_off(attempt := attempt + 1, cap_s=5))
        if self._connection is not None:
            self._connection.close()

    def _turn(self, taken: Sequence[Stored]) -> None:
        if self._behind.is_set():
            transient = [stored for stored in taken if not stored.journaled]
            if self._catch_up(0):
                self._behind.clear()
            self._send(transient)
            return
        self._send(taken)
        if time.monotonic() >= self._sweep_at_s:
            self._catch_up(LEFT_BEHIND_AFTER_S)
            self._sweep_at_s = time.monotonic() + SWEEP_EVERY_S

    def _catch_up(self, older_than_s: int) -> bool:
        """Whether all that was owed for so long could be sent; what has no queue is left out, and tried again later."""
        self._unsendable.clear()
        while not self._stopping.is_set():
            seen, kept = self._sweep(older_than_s)
            if seen < BATCH:
                return True
            if not kept and seen == BATCH and len(self._unsendable) > MOST_WAITING:
                break
        return False

    def _send(self, taken: Sequence[Stored]) -> None:
        if not taken:
            return
        messages = [
            Message(
                EVENTS, s.event.routing_key, s.body, s.event.id, s.event.type, transient=not s.journaled, also=s.event.audience
            )
            for s in taken
        ]
        kept = self._publish(messages)
        owed = [message.id for message, stored in zip(messages, taken, strict=True) if stored.journaled and message.id in kept]
        self._strike(owed)
        if len(owed) < sum(stored.journaled for stored in taken):
            self._behind.set()

    def _publish(self, messages: Sequence[Message]) -> set[str]:
        """The ids that the broker has kept for everyone who must get them."""
        outcome = self._publisher.publish(messages).result(timeout=CONFIRM_WITHIN_S)
        failed = set(outcome.refused)
        for index in outcome.unroutable:
            message = messages[index]
            if message.exchange != EVENTS or self._topology.takers(message.type):
                failed.add(index)
        if failed:
            types = sorted({messages[index].type for index in failed})
            log.error("relay.unsendable", count=len(failed), types=types)
        return {message.id for index, message in enumerate(messages) if index not in failed}

    def _strike(self, ids: list[str]) -> None:
        if ids and self._connection is not None:
            failpoints.reach(failpoints.AFTER_PUBLISH_BEFORE_MARK_SENT)
            self._connection.execute(_SENT, (ids,))

    def _sweep(self, older_than_s: int) -> tuple[int, int]:
        """How many owed rows were seen and how many sent; safe with any number of relays: the rows are locked meanwhile."""
        if self._connection is None:
            return 0, 0
        with self._connection.transaction():
            rows = self._connection.execute(_LEFT_BEHIND, (older_than_s, list(self._unsendable), BATCH)).fetchall()
            messages = [
                Message(EVENTS, f"{kind}.{subject}", body, str(unsent_id), kind, also=audience(f"{kind}.{subject}", owner, vo))
                if queue_name is None
                else Message("", queue_name, body, str(unsent_id), kind or "", account=account or "")
                for unsent_id, queue_name, body, kind, subject, account, owner, vo in rows
            ]
            kept = self._publish(messages) if messages else set()
            self._strike(sorted(kept))
        self._unsendable |= {message.id for message in messages} - kept
        return len(rows), len(kept)
