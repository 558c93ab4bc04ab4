"""One running payload: its output live, its limits watched, and an end that reaches every process of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Callable

from pilot import cgroups, orphans
from pilot.isolation import Isolation
from pilot.keeper import GENTLY, start, tell
from pilot.processes import cpu_seconds, family, memory_bytes, unnamed_bytes
from pilot.tree import size_bytes
from pilot.wire.lines import LONGEST_TEXT

GRACE_S = 30.0
# what harms the node goes on while it is waited for, and whoever told the pilot to leave waits no longer
_SHORTER = {"leave": 5.0, "memory": 5.0, "disk": 5.0, "output": 5.0, "lease": 0.0}
_READ_S = 5.0
_ENDED_S, _AT_ONCE_S = 30.0, 1.0
_DISK_EVERY_S = 60.0
_LEAST_FREE = 64 << 20  # of the disk, so that what is of record can still be written
_APPENDING = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_F_SETPIPE_SZ = 1031
_PIPE_BYTES = 1 << 20
_PIECE_BYTES = 1 << 18
# a payload that writes little at a time would be stopped for each piece: they gather in the pipe, which has room for more
_SMALL_BYTES = 1 << 15
_GATHER_S = 0.01
_NOT_STARTED = ("pilotbus: can not be started: ", "bwrap: ", "FATAL: ")


class CanNotStart(Exception):
    """The payload did not start; one sentence says why."""


@dataclass(frozen=True)
class Limits:
    """What a payload may use; 0 is no limit."""

    cpu_s: float
    wall_s: float
    disk_bytes: int = 0
    processes: int = 0
    memory_bytes: int = 0
    output_bytes: int = 0
    processors: int = 1
    grace_s: float = GRACE_S
    stop_signal: int = signal.SIGTERM
    stop_regex: str = ""
    asked_after_s: float = 0  # it is asked to stop no earlier than this
    asked_before_s: float = 0  # and so long before its wall time is up; 0 is not before


@dataclass(frozen=True)
class Outcome:
    """How a payload ended: by itself when stopped is empty, else because of kill, leave, lease or a limit.

    The limits are cpu, wall, memory, disk and output.
    """

    exit_code: int | None
    signal: int | None
    wall_s: float
    cpu_s: float
    stopped: str = ""
    memory_bytes: int = 0  # what it was seen to use
    refused_processes: bool = False
    limits: Limits = Limits(0, 0)


class Payload:
    """A payload from its start to its end; after wait() none of its processes lives."""

    def __init__(
        self,
        command: Sequence[str],
        home: Path,
        environment: Mapping[str, str],
        outputs: tuple[Path, Path],
        lines: Callable[[str, Sequence[str]], None],
        limits: Limits,
        isolation: Isolation | None = None,
    ) -> None:
        """The payload runs in home/work, with home/tmp, kept apart as the isolation says. Raises CanNotStart."""
        self.began = time.monotonic()
        self._name, self._home, self._limits = command[0], home, limits
        self._wake: Callable[[], None] = lambda: None
        self._output_left, self._counting = limits.output_bytes, threading.Lock()
        self._memory_bytes = 0
        order = (isolation or Isolation()).order(command, home, environment)
        self._wrapped = order.wrapped
        # opened before it starts: later, the payload could have put a link in their place
        files = [os.fdopen(os.open(path, _APPENDING, 0o644), "ab") for path in outputs]
        self._group = cgroups.make(home.name, limits.memory_bytes, limits.processes, limits.processors)
        order = replace(order, most_processes=limits.processes, largest_file=limits.disk_bytes)
        order = replace(order, stop_signal=int(limits.stop_signal), stop_regex=limits.stop_regex)
        try:
            self._keeper = start(replace(order, groups=self._group.doors if self._group else []))
        except OSError as problem:
            self._leave_group()
            raise CanNotStart(f"executable {self._name} can not be started: {problem.strerror}") from problem
        self._disk = _Disk(home, limits.disk_bytes, self._keeper.pid)
        self._heard: list[str] = []  # the first lines, of which a wrapper that fails says one and no more
        self._readers = [
            threading.Thread(target=self._copy, args=(pipe, file, stream, lines), name=stream, daemon=True)
            for pipe, file, stream in zip((self._keeper.stdout, self._keeper.stderr), files, ("std.out", "std.err"))
        ]
        for reader in self._readers:
            reader.start()

    def wait(self, pause: Callable[[float], None], wake: Callable[[], None], wanted: Callable[[], str]) -> Outcome:
        """How it ended: by itself, at a limit, or because wanted() gave a reason to stop it. Raises CanNotStart."""
        self._wake = wake
        threading.Thread(target=self._tell_of_its_end, args=(wake,), name="payload", daemon=True).start()
        watched = self._limits.disk_bytes or self._limits.memory_bytes
        look_s = min(5.0, max(0.2, min(self._limits.cpu_s, self._limits.wall_s) / 20), 1.0 if watched else 5.0)
        cpu_s, stopped, asked = 0.0, "", False
        while self._keeper.poll() is None and not stopped:
            pause(look_s)
            cpu_s = max(cpu_s, self._cpu_seconds())
            stopped = wanted() or self._over(cpu_s)
            if not asked and not stopped and self._is_to_be_asked():
                asked = True
                tell(self._keeper, GENTLY)
        if stopped and self._keeper.poll() is None:
            tell(self._keeper, GENTLY)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._keeper.wait(min(self._limits.grace_s, _SHORTER.get(stopped, self._limits.grace_s)))
        else:
            stopped = ""
        wall_s = time.monotonic() - self.began
        self._end(_AT_ONCE_S if stopped == "lease" else _ENDED_S)
        counted_s = self._keeper.cpu_seconds()
        if counted_s is None:
            orphans.end()  # the payload has killed its keeper
        cpu_s = max(cpu_s, counted_s or 0.0, self._group.cpu_seconds() if self._group else 0.0)
        refused = self._group is not None and self._group.too_many_processes()
        starved = self._group is not None and self._group.out_of_memory()
        self._leave_group()
        exit_code, number = self._how()
        if not stopped and exit_code != 0:
            # it may have ended of what the limit did to it before that was seen
            stopped = "memory" if starved else "output" if self._is_talkative() else ""
        return Outcome(exit_code, number, wall_s, cpu_s, stopped, self._memory_bytes, refused, self._limits)

    def _cpu_seconds(self) -> float:
        return max(cpu_seconds(self._keeper.pid), self._group.cpu_seconds() if self._group else 0.0)

    def _is_to_be_asked(self) -> bool:
        ran_s = time.monotonic() - self.began
        before_s, after_s = self._limits.asked_before_s, self._limits.asked_after_s
        return bool(before_s) and ran_s >= after_s and self._limits.wall_s - ran_s <= before_s

    def _is_talkative(self) -> bool:
        return self._output_left < 0

    def _leave_group(self) -> None:
        if self._group is not None:
            self._group.end()

    def usage(self) -> dict[str, Any]:
        """What it has used until now."""
        used = {"wall_s": round(time.monotonic() - self.began, 1), "cpu_s": round(self._cpu_seconds(), 1)}
        return {**used, "memory_mb": memory_bytes(self._keeper.pid, 0) >> 20, "disk_mb": self._disk.found_bytes >> 20}

    def _tell_of_its_end(self, wake: Callable[[], None]) -> None:
        self._keeper.wait()
        wake()

    def _over(self, cpu_s: float) -> str:
        if cpu_s > self._limits.cpu_s:
            return "cpu"
        if self._disk.is_full():
            return "disk"
        if self._is_talkative():
            return "output"
        if self._limits.memory_bytes and self._is_starving():
            return "memory"
        return "wall" if time.monotonic() - self.began > self._limits.wall_s else ""

    def _is_starving(self) -> bool:
        limit = self._limits.memory_bytes
        self._memory_bytes = max(self._memory_bytes, memory_bytes(self._keeper.pid, limit))
        if self._group is not None and self._group.bounds_memory:
            return self._group.out_of_memory()  # the kernel holds it to its limit, and knows better what is shared
        return self._memory_bytes > limit

    def _end(self, patience_s: float) -> None:
        """No process of the payload lives, nor its keeper."""
        if self._keeper.stdin is not None:
            with contextlib.suppress(OSError):
                self._keeper.stdin.close()
        try:
            self._keeper.wait(patience_s)
        except subprocess.TimeoutExpired:
            # what is not kept apart can stop its keeper; killed last, because it holds the others together
            for process in (*family(self._keeper.pid), self._keeper.pid):
                with contextlib.suppress(OSError):
                    os.kill(process, signal.SIGKILL)
            self._keeper.wait()
        for reader in self._readers:
            reader.join(_READ_S)

    def _how(self) -> tuple[int | None, int | None]:
        """Its exit code, or else the signal that ended it. Raises CanNotStart."""
        code = self._keeper.returncode
        if code in (1, 127, 255) and len(self._heard) == 1 and self._heard[0].startswith(_NOT_STARTED):
            raise CanNotStart(f"executable {self._name} can not be started: {self._heard[0].rpartition(': ')[2]}")
        # a wrapper can only say 128 and the signal, as a shell does
        if self._wrapped and code - 128 in set(signal.Signals):
            code = 128 - code
        return (code, None) if code >= 0 else (None, -code)

    def _copy(self, pipe: IO[bytes], file: IO[bytes], stream: str, lines: Callable[[str, Sequence[str]], None]) -> None:
        """All that comes out of the pipe is in the file, and is said line by line while it comes."""

        def say(whole: bytes) -> None:
            spoken = whole.decode("utf-8", "replace").split("\n")
            if b"\r" in whole:
                spoken = [text.rstrip("\r") for text in spoken]
            if len(self._heard) < 2:
                self._heard += spoken[:2]
            lines(stream, spoken)

        rest = b""
        with contextlib.suppress(OSError):  # some systems let nobody have more, and most have less
            fcntl.fcntl(pipe.fileno(), _F_SETPIPE_SZ, _PIPE_BYTES)
        with pipe, file:
            while piece := os.read(pipe.fileno(), _PIECE_BYTES):
                piece = self._within_limit(piece)
                with contextlib.suppress(OSError):  # a full disk must not block the payload
                    file.write(piece)
                    file.flush()
                whole, end, rest = (rest + piece).rpartition(b"\n")
                if end:
                    say(whole)
                if len(rest) > 4 * LONGEST_TEXT:
                    say(rest)
                    rest = b""
                if len(piece) < _SMALL_BYTES:
                    time.sleep(_GATHER_S)
        if rest:
            say(rest)

    def _within_limit(self, piece: bytes) -> bytes:
        """What of it is kept: all, until both streams together are more than the limit; then a line that says so."""
        limit = self._limits.output_bytes
        if not limit:
            return piece
        with self._counting:
            left, self._output_left = self._output_left, self._output_left - len(piece)
        if left < 0 or left >= len(piece):
            return piece if left >= 0 else b""
        self._wake()
        return piece[:left] + b"\npilotbus: standard output and error are more than %d MB, no more is kept\n" % (limit >> 20)


class _Disk:
    """What a job has on disk, looked at no more often than the look is worth."""

    def __init__(self, home: Path, limit_bytes: int, keeper: int) -> None:
        self._home, self._limit, self._keeper = home, limit_bytes, keeper
        self._again_at = 0.0
        self.found_bytes = 0  # by the last look

    def is_full(self) -> bool:
        """Whether the job has more than its limit, or the disk has next to nothing left."""
        with contextlib.suppress(OSError):
            free = os.statvfs(self._home)
            if free.f_bavail * free.f_frsize < _LEAST_FREE:
                return True
        self._look()
        return bool(self._limit) and self.found_bytes > self._limit

    def _look(self) -> None:
        began = time.monotonic()
        if began >= self._again_at:
            with contextlib.suppress(OSError):
                self.found_bytes = size_bytes(self._home) + unnamed_bytes(self._keeper, os.stat(self._home).st_dev)
            took_s = time.monotonic() - began
            self._again_at = time.monotonic() + max(20 * took_s, 0.0 if self._limit else _DISK_EVERY_S)
