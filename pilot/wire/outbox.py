"""What waits to be sent and to be answered: outlives every connection, and every thread may touch it."""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from pilot.wire.envelope import Refused, open_reply, seal, wrap
from pilot.wire.lines import Lines
from pilot.wire.spool import Spool

MOST_BATCHES_OUT = 32
# the gate takes 200 messages a second from a pilot; the others are for what is not a log
_BATCHES_PER_S = 120.0
_BATCHES_AT_ONCE = 240.0
# its own, so that a program that seeds Python's neither lines up a crowd of pilots nor has its own numbers disturbed
_CHANCE = random.Random()


def backoff(attempt: int, *, first_s: float = 0.5, cap_s: float = 30.0) -> float:
    """The seconds to wait before this attempt (0, 1, 2…): anything up to a bound that doubles, so that a crowd spreads."""
    return _CHANCE.uniform(0, min(cap_s, first_s * 2 ** min(attempt, 16)))


@dataclass(eq=False)
class Ask:
    """One request until it is answered: the same bytes are sent again after a new connection, or when its time is up."""

    envelope: dict[str, Any]
    again_after_s: float
    answer: Future[dict[str, Any]] = field(default_factory=Future)
    due: float = 0.0
    failures: int = 0


class Outbox:
    """The pilot's side of the conversation, whole, whether there is a connection or not."""

    def __init__(self, source: str, pilot_id: str, spool: Spool, lines: Lines) -> None:
        self.source = source
        self.pilot_id = pilot_id
        self.spool = spool
        self.lines = lines
        self.batches: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self.lines_refused = ""
        self._batches_left = _BATCHES_AT_ONCE
        self._counted_at = time.monotonic()
        self._asks: dict[str, Ask] = {}
        self._changed = threading.Condition()

    def ask(self, name: str, data: dict[str, Any], again_after_s: float) -> Ask:
        """The request waits for its answer from now on."""
        ask = Ask(seal(name, self.source, data, self.pilot_id), again_after_s)
        with self._changed:
            self._asks[ask.envelope["id"]] = ask
        return ask

    def due_asks(self) -> list[Ask]:
        """The requests to send now. One whose asker has given up is forgotten."""
        moment = time.monotonic()
        with self._changed:
            for ask_id in [ask_id for ask_id, ask in self._asks.items() if ask.answer.done()]:
                del self._asks[ask_id]
            return [ask for ask in self._asks.values() if ask.due <= moment]

    def refused_by_broker(self, ask_id: str) -> None:
        """No queue took the request; it is sent again a little later."""
        with self._changed:
            ask = self._asks.get(ask_id)
            if ask is not None:
                ask.failures += 1
                ask.due = time.monotonic() + 0.2 + backoff(ask.failures, cap_s=10.0)

    def answered(self, ask_id: str, raw: bytes) -> None:
        """The request has its answer; a second one changes nothing."""
        with self._changed:
            ask = self._asks.pop(ask_id, None)
        if ask is None or not ask.answer.set_running_or_notify_cancel():
            return
        try:
            ask.answer.set_result(open_reply(raw, ask.envelope["type"]))
        except Refused as refusal:
            ask.answer.set_exception(refusal)

    def new_batches(self) -> list[dict[str, Any]]:
        """Log batches to send now, each an envelope; only so many are out at once, and in a second."""
        found: list[dict[str, Any]] = []
        moment = time.monotonic()
        self._batches_left = min(_BATCHES_AT_ONCE, self._batches_left + (moment - self._counted_at) * _BATCHES_PER_S)
        self._counted_at = moment
        while not self.lines_refused and len(self.batches) < MOST_BATCHES_OUT and self._batches_left >= 1:
            body = self.lines.batch()
            if body is None:
                break
            subject = str(body.get("job_id", self.pilot_id))
            envelope = wrap("log.written.v1", self.source, {"pilot_id": self.pilot_id, **body}, subject)
            self.batches[envelope["id"]] = envelope
            found.append(envelope)
            self._batches_left -= 1
        return found

    def connection_lost(self) -> None:
        """Whatever is unanswered goes again, with the same ids, over the next connection."""
        with self._changed:
            for ask in self._asks.values():
                ask.due = 0.0

    def changed(self) -> None:
        """Whoever waits in settle looks again."""
        with self._changed:
            self._changed.notify_all()

    def settle(self, seconds: float, *, only_lines: bool = False) -> bool:
        """Wait until the broker has confirmed all that was said; False when the time was up first."""

        def quiet() -> bool:
            lines_out = not self.lines_refused and (len(self.lines) > 0 or len(self.batches) > 0)
            return not lines_out and (only_lines or len(self.spool) == 0)

        with self._changed:
            return self._changed.wait_for(quiet, seconds)
