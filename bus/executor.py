"""An executor as of concurrent.futures whose work is done by jobs; events of the bus tell what has come of them."""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor as Base
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from concurrent.futures import wait as futures_over
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus import jobs as of_jobs
from bus.calls import Call, Work, arguments_of, call_of
from bus.errors import Refused, Unavailable
from bus.pilotbus_call import RESULT
from bus.selections import outcomes
from bus.session import Session

TURN_S = 0.2
PATIENCE_S = 5.0
MOST_AT_ONCE = 1000
MOST_BYTES = 40_000
KEPT_CALLS = 256
_LISTS = ("InputSandbox", "OutputSandbox")
_GONE = {"state": "Deleted", "application_status": "", "minor_status": "it is not there any more"}


class JobFailed(Exception):
    """The job is over and not Done: its id, its state and the reason."""

    def __init__(self, job_id: int, state: str, reason: str) -> None:
        super().__init__(f"job {job_id} is {state}: {reason}")
        self.job_id, self.state, self.reason = job_id, state, reason


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that is Done."""

    job_id: int
    exit_code: int
    session: Session

    def output(self, directory: str | Path) -> tuple[Path, ...]:
        """The files of its output sandbox, in directory/<job id>. Raises Refused or SandboxError."""
        return _output(self.session, self.job_id, directory)

    def text(self, name: str = "std.out") -> str:
        """What stands in one of them."""
        with tempfile.TemporaryDirectory() as folder:
            self.output(folder)
            return (Path(folder) / str(self.job_id) / name).read_text(encoding="utf-8", errors="replace")


class JobFuture(Future[Any]):
    """The future of one job. It is never `running` to those who wait; `state` tells what the job does."""

    def __init__(self, executor: Executor, job_id: int, call: Call) -> None:
        super().__init__()
        self.job_id, self.call, self.kill_ordered = job_id, call, False
        self._executor = executor

    def state(self) -> str:
        """The job's state, asked now."""
        return str(next(iter(self._executor.session.status(self.job_id)))["state"])

    def running(self) -> bool:
        """Whether the job runs, asked now."""
        return not self.done() and self.state() == "Running"

    def cancel(self) -> bool:
        """The job is killed, or its pilot has the order to kill it: then it is cancelled when that has been done.

        False when the job is over already, or the bus refuses.
        """
        if not self.done():
            _kill(self._executor.session, [self])
            if self.kill_ordered and not self.done():
                return True
        return self.cancelled()

    def give_up(self) -> None:
        """It is cancelled, and who waits for it knows."""
        if super().cancel():
            try:
                self.set_running_or_notify_cancel()
            except (InvalidStateError, RuntimeError):
                return  # the other of two who cancel has told it


