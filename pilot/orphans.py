"""What is left of a payload that killed its own keeper: it comes to the pilot, and ends here."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import time
from collections.abc import Iterator

from pilot.processes import children, session

_PR_SET_CHILD_SUBREAPER = 36
_ENDING_S = 20.0
_keepers: set[int] = set()
_lock = threading.Lock()


@contextlib.contextmanager
def starting() -> Iterator[set[int]]:
    """While a keeper starts, nobody takes it for an orphan; its number is to be put into what is given."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    with _lock:
        yield _keepers


def end() -> None:
    """No process that a payload has left behind is a child of this one."""
    until = time.monotonic() + _ENDING_S
    while (found := _found()) and time.monotonic() < until:
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in found:
                with contextlib.suppress(OSError):
                    os.kill(process, number)
        for process in found:
            with contextlib.suppress(OSError):
                os.waitpid(process, os.WNOHANG)
        time.sleep(0.01)


def _found() -> list[int]:
    # what the pilot itself starts, keepers aside, stays in its session, which no payload can join
    with _lock:
        _keepers.intersection_update(kin := children(os.getpid()))
        own = session(os.getpid())
        return [process for process in kin if process not in _keepers and session(process) not in (own, 0)]
