"""The processes below one: who lives, and what processor time they took. Read from /proc, which any user may."""

from __future__ import annotations

import os

_TICKS = os.sysconf("SC_CLK_TCK")
# the fields of /proc/N/stat after the name: state, ppid, …, utime, stime, cutime, cstime, …, threads
_STATE, _PARENT, _TIMES, _OF_CHILDREN, _THREADS = 0, 1, slice(11, 15), slice(13, 15), 17


def family(elder: int) -> list[int]:
    """The living processes below this one. It must be a subreaper: then none leaves its family, however it was started."""
    table = _table()
    return [process for process in _below(elder, table) if table[process][_STATE] not in "ZX"]


def cpu_seconds(elder: int) -> float:
    """The processor time of all below this one: of those that live, and of those that were waited for."""
    table = _table()
    ticks = sum(int(field) for process in _below(elder, table) for field in table[process][_TIMES])
    return (ticks + sum(int(field) for field in table.get(elder, [])[_OF_CHILDREN])) / _TICKS


def tasks_of(user: int) -> int:
    """How many threads this user runs on the node, which is what the kernel holds against RLIMIT_NPROC."""
    return sum(int(fields[_THREADS]) for process, fields in _table().items() if _owner(process) == user)


def _table() -> dict[int, list[str]]:
    found = {int(name): _stat(name) for name in os.listdir("/proc") if name.isdigit()}
    return {process: fields for process, fields in found.items() if fields}


def _below(elder: int, table: dict[int, list[str]]) -> list[int]:
    children: dict[int, list[int]] = {}
    for process, fields in table.items():
        children.setdefault(int(fields[_PARENT]), []).append(process)
    found: list[int] = []
    level = [elder]
    while level:
        level = [child for parent in level for child in children.pop(parent, ())]
        found += level
    return found


def _owner(process: int) -> int:
    try:
        return os.stat(f"/proc/{process}").st_uid
    except OSError:
        return -1


def _stat(name: str) -> list[str]:
    """The fields of /proc/N/stat after the process' name, which may itself hold blanks and brackets."""
    try:
        with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []
