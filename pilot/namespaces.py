"""A room for one payload, made with the kernel's own calls: its own processes, its own /proc, only its folders writable.

What bubblewrap does, for nodes without it; it wants a kernel of 5.12 or newer that lets any user make namespaces.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Any, Mapping, Sequence

_NEW_MOUNTS, _NEW_HOSTNAME, _NEW_IPC, _NEW_USERS, _NEW_PROCESSES = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000
_MOUNT_SETATTR, _OPEN_TREE, _MOVE_MOUNT = 442, 428, 429  # the same numbers on every architecture
_HERE, _RECURSIVE, _EMPTY_PATH = -100, 0x8000, 0x1000
_CLONE_TREE, _FROM_DESCRIPTOR, _READ_ONLY = 1, 4, 1
_NO_SUID, _NO_DEV, _NO_EXEC, _SLAVE = 2, 4, 8, 1 << 19
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "users")]


def enter(room: Mapping[str, Any]) -> None:
    """This process is in the room, with no right over it; those that returned here before it wait for its end.

    The room has `over`, pairs of a folder and a place that it is seen at and may be written; `shown`, the same, read-only;
    and `hidden`, folders and files that are empty.
    """
    user, group = os.getuid(), os.getgid()
    _call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0)  # or the maps could not be written
    _call("unshare", _NEW_USERS | _NEW_MOUNTS | _NEW_PROCESSES | _NEW_IPC | _NEW_HOSTNAME)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "wb") as file:
            file.write(text.encode())
    _wait_for(os.fork())  # the first one in there is its init, whose end ends all others
    _furnish(room["over"], room["shown"], room["hidden"])
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _wait_for(os.fork())


def _wait_for(child: int) -> None:
    """The child returns; its parent never does, and ends as the child did, a signal as 128 and its number."""
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # anew, because a change of rights forgets it
    if child == 0:
        return
    while True:
        ended, status = os.wait()
        if ended == child:
            os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


def _furnish(over: Sequence[Sequence[str]], shown: Sequence[Sequence[str]], hidden: Sequence[str]) -> None:
    _mount("", "/", "", _SLAVE | 0x4000)
    kept = [(_clone(folder), place, False) for folder, place in over]
    nothing = {path: _clone(os.devnull) for path in hidden if not os.path.isdir(path)}
    shown_trees = [(_clone(folder), place, True) for folder, place in shown]
    _read_only("/", _RECURSIVE)
    _mount("proc", "/proc", "proc", _NO_SUID | _NO_DEV | _NO_EXEC)
    _mount("tmpfs", "/dev/shm", "tmpfs", _NO_SUID | _NO_DEV, "mode=1777")  # noqa: S108
    outside = [each for each in kept if not _below(each[1], hidden)]
    for tree, place, _ in outside:
        _place(tree, place)
    emptied = [path for path in hidden if path not in nothing]
    for path in emptied:
        os.makedirs(path, exist_ok=True)
        _mount("tmpfs", path, "tmpfs", _NO_SUID | _NO_DEV, "mode=755")
    for path, tree in nothing.items():
        if os.path.exists(path):
            _place(tree, path)
    for tree, place, closed in (*shown_trees, *(each for each in kept if each not in outside)):
        os.makedirs(place, exist_ok=True)
        _place(tree, place)
        if closed:
            _read_only(place, 0)
    for path in emptied:
        _read_only(path, 0)


def _below(place: str, folders: Sequence[str]) -> bool:
    return any(place.startswith(f"{folder}/") for folder in folders)


def _clone(path: str) -> int:
    return _call("syscall", _OPEN_TREE, _HERE, os.fsencode(path), _CLONE_TREE | os.O_CLOEXEC)


def _place(tree: int, place: str) -> None:
    _call("syscall", _MOVE_MOUNT, tree, b"", _HERE, os.fsencode(place), _FROM_DESCRIPTOR)
    os.close(tree)


def _read_only(path: str, flags: int) -> None:
    wanted = _Attributes(_READ_ONLY, 0, 0, 0)
    _call("syscall", _MOUNT_SETATTR, _HERE, os.fsencode(path), flags, ctypes.byref(wanted), ctypes.sizeof(wanted))


def _mount(source: str, place: str, kind: str, flags: int, options: str = "") -> None:
    _call("mount", source.encode(), os.fsencode(place), kind.encode(), ctypes.c_ulong(flags), options.encode())


def _call(name: str, *arguments: Any) -> int:
    found = int(getattr(_LIBC, name)(*arguments))
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return found
