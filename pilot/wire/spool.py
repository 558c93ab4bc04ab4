"""Events of record on disk until the broker has confirmed them, so that nothing said is lost while it is away."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any


class Spool:
    """The events that still wait for their confirm, oldest first; the same ones after a crash and a new start.

    A confirm that a crash forgets only makes the same id be sent twice, and sending twice is sending once.
    """

    def __init__(self, path: Path) -> None:
        """The spool kept in this file. Raises BlockingIOError when another living pilot keeps it."""
        self.path = path
        self.complaint = ""
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise
        whole = path.read_bytes().rpartition(b"\n")[0] + b"\n"
        # a torn last line would swallow the next one; its writer died before it could count it as said
        os.ftruncate(self._file, len(whole) if len(whole) > 1 else 0)
        self._waiting = _read(whole)

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting)

    def append(self, envelope: dict[str, Any]) -> None:
        """From here on the event is on disk, or, when the disk refuses, in memory with a complaint."""
        with self._lock:
            self._waiting[envelope["id"]] = envelope
            self._write(envelope, durable=True)

    def first(self) -> dict[str, Any] | None:
        """The oldest event that waits; it stays first until it is confirmed."""
        with self._lock:
            return next(iter(self._waiting.values()), None)

    def confirm(self, event_id: str) -> None:
        """From here on the event waits no longer."""
        with self._lock:
            if self._waiting.pop(event_id, None) is None:
                return
            if self._waiting:
                self._write({"confirmed": event_id}, durable=False)
            else:
                with contextlib.suppress(OSError):  # a broken disk must not end the line to the broker
                    os.ftruncate(self._file, 0)

    def close(self) -> None:
        """The file is let go, and gone when nothing waits in it."""
        with self._lock:
            if not self._waiting:
                self.path.unlink(missing_ok=True)
            os.close(self._file)

    def _write(self, line: dict[str, Any], *, durable: bool) -> None:
        start = os.fstat(self._file).st_size
        rest = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            if durable:
                os.fsync(self._file)
            self.complaint = ""
        except OSError as problem:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, start)
            self.complaint = f"the spool {self.path} can not be written ({problem.strerror}); events are kept in memory only"


def _read(whole: bytes) -> OrderedDict[str, dict[str, Any]]:
    waiting: OrderedDict[str, dict[str, Any]] = OrderedDict()
    for line in whole.split(b"\n"):
        found = _line(line)
        if "confirmed" in found:
            waiting.pop(found["confirmed"], None)
        elif "id" in found:
            waiting[found["id"]] = found
    return waiting


def _line(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
