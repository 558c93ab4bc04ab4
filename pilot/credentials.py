"""What a payload may show in its owner's name: a file for each credential, kept fresh while the payload runs."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from pilot.command import Job, Pilot
from pilot.wire.envelope import Refused

ASKS = ("proxy.fetch.v1", "token.job.v1")
_FIRST_S = 30.0
_AGAIN_S = 60.0
_LEAST_S = 1.0


@dataclass(frozen=True)
class Kind:
    """One kind of credential: the request that gives it, and how the payload finds it."""

    request: str  # its body names pilot_id, job_id and attempt; its reply has valid_s
    field: str
    file: str
    variable: str


# A kind is one line here and one word in ASKS.
KINDS = (
    Kind("proxy.fetch.v1", "pem", "x509up", "X509_USER_PROXY"),
    Kind("token.job.v1", "token", "token", "BEARER_TOKEN_FILE"),  # WLCG's name for it
)


@contextlib.contextmanager
def of(pilot: Pilot, job: Job) -> Iterator[dict[str, str]]:
    """The variables that lead the payload to its credentials; those are fresh until the block ends, and then gone."""
    with contextlib.ExitStack() as stack:
        found: dict[str, str] = {}
        for kind in KINDS:
            found.update(stack.enter_context(_kept(pilot, job, kind)))
        yield found


@contextlib.contextmanager
def _kept(pilot: Pilot, job: Job, kind: Kind) -> Iterator[dict[str, str]]:
    given = _first(pilot, job, kind)
    if given is None:
        yield {}
        return
    try:
        fresh = _Fresh(pilot, job, kind, given)
    except OSError as problem:
        pilot.log(f"the job gets no {kind.variable}: {problem.strerror}", job)
        yield {}
        return
    try:
        yield {kind.variable: str(fresh.path)}
    finally:
        fresh.end()


def _asked(pilot: Pilot, job: Job) -> dict[str, Any]:
    return {"pilot_id": pilot.pilot_id, **job.label}


def _first(pilot: Pilot, job: Job, kind: Kind) -> dict[str, Any] | None:
    """The credential, or None where the owner has deposited none, or none can be had: the job starts without it."""
    try:
        given = pilot.answer(kind.request, _asked(pilot, job), _FIRST_S, lambda: pilot.unwanted(job) != "")
    except Refused as refusal:
        if refusal.code != "not_found":
            pilot.log(f"the job gets no {kind.variable}: {refusal.reason}", job)
        return None
    if given is None and not pilot.unwanted(job):
        pilot.log(f"the job gets no {kind.variable}: no service answered within {_FIRST_S:.0f} s", job)
    return given


class _Fresh:
    """The file of one credential, replaced at half of its life by a thread of its own."""

    def __init__(self, pilot: Pilot, job: Job, kind: Kind, given: dict[str, Any]) -> None:
        self.path = pilot.home_of(job) / kind.file
        self._pilot, self._job, self._kind = pilot, job, kind
        self._over = False
        self._poke = threading.Event()
        self._writing = threading.Lock()
        self._complained = ""
        self._ends = self._put(given)
        self._thread = threading.Thread(target=self._renew, name=kind.file, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Nothing is renewed any more, and the file is gone."""
        with self._writing:
            self._over = True
            self._poke.set()
            with contextlib.suppress(OSError):
                self.path.unlink()
        self._thread.join(_LEAST_S)

    def _renew(self) -> None:
        while not self._over:
            least_s = _AGAIN_S if self._complained else _LEAST_S
            self._pause(max(least_s, (self._ends - time.monotonic()) / 2), lambda: False)
            if self._over:
                return
            try:
                given = self._ask()
                with self._writing:
                    if given is not None and not self._over:
                        self._ends, self._complained = self._put(given), ""
            except (Refused, OSError) as problem:
                self._complain(str(problem))

    def _ask(self) -> dict[str, Any] | None:
        future = self._pilot.ask(self._kind.request, _asked(self._pilot, self._job), _FIRST_S)
        future.add_done_callback(lambda _: self._poke.set())
        self._pause(_AGAIN_S, future.done)
        if future.done() or not future.cancel():
            return future.result()
        if not self._over:
            self._complain(f"no service answered within {_AGAIN_S:.0f} s")
        return None

    def _pause(self, seconds: float, enough: Callable[[], bool]) -> None:
        # not pilot.orders.wait: two who wait there take each other's news
        until = time.monotonic() + seconds
        while not self._over and not enough() and time.monotonic() < until:
            self._poke.wait(max(0.0, until - time.monotonic()))
            self._poke.clear()

    def _put(self, given: dict[str, Any]) -> float:
        """The file holds the credential, whole at every moment and for its owner only; when it ends, by this node's clock."""
        _replace(self.path, str(given[self._kind.field]))
        return time.monotonic() + float(given["valid_s"])

    def _complain(self, reason: str) -> None:
        if reason != self._complained:  # once, not at every try
            self._complained = reason
            self._pilot.log(f"{self._kind.variable} can not be renewed: {reason}", self._job)


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    # exclusive, because the payload may have put a link in this place
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        home = os.stat(path.parent)
        if home.st_uid != os.getuid():
            os.fchown(file.fileno(), home.st_uid, home.st_gid)  # a superuser's payload is somebody else's
    new.replace(path)
