"""Beats for connections whose loop is busy for longer than the broker would wait to hear of it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import structlog

from bus.transport import HEARTBEAT_S, LOST, Transport

log = structlog.get_logger()

SOON_S = HEARTBEAT_S / 6  # most of what is handled takes far less


class Pulse:
    """A thread that beats for transports while their own loops do not touch them."""

    def __init__(self, soon_s: float = SOON_S) -> None:
        self._soon_s = soon_s
        self._busy: dict[Transport, float] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """The thread runs."""
        self._thread.start()

    def stop(self) -> None:
        """The thread is over."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    @contextlib.contextmanager
    def busy(self, transport: Transport) -> Iterator[None]:
        """While the block lasts, the broker hears of the transport, and nobody else may touch it."""
        with self._lock:
            self._busy[transport] = time.monotonic() + self._soon_s
        try:
            yield
        finally:
            with self._lock:  # py-amqp is not thread-safe: a beat that has begun comes to its end first
                del self._busy[transport]

    def _run(self) -> None:
        while not self._stopping.wait(self._soon_s / 2):
            with self._lock:
                late = [transport for transport, due_s in self._busy.items() if due_s <= time.monotonic()]
                for transport in late:
                    self._beat(transport)

    def _beat(self, transport: Transport) -> None:
        """That it is lost, its loop finds out by itself."""
        try:
            transport.beat()
        except LOST as problem:
            log.warning("pulse.lost", reason=str(problem))
            self._busy[transport] = float("inf")
