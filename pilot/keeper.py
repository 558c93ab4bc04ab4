"""The process between a pilot and its payload: no process of the payload outlives it, and it does not outlive the pilot.

The pilot writes one line of JSON to its standard input, then a byte for each wish, and closes it to end all.
At the end the keeper writes what the payload used, as JSON, to the file descriptor that its last argument names.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import IO, Any, Mapping

from pilot import namespaces, orphans
from pilot.processes import command_line, family, numbers, tasks_of

GENTLY = b"t"
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
_ENDING_S = 20.0
_MATCHING_S = 1
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # the zip, or the folder of the rooms
_MAIN = "import sys; sys.path.insert(0, sys.argv[1]); from pilot.keeper import main; main()"


@dataclass(frozen=True)
class Order:
    """What a keeper is to run; nothing of it stands in anybody's arguments or environment but the payload's own."""

    command: list[str]
    directory: str
    environment: Mapping[str, str]
    options: list[str] = field(default_factory=list)  # of a wrapper, handed over by a file descriptor
    user: list[int] = field(default_factory=list)  # uid and gid to become first
    room: Mapping[str, Any] = field(default_factory=dict)  # the namespaces to make, for namespaces.enter
    wrapped: bool = False  # the first process is not the payload's own
    most_processes: int = 0  # more than the user runs now
    largest_file: int = 0
    groups: list[str] = field(default_factory=list)  # files that put who writes there into a control group
    stop_signal: int = signal.SIGTERM
    stop_regex: str = ""  # only processes with such a command line get the signal, if there are any


class Keeper(subprocess.Popen[bytes]):
    """A keeper at work. Its end mirrors the payload's, and comes after the end of every process of the payload."""

    def __init__(self, order: Order) -> None:
        receiver, sender = os.pipe()
        self._used: IO[bytes] = os.fdopen(receiver, "rb")
        try:
            with orphans.starting() as keepers:
                super().__init__(
                    [sys.executable or "python3", "-I", "-S", "-c", _MAIN, _HERE, str(sender)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd="/",
                    env={},
                    start_new_session=True,
                    pass_fds=(sender,),
                )
                keepers.add(self.pid)
        finally:
            os.close(sender)
        tell(self, json.dumps(asdict(order)).encode() + b"\n")

    def cpu_seconds(self) -> float | None:
        """The processor time of all that the payload was, once it is over; None when the keeper could not say."""
        os.set_blocking(self._used.fileno(), False)
        with self._used as used:
            try:
                return float(os.read(used.fileno(), 64))
            except (ValueError, BlockingIOError):
                return None


def start(order: Order) -> Keeper:
    """A keeper that runs this."""
    return Keeper(order)


def tell(keeper: subprocess.Popen[bytes], said: bytes) -> None:
    """The keeper has heard this, if it lives."""
    if keeper.stdin is not None:
        with contextlib.suppress(OSError):
            keeper.stdin.write(said)
            keeper.stdin.flush()


def main() -> None:
    """Run what the order says, until it has ended or the pilot has."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    libc.prctl(_PR_SET_DUMPABLE, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the pilot decides; a handler, for who is ignored here is ignored in the payload
    used = int(sys.argv[2])
    os.set_inheritable(used, False)
    with open(0, "rb", buffering=0, closefd=False) as line:  # no buffer, which would take the first wishes too
        order = Order(**json.loads(line.readline()))
    options = _readable(order.options) if order.options else None
    keeper = os.getpid()
    first = os.fork()
    if first == 0:
        os.close(used)
        _become(order, options, keeper)
    threading.Thread(target=_obey, args=(order,), daemon=True).start()
    while True:
        ended, status = os.wait()
        if ended == first:
            break
    _end_all()
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass  # or their time would not be counted, and a node's init may be too lazy to bury them
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    with contextlib.suppress(OSError):
        os.write(used, str(children.ru_utime + children.ru_stime).encode())
    _mirror(status)


def _readable(options: list[str]) -> int:
    descriptor = os.memfd_create("options", 0)  # 0: not closed on exec
    with open(descriptor, "wb", closefd=False) as file:
        file.write(b"".join(os.fsencode(option) + b"\x00" for option in options))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _become(order: Order, options: int | None, keeper: int) -> None:
    """This process is the payload, or says why it can not be."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)  # a signal that comes before the program runs is for it, and ends it
        os.setsid()
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # Python ignores them, and an ignored signal stays so
        _bound(order)
        for group in order.groups:
            with open(group, "wb", buffering=0) as file:
                file.write(b"0")
        if order.user:
            os.setgroups([])
            os.setgid(order.user[1])
            os.setuid(order.user[0])
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(1)
        if order.room:
            namespaces.enter(order.room)
        command = list(order.command)
        if options is not None:
            command[1:1] = ["--args", str(options)]
        os.chdir(order.directory)
        os.execve(command[0], command, order.environment)  # noqa: S606 - no shell is what is wanted
    except Exception as problem:
        reason = problem.strerror if isinstance(problem, OSError) else repr(problem)
        os.write(2, f"pilotbus: can not be started: {reason}\n".encode())
    finally:
        os._exit(127)


def _bound(order: Order) -> None:
    user = order.user[0] if order.user else os.getuid()
    most = order.most_processes and order.most_processes + tasks_of(user)
    for kind, limit in ((resource.RLIMIT_NPROC, most), (resource.RLIMIT_FSIZE, order.largest_file)):
        hard = resource.getrlimit(kind)[1]
        if limit:
            given = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (given, given))


def _obey(order: Order) -> None:
    """Each byte is a signal to the payload, not to what wraps it; the end of the pilot is the end of all."""
    while os.read(0, 1):
        for process in _asked(order):
            with contextlib.suppress(OSError):
                os.kill(process, order.stop_signal)
    _end_all()
    time.sleep(_ENDING_S)  # main tells of the end, unless there is none
    os._exit(1)


def _asked(order: Order) -> list[int]:
    """The processes that get the signal: none of those that wrap the payload, whose end would end it at once."""
    found = family(os.getpid())
    if order.wrapped:
        own = len(numbers(os.getpid()))
        found = [process for process in found if len(inner := numbers(process)) > own and inner[-1] != 1]
    return _named(found, order.stop_regex) or found if order.stop_regex else found


def _named(found: list[int], pattern: str) -> list[int]:
    """Those with such a command line; none when that takes too long, as an expression can be made to."""
    receiver, sender = os.pipe()
    if os.fork() == 0:
        try:
            signal.alarm(_MATCHING_S)  # ends it also in the midst of a search, which would stop all threads of the keeper
            named = [process for process in found if re.search(pattern, command_line(process))]
            os.write(sender, json.dumps(named).encode())
        finally:
            os._exit(0)
    os.close(sender)
    with open(receiver, "rb") as said:
        return list(json.loads(said.read() or b"[]"))


def _send(number: int) -> bool:
    found = family(os.getpid())
    for process in found:
        with contextlib.suppress(OSError):
            os.kill(process, number)
    return bool(found)


def _end_all() -> None:
    until = time.monotonic() + _ENDING_S
    # stopped before they are ended, because one that is stopped starts no others meanwhile
    while _send(signal.SIGSTOP) and time.monotonic() < until:
        _send(signal.SIGKILL)
        time.sleep(0.01)


def _mirror(status: int) -> None:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))
