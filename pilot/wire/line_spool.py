"""Log lines on disk while the broker is away: bounded, in files that go as soon as nothing waits in them, and never in the way.

A line is not of record: nothing is synced, and what a crash leaves is removed by the next pilot here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import zlib
from collections.abc import Hashable
from pathlib import Path
from typing import NamedTuple, Optional

SEGMENT_BYTES = 1 << 20
LEAST_FREE = 128 << 20  # twice of what ends a payload for want of disk: the log must not be what fails a job
_AGAIN_S = 5.0


class Segment:
    """One file of one stream."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.blocks = 0


class Place(NamedTuple):
    """Where a block of lines is on disk."""

    segment: Segment
    offset: int
    length: int
    checksum: int


class LineSpool:
    """Blocks of bytes in files of about a megabyte. Not for several threads at once."""

    def __init__(self, folder: Optional[Path] = None, most_bytes: int = 0, least_free: int = LEAST_FREE) -> None:
        """The spool in this folder, empty; without a folder it takes nothing."""
        self.most_bytes = most_bytes if folder is not None else 0
        self.used = 0
        self.complaint = ""
        self._folder = folder
        self._least_free = least_free
        self._segment_bytes = max(1, min(SEGMENT_BYTES, most_bytes // 16))
        self._open: dict[Hashable, Segment] = {}
        self._count = 0
        self._again_at = 0.0
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def segment(self) -> Segment:
        """A new file, for blocks that are to be together."""
        self._count += 1
        return Segment((self._folder or Path()) / f"{self._count}.lines")

    def write(self, stream: Hashable, raw: bytes, segment: Optional[Segment] = None) -> Optional[Place]:
        """The block is on disk, in this file or in its stream's present one; None when the disk does not take it."""
        if not self.most_bytes or time.monotonic() < self._again_at:
            return None
        if segment is None:
            segment = self._open.get(stream)
            if segment is None or segment.size >= self._segment_bytes:
                segment = self._open[stream] = self.segment()
        try:
            self._append(segment, raw)
        except OSError as problem:
            self._again_at = time.monotonic() + _AGAIN_S
            self.complaint = f"log lines can not be kept on disk ({problem.strerror or problem}); they are kept in memory only"
            return None
        place = Place(segment, segment.size, len(raw), zlib.crc32(raw))
        segment.size += len(raw)
        segment.blocks += 1
        self.used += len(raw)
        self.complaint = ""
        return place

    def read(self, place: Place) -> Optional[bytes]:
        """The block as it was written, or None when it is so no more."""
        try:
            with open(place.segment.path, "rb", buffering=0) as file:
                raw = os.pread(file.fileno(), place.length, place.offset)
        except OSError:
            return None
        return raw if zlib.crc32(raw) == place.checksum else None

    def free(self, place: Place) -> None:
        """The block is wanted no more; its file is gone with its last block."""
        segment = place.segment
        segment.blocks -= 1
        if segment.blocks:
            return
        for stream in [stream for stream, open_one in self._open.items() if open_one is segment]:
            del self._open[stream]
        self.used -= segment.size
        with contextlib.suppress(OSError):
            segment.path.unlink()

    def close(self) -> None:
        """Nothing of it is on disk any more, and it takes nothing more."""
        self.most_bytes = 0
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _append(self, segment: Segment, raw: bytes) -> None:
        folder = segment.path.parent
        if not segment.size:
            folder.mkdir(mode=0o700, exist_ok=True)
        free = os.statvfs(folder)
        if free.f_bavail * free.f_frsize < self._least_free + len(raw):
            raise OSError("the disk is nearly full")
        file = os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            written = 0  # at its place, so that what a failed write has left is written over
            while written < len(raw):
                written += os.pwrite(file, raw[written:], segment.size + written)
        finally:
            os.close(file)