class Executor(Base):
    """Runs commands, descriptions and functions as jobs. After a lost connection the states are asked, so nothing is missed."""

    def __init__(
        self, template: Mapping[str, Any] | None = None, *, session: Session | None = None, owner_group: str = ""
    ) -> None:
        """Every job is described by the template, and what is submitted. Without a session it has one of its own."""
        self.session = session or Session(component="executor")
        self._own, self._template, self._group = session is None, dict(template or {}), owner_group
        self._entry = threading.Lock()  # whoever closes it knows of every job that came in
        self._lock = threading.Lock()
        self._open: dict[int, JobFuture] = {}
        self._new: list[int] = []
        self._watch: of_jobs.Watch | None = None
        self._calls: dict[Any, Call] = {}
        self._closed, self._ended = "", threading.Event()
        self._fetching = ThreadPoolExecutor(4, thread_name_prefix="executor-fetch")
        self._ready: Future[None] = Future()
        self._listener = threading.Thread(target=self._listen, name="executor", daemon=True)
        self._listener.start()
        try:
            self._ready.result()
        except BaseException:
            self.shutdown()
            raise

    def submit(self, fn: Work, /, *args: Any, **kwargs: Any) -> JobFuture:
        """The future of a job: of a command with its arguments, of a description, or of a function's call.

        The result is a Finished, or what the function returned. Raises Invalid, Refused or Unavailable if there is no job.
        """
        arguments = arguments_of(call_of(fn), args, kwargs)
        call = self._call(fn)
        return self._submit(call, call.with_arguments(arguments), ())[0]

    def map(self, fn: Work, *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 0) -> Iterator[Any]:
        """The results in order; the jobs are submitted at once, many in one submission."""
        until = None if timeout is None else time.monotonic() + timeout
        call, futures = self._call(fn), list[JobFuture]()
        for piece in _pieces((arguments_of(call, args, {}) for args in zip(*iterables, strict=False)), chunksize):
            futures += self._submit(call, call.with_arguments("%(arguments)s"), piece)

        def results() -> Iterator[Any]:
            try:
                while futures:
                    left_s = None if until is None else max(0.0, until - time.monotonic())
                    yield futures.pop(0).result(left_s)
            finally:
                _kill(self.session, futures)

        return results()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as its base
        """No job is taken any more. With wait, all are over when this returns; without, they go on and nobody hears of them."""
        with self._entry:
            self._closed = self._closed or "the executor was shut down"
        with self._lock:
            left = list(self._open.values())
        if cancel_futures:
            _kill(self.session, left)
        if wait:
            futures_over(left)
        self._ended.set()
        self._listener.join()
        self._fetching.shutdown(wait=wait)
        if self._own:
            self.session.close()

    def _call(self, fn: Work) -> Call:
        known = fn if isinstance(fn, str) or callable(fn) else None
        if known in self._calls:
            return self._calls[known]
        call = call_of(fn)
        both = ((name, (self._template.get(name, []), call.description.get(name, []))) for name in _LISTS)
        lists = {name: list(dict.fromkeys(first + second)) for name, (first, second) in both if first or second}
        merged = {**self._template, **call.description, **lists}
        if len(self._calls) >= KEPT_CALLS:
            self._calls.clear()
        made = Call(self.session.stored(merged), call.returns_value)
        return self._calls.setdefault(known, made) if known is not None else made

    def _submit(self, call: Call, described: Mapping[str, Any], arguments: tuple[str, ...] | list[str]) -> list[JobFuture]:
        parameters = {"arguments": arguments} if arguments else None
        with self._entry:
            if self._closed:
                raise RuntimeError(self._closed)
            done = self.session.submit(described, parameters, owner_group=self._group)
            futures = [JobFuture(self, job_id, call) for job_id in done.job_ids]
            with self._lock:
                self._open.update({future.job_id: future for future in futures})
                self._new += [future.job_id for future in futures]
        return futures

    def _listen(self) -> None:
        try:
            with self.session.client() as bus:
                watch = self._watch = of_jobs.Watch(bus)
                self._ready.set_result(None)
                while not self._ended.is_set():
                    self._turn(watch)
        except Exception as problem:
            if not self._ready.done():
                self._ready.set_exception(problem)
            self._fail(problem)

    def _turn(self, watch: of_jobs.Watch) -> None:
        """What is over has been told to its futures; while there is no bus, this is tried again."""
        with self._lock:
            new, self._new = self._new, []
        try:
            if new:
                watch.add(new, missing=True)
            watch.step(TURN_S, PATIENCE_S)
            if over := watch.over():
                rows = {job["job_id"]: job for job in self.session.status(sorted(over), missing=True)}
                for job_id in sorted(over):
                    self._conclude(rows.get(job_id, _GONE | {"job_id": job_id}))
        except Unavailable:
            watch.lost()
            with self._lock:  # of these nothing is known yet
                self._new = [job_id for job_id in self._open if job_id not in watch.left]

    def _conclude(self, job: of_jobs.Job) -> None:
        with self._lock:
            future = self._open.pop(job["job_id"], None)
        if future is None:
            return
        if job["state"] == "Killed" and future.kill_ordered:
            future.give_up()
        elif future.call.returns_value and job["state"] in {"Done", "Failed"}:
            self._fetching.submit(self._fetch, future, job)
        else:
            _settle(future, job, Finished(job["job_id"], job.get("exit_code", 0), self.session))

    def _fetch(self, future: JobFuture, job: of_jobs.Job) -> None:
        try:
            with tempfile.TemporaryDirectory() as folder:
                _output(self.session, job["job_id"], folder)
                told = json.loads((Path(folder) / str(job["job_id"]) / RESULT).read_text(encoding="ascii"))
            _settle(future, job, told.get("value"), told.get("error", ""))
        except Exception as problem:
            if job["state"] != "Done":
                _settle(future, job, None)  # why it failed is told by the job itself
            else:
                with contextlib.suppress(InvalidStateError):
                    future.set_exception(problem)

    def _fail(self, problem: Exception) -> None:
        with self._entry:
            self._closed = self._closed or f"the executor has failed: {problem}"
        with self._lock:
            left, self._open = list(self._open.values()), {}
        for future in left:
            with contextlib.suppress(InvalidStateError):
                future.set_exception(problem)


def _kill(session: Session, futures: Iterable[JobFuture]) -> None:
    """Each is cancelled, or its pilot has the order to kill the job, or it is over."""
    meant = {future.job_id: future for future in futures if not future.done()}
    for future in meant.values():
        future.kill_ordered = True  # before it is asked: the news may come before the reply
    for told in outcomes(session.ask, "job.kill.v1", list(meant)):
        if told["outcome"] in {"killed", "already"}:
            meant[told["job_id"]].give_up()
        elif told["outcome"] == "refused":
            meant[told["job_id"]].kill_ordered = False


def _settle(future: JobFuture, job: of_jobs.Job, value: Any, error: str = "") -> None:
    with contextlib.suppress(InvalidStateError):  # it was cancelled meanwhile
        if job["state"] == "Done":
            future.set_result(value)
        else:
            reason = error or job["application_status"] or job["minor_status"]
            future.set_exception(JobFailed(job["job_id"], job["state"], reason))


def _output(session: Session, job_id: int, directory: str | Path) -> tuple[Path, ...]:
    found = next(session.outputs(job_id, directory, side_by_side=1))
    if found.code:
        raise Refused(found.code, found.reason)
    return found.files


def _pieces(arguments: Iterable[str], chunksize: int) -> Iterator[list[str]]:
    """Lists that each fit into one submission."""
    piece, size = list[str](), 0
    for text in arguments:
        if piece and (len(piece) >= (chunksize or MOST_AT_ONCE) or size + len(text) > MOST_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(text)
        size += len(text) + 4
    if piece:
        yield piece
