"""How long the slot lasts: measured now and then, by whoever can tell, and counted down in between."""

from __future__ import annotations

import threading
import time
from typing import Callable, Optional

_AGAIN_S = 600.0


class Remaining:
    """The seconds that are left, safe to be asked by any thread; never waits for a measurement."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: Optional[float] = None
        self._measured = 0.0
        self._measure: Optional[Callable[[], Optional[float]]] = None
        self._again_s = _AGAIN_S

    def tell(self, left_s: Optional[float], again: Callable[[], Optional[float]], again_s: float = _AGAIN_S) -> None:
        """So much is left now, or it is not known; `again` measures it anew, each again_s seconds while somebody asks."""
        with self._lock:
            self._measure, self._again_s = again, again_s
            self._keep(left_s)

    def seconds(self) -> Optional[float]:
        """What is left; None when nobody knows."""
        with self._lock:
            if self._measure is not None and time.monotonic() - self._measured > self._again_s:
                self._measured = time.monotonic()
                threading.Thread(target=self._anew, args=(self._measure,), name="remaining", daemon=True).start()
            return None if self._ends is None else max(0.0, self._ends - time.monotonic())

    def _anew(self, measure: Callable[[], Optional[float]]) -> None:
        try:
            left_s = measure()
        except Exception:  # whatever a batch system answers, the pilot goes on counting down
            left_s = None
        with self._lock:
            if left_s is not None:  # a batch system that does not answer just now takes back nothing
                self._keep(left_s)

    def _keep(self, left_s: Optional[float]) -> None:
        self._measured = time.monotonic()
        self._ends = None if left_s is None else self._measured + left_s
