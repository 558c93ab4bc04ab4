"""The limits of the control groups that this process is in, of both versions, from its own up to the root."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from pilot.probe import number_of, text_of

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
_UNLIMITED_BYTES = 1 << 60  # version 1 says no limit by a very large one


def memory_mb(root: Path = ROOT, own: str = "") -> Optional[int]:
    """The least memory that any of them allows; None when none sets a limit."""
    limits = [number_of(folder / "memory.max") for folder in _groups("", root, own)]
    limits += [number_of(folder / "memory.limit_in_bytes") for folder in _groups("memory", root, own)]
    found = [limit for limit in limits if 0 < limit < _UNLIMITED_BYTES]
    return min(found) >> 20 if found else None


def processors(root: Path = ROOT, own: str = "") -> Optional[int]:
    """The fewest processors that any quota amounts to, rounded up; None when there is none."""
    found = []
    for folder in _groups("", root, own):
        quota, _, period = text_of(folder / "cpu.max").strip().partition(" ")
        if quota.isdecimal() and period.isdecimal():
            found.append(max(1, math.ceil(int(quota) / int(period))))
    for folder in _groups("cpu", root, own):
        quota_us, period_us = number_of(folder / "cpu.cfs_quota_us"), number_of(folder / "cpu.cfs_period_us")
        if quota_us and period_us:
            found.append(max(1, math.ceil(quota_us / period_us)))
    return min(found) if found else None


def _groups(controller: str, root: Path, own: str) -> Iterator[Path]:
    """The folders of the groups that this process is in; `controller` is empty for version 2."""
    for line in (own or text_of(OWN)).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller not in controllers.split(","):
            continue
        for mounted in (root / controllers, root / controller) if controller else (root, root / "unified"):
            # in a container its own group may be the mount itself, so the path leads nowhere and the root counts
            parts = [part for part in path.split("/") if part not in ("", "..")]
            for depth in range(len(parts), -1, -1):
                yield mounted.joinpath(*parts[:depth])
