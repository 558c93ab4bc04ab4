"""One running payload: its output live, its limits watched, and an end that reaches every process of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Callable

from pilot.isolation import Isolation
from pilot.keeper import GENTLY, start, tell
from pilot.processes import cpu_seconds, family
from pilot.wire.lines import LONGEST_TEXT

GRACE_S = 5.0
_ENDED_S = 30.0
_LEAST_FREE = 64 << 20  # of the disk, so that what is of record can still be written
_APPENDING = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_F_SETPIPE_SZ = 1031
_PIPE_BYTES = 1 << 20
_PIECE_BYTES = 1 << 18
# a payload that writes little at a time would be stopped for each piece: they gather in the pipe, which has room for more
_SMALL_BYTES = 1 << 15
_GATHER_S = 0.01
_NOT_STARTED = ("pilotbus: can not be started: ", "bwrap: ")


class CanNotStart(Exception):
    """The payload did not start; one sentence says why."""


@dataclass(frozen=True)
class Limits:
    """What a payload may use; 0 is no limit."""

    cpu_s: float
    wall_s: float
    disk_bytes: int = 0
    processes: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a payload ended: by itself when stopped is empty, else because of kill, leave, cpu, wall or disk."""

    exit_code: int | None
    signal: int | None
    wall_s: float
    cpu_s: float
    stopped: str = ""


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
        self._used_before = _used()
        self._name, self._home, self._limits = command[0], home, limits
        self._disk = _Disk(home, limits.disk_bytes)
        order = (isolation or Isolation()).order(command, home, environment)
        self._wrapped = order.wrapped
        # opened before it starts: later, the payload could have put a link in their place
        files = [os.fdopen(os.open(path, _APPENDING, 0o644), "ab") for path in outputs]
        try:
            self._keeper = start(replace(order, most_processes=limits.processes, largest_file=limits.disk_bytes))
        except OSError as problem:
            raise CanNotStart(f"executable {self._name} can not be started: {problem.strerror}") from problem
        self._heard: list[str] = []  # the first lines, of which a wrapper that fails says one and no more
        self._readers = [
            threading.Thread(target=self._copy, args=(pipe, file, stream, lines), name=stream, daemon=True)
            for pipe, file, stream in zip((self._keeper.stdout, self._keeper.stderr), files, ("std.out", "std.err"))
        ]
        for reader in self._readers:
            reader.start()

    def wait(self, pause: Callable[[float], None], wake: Callable[[], None], wanted: Callable[[], str]) -> Outcome:
        """How it ended: by itself, at a limit, or because wanted() gave a reason to stop it. Raises CanNotStart."""
        threading.Thread(target=self._tell_of_its_end, args=(wake,), name="payload", daemon=True).start()
        look_s = min(5.0, max(0.2, min(self._limits.cpu_s, self._limits.wall_s) / 20), 1.0 if self._limits.disk_bytes else 5.0)
        cpu_s, stopped = 0.0, ""
        while self._keeper.poll() is None and not stopped:
            pause(look_s)
            cpu_s = max(cpu_s, cpu_seconds(self._keeper.pid))
            stopped = wanted() or self._over(cpu_s)
        if stopped and self._keeper.poll() is None:
            tell(self._keeper, GENTLY)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._keeper.wait(GRACE_S)
        else:
            stopped = ""
        wall_s = time.monotonic() - self.began
        self._end()
        exit_code, number = self._how()
        cpu_s = max(cpu_s, _used() - self._used_before)  # to the end, and its keeper's own few hundredths
        return Outcome(exit_code, number, wall_s, cpu_s, stopped)

    def _tell_of_its_end(self, wake: Callable[[], None]) -> None:
        self._keeper.wait()
        wake()

    def _over(self, cpu_s: float) -> str:
        if cpu_s > self._limits.cpu_s:
            return "cpu"
        if self._disk.is_full():
            return "disk"
        return "wall" if time.monotonic() - self.began > self._limits.wall_s else ""

    def _end(self) -> None:
        """No process of the payload lives, nor its keeper."""
        if self._keeper.stdin is not None:
            with contextlib.suppress(OSError):
                self._keeper.stdin.close()
        try:
            self._keeper.wait(_ENDED_S)
        except subprocess.TimeoutExpired:
            # what is not kept apart can stop its keeper; killed last, because it holds the others together
            for process in (*family(self._keeper.pid), self._keeper.pid):
                with contextlib.suppress(OSError):
                    os.kill(process, signal.SIGKILL)
            self._keeper.wait()
        for reader in self._readers:
            reader.join(GRACE_S)

    def _how(self) -> tuple[int | None, int | None]:
        """Its exit code, or else the signal that ended it. Raises CanNotStart."""
        code = self._keeper.returncode
        if code in (1, 127) and len(self._heard) == 1 and self._heard[0].startswith(_NOT_STARTED):
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

        rest, room = b"", self._limits.disk_bytes
        with contextlib.suppress(OSError):  # some systems let nobody have more, and most have less
            fcntl.fcntl(pipe.fileno(), _F_SETPIPE_SZ, _PIPE_BYTES)
        with pipe, file:
            while piece := os.read(pipe.fileno(), _PIECE_BYTES):
                room -= len(piece)
                if room >= 0 or not self._limits.disk_bytes:
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


def _used() -> float:
    """The processor time of all that this process has waited for, and of all that those had."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Disk:
    """What a job has on disk, looked at no more often than the look is worth."""

    def __init__(self, home: Path, limit_bytes: int) -> None:
        self._home, self._limit = home, limit_bytes
        self._again_at = 0.0

    def is_full(self) -> bool:
        """Whether the job has more than its limit, or the disk has next to nothing left."""
        with contextlib.suppress(OSError):
            free = os.statvfs(self._home)
            if free.f_bavail * free.f_frsize < _LEAST_FREE:
                return True
        began = time.monotonic()
        if not self._limit or began < self._again_at:
            return False
        found = sum(_size(os.path.join(folder, name)) for folder, _, names in os.walk(self._home) for name in names)
        self._again_at = time.monotonic() + 20 * (time.monotonic() - began)
        return found > self._limit


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_blocks * 512
    except OSError:
        return 0
