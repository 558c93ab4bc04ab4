"""One request for a job: asked once, taken back when there is something else to offer, and never left behind unheard."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any

from pilot.command import Job, Pilot
from pilot.slots import Free
from pilot.wire.envelope import Refused

AGAIN_S = 30
_LONGEST_WHY = 500


class Asking:
    """A match.request, from its sending until it is answered or taken back; it brings one job at most."""

    def __init__(self, pilot: Pilot, request: dict[str, Any], free: Free) -> None:
        """It is asked from now on; `free` is what it offers."""
        self.free = free
        self.why = ""  # why it has brought no job, when the services have said so
        self._pilot, self._request = pilot, request
        self._answer = self._ask("match.request.v1", request, request["wait_s"] + AGAIN_S)
        self._withdrawal: Future[dict[str, Any]] | None = None
        self._withdrawn_at = 0.0

    def withdraw(self) -> None:
        """It is being taken back. Until the services say that it is, or bring a job, it is not over."""
        if self._withdrawal is None:
            told = {name: self._request[name] for name in ("pilot_id", "request_id")}
            self._withdrawal = self._ask("match.withdraw.v1", told, AGAIN_S)
            self._withdrawn_at = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether it has its answer, or gets none any more."""
        return self._answer.done() or self._is_withdrawn()

    @property
    def withdrawing_s(self) -> float:
        """Since when it is being taken back; 0 when it is not."""
        return 0.0 if self._withdrawal is None else time.monotonic() - self._withdrawn_at

    def end(self) -> Job | None:
        """The job that it has brought, if any; nothing is asked any more. Raises Refused."""
        if self._withdrawal is not None:
            self._withdrawal.cancel()
        if not self._answer.done() and self._answer.cancel():
            return None
        answer = self._answer.result()
        found = answer.get("job")
        self.why = "" if found else _headline(answer.get("why"))
        return Job(**{name: found[name] for name in Job.TOLD if name in found}) if found else None

    def _ask(self, name: str, data: dict[str, Any], again_after_s: float) -> Future[dict[str, Any]]:
        future = self._pilot.ask(name, data, again_after_s)
        future.add_done_callback(self._pilot.orders.changed)
        return future

    def _is_withdrawn(self) -> bool:
        if self._withdrawal is None or not self._withdrawal.done():
            return False
        try:
            return bool(self._withdrawal.result()["withdrawn"])
        except Refused:
            return False  # its own answer still comes, in its own time


def _headline(why: Any) -> str:
    return str(why.get("headline", ""))[:_LONGEST_WHY] if isinstance(why, dict) else ""
