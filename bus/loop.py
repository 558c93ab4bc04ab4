"""What every loop does: connect, take turns, hold while the database is away, and come back when the broker was."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import structlog
from psycopg import Connection

from bus.apply import Stored, Words
from bus.errors import Later, Unavailable
from bus.event import Event
from bus.parking import quarantine, storable
from bus.postgres import connect
from bus.publisher import unreadable
from bus.pulse import Pulse
from bus.topology import PREFETCH, Topology
from bus.transport import LOST, Delivery, Transport, back_off

log = structlog.get_logger()

IDLE_S = 1.0
BATCH = PREFETCH // 2

_FAILED = """INSERT INTO bus.failures (handler, event_id, failed_at, detail) VALUES (%s, %s, now(), %s)
ON CONFLICT (handler, event_id) DO UPDATE SET failed_at = now(), detail = excluded.detail"""


class Loop:
    """One handler's loop in its own thread, with its own channel and its own database connection.

    Broker lost: reconnect with back-off; what was unacknowledged comes again and the inbox knows it.
    Database lost: the batch is held and tried again with back-off; no delivery is burnt.
    """

    def __init__(
        self,
        name: str,
        url: str,
        ca_file: str,
        dsn: str,
        topology: Topology,
        send: Callable[[list[Stored]], None],
        words: Words,
        pulse: Pulse,
    ) -> None:
        self.name, self.words, self.send, self._pulse = name, words, send, pulse
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
