"""A control group for each payload, where the pilot's own may be divided: the kernel keeps the limits of memory and processes.

Both of the kernel's versions, also side by side; each place is looked for in /proc, because batch systems put it anywhere.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PREFIX, _OWN = "pilotbus-", "pilotbus-pilot"
_OLD = ("memory", "pids", "cpuacct", "cpu")
_NEW = ("memory", "pids", "cpu")
_EMPTY_S = 2.0
_SELF = Path("/proc/self")


@dataclass(frozen=True)
class Group:
    """The control group of one payload: a folder for each controller, which in the second version are all the same."""

    folders: Mapping[str, Path]

    @property
    def doors(self) -> list[str]:
        """The files that put who writes 0 there into the group."""
        return [str(folder / "cgroup.procs") for folder in dict.fromkeys(self.folders.values())]

    @property
    def bounds_memory(self) -> bool:
        """Whether the kernel looks after its memory."""
        return "memory" in self.folders

    def cpu_seconds(self) -> float:
        """The processor time of all that was ever in the group; 0 where nobody counts it."""
        if "cpuacct" in self.folders:
            return _number(self.folders["cpuacct"] / "cpuacct.usage") / 1e9
        return _field(self.folders.get("cpu"), "cpu.stat", "usage_usec") / 1e6

    def out_of_memory(self) -> bool:
        """Whether the kernel ended a process of it for want of memory."""
        files = ("memory.events", "memory.oom_control")
        return any(_field(self.folders.get("memory"), name, "oom_kill") for name in files)

    def too_many_processes(self) -> bool:
        """Whether it was refused one more process."""
        return bool(_field(self.folders.get("pids"), "pids.events", "max"))

    def end(self) -> None:
        """No process is in the group, and it is gone."""
        until = time.monotonic() + _EMPTY_S
        for folder in dict.fromkeys(self.folders.values()):
            while folder.is_dir() and not _removed(folder) and time.monotonic() < until:
                _write(folder / "cgroup.kill", "1")
                for process in _text(folder / "cgroup.procs").split():
                    with contextlib.suppress(OSError):
                        os.kill(int(process), signal.SIGKILL)
                time.sleep(0.01)


def make(name: str, memory_bytes: int = 0, processes: int = 0, processors: int = 1, proc: Path = _SELF) -> Group | None:
    """A group for one payload of this process within these limits, 0 being none; None where its own may not be divided."""
    called = f"{_PREFIX}{os.getpid()}-{name}"
    made: dict[str, Path] = {}
    for controllers, parent in _parents(proc):
        _sweep(parent)
        folder = parent / called
        try:
            folder.mkdir()
        except OSError:
            continue
        made.update(dict.fromkeys(controllers, folder))
    if not made:
        return None
    group = Group(made)
    limits = {
        "memory": (("memory.max", memory_bytes), ("memory.limit_in_bytes", memory_bytes)),
        "pids": (("pids.max", processes),),
        "cpu": (("cpu.weight", min(10_000, 100 * processors)), ("cpu.shares", 1024 * processors)),
    }
    for controller in made.keys() & limits.keys():
        for file, limit in limits[controller]:
            if limit:
                _write(made[controller] / file, str(limit))
    if memory_bytes and "memory" in made:
        # what it can not have as memory it is not to have as swap either, and half a payload is of no use
        _write(made["memory"] / "memory.memsw.limit_in_bytes", str(memory_bytes))
        _write(made["memory"] / "memory.swap.max", "0")
        _write(made["memory"] / "memory.oom.group", "1")
    return group


def _parents(proc: Path) -> list[tuple[tuple[str, ...], Path]]:
    """The folders in which groups can be made, each with the controllers that such a group would have."""
    mounts = [line.split() for line in _text(proc / "mountinfo").splitlines()]
    found: list[tuple[tuple[str, ...], Path]] = []
    for line in _text(proc / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for words in mounts:
            kind, options = words[words.index("-") + 1], words[-1].split(",")
            if kind == "cgroup" and controllers and set(controllers.split(",")) <= set(options):
                folder, offered = _place(words, path), tuple(name for name in controllers.split(",") if name in _OLD)
            elif kind == "cgroup2" and not controllers:
                folder, offered = _divided(_place(words, path))
            else:
                continue
            if offered and os.access(folder, os.W_OK):
                found.append((offered, folder))
            break
    return found


def _place(words: list[str], path: str) -> Path:
    root, mounted = words[3], Path(words[4])
    inner = path[len(root) :] if root != "/" and path.startswith(root) else path
    return mounted / inner.lstrip("/")


def _divided(own: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder whose groups have controllers; a folder with processes can have none, so those move into one of its own."""
    parent = own.parent if own.name == _OWN else own
    offered = [name for name in _NEW if name in _text(parent / "cgroup.controllers").split()]
    if offered and os.access(parent, os.W_OK) and not _given(parent, offered):
        with contextlib.suppress(OSError):
            (parent / _OWN).mkdir()
        for process in _text(parent / "cgroup.procs").split():
            _write(parent / _OWN / "cgroup.procs", process)
        for name in offered:
            _write(parent / "cgroup.subtree_control", f"+{name}")
    return parent, tuple(_given(parent, offered))


def _given(parent: Path, offered: list[str]) -> list[str]:
    return [name for name in offered if name in _text(parent / "cgroup.subtree_control").split()]


def _sweep(parent: Path) -> None:
    """The groups of pilots that were killed are gone, as far as nobody is in them."""
    for folder in parent.glob(f"{_PREFIX}[0-9]*-*"):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            _removed(folder)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _field(folder: Path | None, file: str, name: str) -> int:
    lines = (line.split() for line in _text(folder / file).splitlines()) if folder else ()
    return next((int(words[1]) for words in lines if words[0] == name), 0)


def _number(path: Path) -> int:
    text = _text(path).strip()
    return int(text) if text.isdigit() else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    # opened without making it: what a kernel does not have is not set
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
