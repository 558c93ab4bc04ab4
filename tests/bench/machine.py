"""What processes use: processor time and memory, of a process and all that it has started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Used:
    """Processor seconds so far, and memory now: each page counted once, however many processes share it."""

    cpu_s: float
    mib: float


def used(leader: int | None) -> Used:
    """What the process, its children and those that have ended use; nothing when there is none."""
    if leader is None:
        return Used(0.0, 0.0)
    return Used(sum(map(_cpu_s, _tree(leader))), sum(map(_mib, _tree(leader))))


def _tree(leader: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        if fields := _fields(int(path.parent.name)):
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, new = [], [leader]
    while new:
        found += new
        new = [child for parent in new for child in children.get(parent, [])]
    return found


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name; none when it is over."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_s(pid: int) -> float:
    # own time in and out of the kernel, and that of children that were waited for
    return sum(map(int, _fields(pid)[11:15])) / _TICKS_PER_S


def _mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
