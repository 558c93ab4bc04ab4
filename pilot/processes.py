"""The processes below one: who lives, and what processor time they took. Read from /proc, which any user may."""

from __future__ import annotations

import contextlib
import os
import stat

_TICKS = os.sysconf("SC_CLK_TCK")
# the fields of /proc/N/stat after the name: state, ppid, …, utime, stime, cutime, cstime, …, threads
_SESSION = 3
_STATE, _PARENT, _TIMES, _OF_CHILDREN, _THREADS, _PAGES = 0, 1, slice(11, 15), slice(13, 15), 17, 21
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LONGEST_LINE = 4096


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


def memory_bytes(elder: int, limit: int) -> int:
    """The memory of all below this one. Near the limit what several of them share is counted once, where this can be read."""
    table = _table()
    found = _below(elder, table)
    resident = {process: int(table[process][_PAGES]) * _PAGE for process in found}
    if sum(resident.values()) <= limit:
        return sum(resident.values())
    return sum(_share(process, resident[process]) for process in found)


def unnamed_bytes(elder: int, device: int) -> int:
    """What files on this device that are open below this one, and have no name any more, take of the disk."""
    found: dict[int, int] = {}
    for process in family(elder):
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{process}/fd"):
                with contextlib.suppress(OSError):
                    file = os.stat(f"/proc/{process}/fd/{descriptor}")
                    if file.st_nlink == 0 and file.st_dev == device and stat.S_ISREG(file.st_mode):
                        found[file.st_ino] = file.st_blocks * 512
    return sum(found.values())


def children(parent: int) -> list[int]:
    """Whose parent this is, those that have ended and were not waited for included."""
    return [process for process, fields in _table().items() if int(fields[_PARENT]) == parent]


def session(process: int) -> int:
    """The session it is in; 0 when it is gone."""
    fields = _stat(str(process))
    return int(fields[_SESSION]) if fields else 0


def numbers(process: int) -> list[int]:
    """Its numbers, from the namespace that looks down to its own; none when it is gone."""
    try:
        with open(f"/proc/{process}/status", encoding="utf-8", errors="replace") as file:
            return next(([int(word) for word in line.split()[1:]] for line in file if line.startswith("NSpid:")), [])
    except OSError:
        return []


def command_line(process: int) -> str:
    """The beginning of its command line, words parted by blanks; empty when it can not be read."""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return file.read(_LONGEST_LINE).replace(b"\x00", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _share(process: int, resident: int) -> int:
    try:
        with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return resident


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
