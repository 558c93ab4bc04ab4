"""What the pilot is told while it works: by signal from the node, by order from the services."""

from __future__ import annotations

import queue
import signal
import threading
import time
from typing import Any, Callable, Protocol

from pilot.wire.envelope import Refused
from pilot.wire.outbox import backoff

LISTEN_S = 300
AGAIN_S = 30
_SAME_SIGNAL_S = 0.25


class Disobeyed(Exception):
    """An order can not be carried out; one sentence says why."""


class Asks(Protocol):
    """What the listener needs of a pilot."""

    pilot_id: str

    def ask(self, name: str, data: dict[str, Any], again_after_s: float) -> Any:
        """A future of the reply."""

    def say(self, name: str, data: dict[str, Any]) -> None:
        """The event is said."""


class Orders:
    """Orders as they stand now; wait() returns as soon as something may have changed."""

    def __init__(self) -> None:
        self.leaving = ""
        self.leave_at_once = False
        self.others: dict[str, Callable[[dict[str, Any]], None]] = {}  # what obeys the orders of other kinds; may raise Disobeyed
        self._killed: set[tuple[int, int]] = set()
        self._highest = 0
        self._signalled_at = 0.0
        # queues and no lock: a signal handler may interrupt the very thread that waits here
        self._changes: dict[int, queue.SimpleQueue[None]] = {threading.get_ident(): queue.SimpleQueue()}

    def wait(self, seconds: float) -> None:
        """Return after a change since this thread last waited, or when the time is up; a thread's first wait may be short."""
        changes = self._changes.get(threading.get_ident())
        if changes is None:
            # what changed before was kept for others only: this thread looks again before it waits
            self._changes[threading.get_ident()] = queue.SimpleQueue()
            return
        try:
            changes.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return

    def changed(self, *_: object) -> None:
        """Every thread that waits looks again."""
        for changes in list(self._changes.values()):
            if changes.empty():  # one is enough, and a thread that has ended takes none
                changes.put(None)

    def killed(self, job_id: int, attempt: int) -> bool:
        """Whether this attempt is to be killed; the order may have come before the job did."""
        return (job_id, attempt) in self._killed

    @property
    def why(self) -> str:
        """Why the pilot leaves at once, as a sentence."""
        told = {"signal": "the node told the pilot twice to leave", "stopped": "an operator has stopped the pilot"}
        return told.get(self.leaving, f"the pilot leaves: {self.leaving}")

    def drain(self, reason: str) -> None:
        """Finish the current job, then leave."""
        self.leaving = self.leaving or reason
        self.changed()

    def end(self, reason: str) -> None:
        """Leave at once: what runs is ended."""
        self.leaving = self.leaving or reason
        self.leave_at_once = True
        self.changed()

    def take(self, order: dict[str, Any]) -> dict[str, Any] | None:
        """The order holds from now on, or is refused: its acknowledgement. None for an old one, which changes nothing."""
        if order["number"] <= self._highest:
            return None
        self._highest = order["number"]
        told = {"number": order["number"]}
        try:
            self._obey(order)
        except Disobeyed as refusal:
            return {**told, "outcome": "refused", "reason": str(refusal)}
        return {**told, "outcome": "taken"}

    def _obey(self, order: dict[str, Any]) -> None:
        kind = order["order"]
        if kind == "drain":
            self.drain("drained")
        elif kind == "stop":
            self.end("stopped")
        elif kind == "kill" and "job_id" in order and "attempt" in order:
            self._killed.add((order["job_id"], order["attempt"]))
            self.changed()
        elif kind in self.others:
            self.others[kind](order)
        else:
            raise Disobeyed(f"this pilot knows no order {kind!r} like that")

    def obey_signals(self) -> Callable[[], None]:
        """SIGTERM and SIGINT drain, a second one ends the payload as well; call the result to undo."""
        before = {number: signal.signal(number, self._signalled) for number in (signal.SIGTERM, signal.SIGINT)}

        def undo() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return undo

    def _signalled(self, _number: int, _frame: object) -> None:
        if self.leaving != "signal":
            self._signalled_at = time.monotonic()
        # one signal to a whole process group comes twice: from the batch system, and from the wrapper that passes it on
        elif time.monotonic() > self._signalled_at + _SAME_SIGNAL_S:
            self.leave_at_once = True
        self.leaving = "signal"
        self.changed()

    def listen(self, pilot: Asks, complain: Callable[[str], None]) -> None:
        """One pilot.listen is kept outstanding from now on, for as long as this process lives."""
        threading.Thread(target=self._listen, args=(pilot, complain), name="orders", daemon=True).start()

    def _listen(self, pilot: Asks, complain: Callable[[str], None]) -> None:
        failures = 0
        while True:
            request = {"pilot_id": pilot.pilot_id, "after": self._highest, "wait_s": LISTEN_S}
            try:
                for order in pilot.ask("pilot.listen.v1", request, LISTEN_S + AGAIN_S).result()["orders"]:
                    acknowledgement = self.take(order)
                    if acknowledgement is not None:
                        pilot.say("pilot.obeyed.v1", {"pilot_id": pilot.pilot_id, **acknowledgement})
                failures = 0
            except Refused as refusal:
                failures += 1
                if failures == 1:
                    complain(f"no orders can be heard: {refusal}")
                time.sleep(1 + backoff(failures))
