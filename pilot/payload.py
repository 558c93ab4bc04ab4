"""One running payload: its own session, its output live, and an end that reaches every process of it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable

from pilot.wire.lines import LONGEST_TEXT

GRACE_S = 5.0
_PR_SET_PDEATHSIG = 1
_TICKS = os.sysconf("SC_CLK_TCK")
_LIBC = ctypes.CDLL(None)
_COOKIE = "PILOTBUS_PAYLOAD"
# lives beside the payload; its standard input ends when the pilot does, however the pilot died
_KEEPER = "import os,sys\nsys.stdin.read()\ntry: os.killpg(int(sys.argv[1]), 9)\nexcept OSError: pass\n"


class CanNotStart(Exception):
    """The payload did not start; one sentence says why."""


@dataclass(frozen=True)
class Limits:
    """What a payload may use."""

    cpu_s: float
    wall_s: float


@dataclass(frozen=True)
class Outcome:
    """How a payload ended: by itself when stopped is empty, else because of kill, leave, cpu or wall."""

    exit_code: int | None
    signal: int | None
    wall_s: float
    cpu_s: float
    stopped: str = ""


def _die_with_the_pilot() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Payload:
    """A payload from its start to its end; after wait() none of its processes lives."""

    def __init__(
        self,
        command: Sequence[str],
        workdir: Path,
        environment: Mapping[str, str],
        outputs: tuple[Path, Path],
        line: Callable[[str, str], None],
    ) -> None:
        """The payload runs. Call it from the main thread: the kernel's promise that it dies with us is per thread."""
        self.began = time.monotonic()
        self._cookie = f"{_COOKIE}={os.getpid()}.{self.began}"
        name, value = self._cookie.split("=", 1)
        try:
            self._process = subprocess.Popen(
                list(command),
                cwd=workdir,
                env={**environment, name: value},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=_die_with_the_pilot,  # noqa: PLW1509 - one foreign call, no lock taken
            )
        except OSError as problem:
            raise CanNotStart(f"executable {command[0]} can not be started: {problem.strerror}") from problem
        self._keeper = _keeper(self._process.pid)
        self._readers = [
            threading.Thread(target=_copy, args=(pipe, path, stream, line), name=stream, daemon=True)
            for pipe, path, stream in zip((self._process.stdout, self._process.stderr), outputs, ("std.out", "std.err"))
        ]
        for reader in self._readers:
            reader.start()

    def wait(
        self, limits: Limits, pause: Callable[[float], None], wake: Callable[[], None], wanted: Callable[[], str]
    ) -> Outcome:
        """How it ended: by itself, at a limit, or because wanted() gave a reason to stop it."""
        threading.Thread(target=self._tell_of_its_end, args=(wake,), name="payload", daemon=True).start()
        look_s = min(5.0, max(0.2, min(limits.cpu_s, limits.wall_s) / 20))
        cpu_s, stopped = 0.0, ""
        while self._process.poll() is None and not stopped:
            pause(look_s)
            cpu_s = max(cpu_s, cpu_seconds(self._process.pid))
            stopped = wanted() or self._over(limits, cpu_s)
        if stopped and self._process.poll() is None:
            self._end(GRACE_S)
        else:
            stopped = ""
        wall_s = time.monotonic() - self.began
        self._end(0)
        for reader in self._readers:
            reader.join(GRACE_S)
        code = self._process.returncode
        return Outcome(code if code >= 0 else None, -code if code < 0 else None, wall_s, cpu_s, stopped)

    def _tell_of_its_end(self, wake: Callable[[], None]) -> None:
        self._process.wait()
        wake()

    def _over(self, limits: Limits, cpu_s: float) -> str:
        if cpu_s > limits.cpu_s:
            return "cpu"
        return "wall" if time.monotonic() - self.began > limits.wall_s else ""

    def _end(self, grace_s: float) -> None:
        """No process of the payload lives: asked to end first, given some seconds, then ended."""
        if grace_s:
            self._signal(signal.SIGTERM)
            until = time.monotonic() + grace_s
            while time.monotonic() < until and members(self._process.pid, self._cookie):
                time.sleep(0.05)
        for _ in range(20):  # again, because a process may fork while we look
            if not self._signal(signal.SIGKILL):
                break
            time.sleep(0.02)
        self._process.wait()
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.communicate()
            self._keeper = None

    def _signal(self, number: int) -> bool:
        found = members(self._process.pid, self._cookie)
        for process_id in found:
            with contextlib.suppress(OSError):
                os.kill(process_id, number)
        return bool(found)


def _keeper(group: int) -> subprocess.Popen[bytes] | None:
    """A process that ends the group when this pilot dies; without one only the payload's first process would die."""
    if not sys.executable:
        return None
    with contextlib.suppress(OSError):
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _KEEPER, str(group)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
    return None


def _copy(pipe: IO[bytes], path: Path, stream: str, line: Callable[[str, str], None]) -> None:
    """All that comes out of the pipe is in the file, and is said line by line while it comes."""
    rest = b""
    with pipe, path.open("ab") as file:
        while piece := os.read(pipe.fileno(), 1 << 16):
            with contextlib.suppress(OSError):  # a full disk must not block the payload
                file.write(piece)
                file.flush()
            *whole, rest = (rest + piece).split(b"\n")
            for text in whole:
                line(stream, text.decode("utf-8", "replace").rstrip("\r"))
            if len(rest) > 4 * LONGEST_TEXT:
                line(stream, rest.decode("utf-8", "replace"))
                rest = b""
    if rest:
        line(stream, rest.decode("utf-8", "replace"))


def members(session: int, cookie: str) -> list[int]:
    """The living processes of this session, and those that left it but still carry the cookie."""
    found = []
    wanted = cookie.encode()
    for name in filter(str.isdigit, os.listdir("/proc")):
        fields = _stat(name)
        if not fields or fields[0] in ("Z", "X") or int(name) == os.getpid():
            continue
        if int(fields[3]) == session or _carries(name, wanted):
            found.append(int(name))
    return found


def cpu_seconds(session: int) -> float:
    """The processor time that the session's processes, and those they have waited for, have used."""
    ticks = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        fields = _stat(name)
        if fields and int(fields[3]) == session:
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS


def _stat(name: str) -> list[str]:
    """The fields of /proc/N/stat after the process' name, which may itself hold blanks and brackets."""
    try:
        with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def _carries(name: str, wanted: bytes) -> bool:
    try:
        with open(f"/proc/{name}/environ", "rb") as file:
            return wanted in file.read().split(b"\x00")
    except OSError:
        return False
