"""Servers as processes: each leads its own session, is known by its pid, and is ended only when it is surely ours."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_UNSEEN_S = 1.0
_POLL_S = 0.05
_LOG_TAIL_LINES = 12
_PASSED_ON = ("PATH", "TZ", "TMPDIR")
# The child writes its pid before it becomes the server: a runner killed at any moment leaves no unknown process.
_BECOME = 'umask 077; cd /; echo $$ >"$0" && exec "$@"'


class StackError(Exception):
    """The stack cannot do what was asked; the message is one sentence for a person."""


def launch(directory: Path, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """The server is on its way, in its own session, with a log and a pid file named after it."""
    pid_file = _pid_file(directory, name)
    pid_file.parent.mkdir(exist_ok=True)
    pid_file.write_text("")
    os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", _BECOME, str(pid_file), *command],
        child_environment(environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log_file(directory, name)), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE],
    )


def run_to_end(directory: Path, name: str, command: Sequence[str], stdin: str = "") -> None:
    """The command has ended well, or a StackError shows where its output is."""
    with log_file(directory, name).open("wb") as log:
        ended = subprocess.run(
            command, input=stdin.encode(), stdout=log, stderr=log, env=child_environment({}), cwd="/", check=False
        )
    if ended.returncode != 0:
        raise StackError(f"{name} failed with exit code {ended.returncode}; {_log_tail(directory, name)}")


def wait_until_ready(directory: Path, name: str, is_ready: Callable[[], bool], patience_s: float) -> None:
    """The server is ready, or a StackError says whether it died or only took too long."""
    deadline = time.monotonic() + patience_s
    seen_s = time.monotonic()
    while not is_ready():
        if leader_of(directory, name) is not None:
            seen_s = time.monotonic()
        elif time.monotonic() > seen_s + _UNSEEN_S:  # between one program and the next that it becomes, it has no name
            raise StackError(f"{name} died while it was starting; {_log_tail(directory, name)}")
        if time.monotonic() > deadline:
            raise StackError(f"{name} was not ready after {patience_s:.0f} s; {_log_tail(directory, name)}")
        time.sleep(_POLL_S)


def leader_of(directory: Path, name: str) -> int | None:
    """The pid that leads the server's session while any process of this stack lives in that session."""
    pid = _recorded_pid(_pid_file(directory, name))
    if pid is None or not any(_is_ours(member, directory) for member in _session(pid)):
        return None
    return pid


def recorded(directory: Path) -> set[str]:
    """The names of all servers of the stack that were launched and not ended by us."""
    return {path.name for path in (directory / "pids").glob("*")}


def is_recorded(directory: Path, name: str) -> bool:
    """A server of this name was launched and not ended by us."""
    return _pid_file(directory, name).exists()


def end(directory: Path, name: str, gently: signal.Signals, patience_s: float) -> None:
    """No process of the server is left: asked gently first, killed when its time is up."""
    leader = leader_of(directory, name)
    if leader is not None:
        members = _session(leader)
        # Only the leader is asked: RabbitMQ's script passes the signal on, and its helpers must outlive the broker.
        _send([leader] if leader in members else members, gently)
        if not _gone(leader, patience_s):
            _send(_session(leader), signal.SIGKILL)
            _gone(leader, patience_s)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(leader, os.WNOHANG)
    _pid_file(directory, name).unlink(missing_ok=True)


def log_file(directory: Path, name: str) -> Path:
    """Where everything a server says goes."""
    return directory / f"{name}.log"


def write_private(path: Path, text: str) -> None:
    """The file has this text, whole, and only its owner may read it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a server sees: nothing of the caller's settings but the search path, and a plain UTF-8 locale."""
    passed_on = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    return passed_on | {"LC_ALL": "C.UTF-8"} | dict(environment)


def _pid_file(directory: Path, name: str) -> Path:
    return directory / "pids" / name


def _recorded_pid(pid_file: Path) -> int | None:
    """The pid in the file; an empty file belongs to a child that is about to fill it in."""
    deadline = time.monotonic() + 1.0
    while True:
        try:
            text = pid_file.read_text().strip()
        except FileNotFoundError:
            return None
        if text:
            return int(text)
        if time.monotonic() > deadline:
            return None
        time.sleep(_POLL_S)


def _session(leader: int) -> list[int]:
    """Every living process of the session with this leader."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _parent, _group, session = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state not in (b"Z", b"X"):
            found.append(int(entry.name))
    return found


def _is_ours(pid: int, directory: Path) -> bool:
    """The process was started for this very stack: its command line names the stack's directory."""
    try:
        return f"{directory}/".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _gone(leader: int, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while _session(leader):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _log_tail(directory: Path, name: str) -> str:
    """The place of a server's log and its last lines."""
    log = log_file(directory, name)
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    tail = "".join(f"\n    {line}" for line in lines[-_LOG_TAIL_LINES:] if line.strip())
    return f"its log is {log}{': …' if tail else ''}{tail}"
