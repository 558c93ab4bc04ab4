"""How batch systems write durations, sizes and counts."""

from __future__ import annotations

import re
from typing import Optional

_CLOCK = re.compile(r"(?:(\d+)[-:](?=\d+:\d+:\d))?(?:(\d+):)?(\d+):(\d+)(?:\.\d+)?")
_SIZE = re.compile(r"([0-9.]+)\s*([kmgtKMGT]?)(?:i?[bB]|bytes)?")
_TO_MB = {"": 1 / (1 << 20), "k": 1 / 1024, "m": 1.0, "g": 1024.0, "t": 1024.0 * 1024}


def seconds(text: str) -> Optional[int]:
    """1-02:03:04, 1:02:03:04, 02:03:04, 03:04 or 184 as seconds; None for UNLIMITED, INFINITY and what is no duration."""
    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return int(float(text))
    found = _CLOCK.fullmatch(text)
    if not found:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def megabytes(text: str, plain: str = "") -> Optional[int]:
    """4gb, 500M, 1048576kb or 7.5G as MB; `plain` is the unit of a number without one. None for what is no size."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        return None
    try:
        return int(float(found[1]) * _TO_MB[(found[2] or plain).lower()])
    except ValueError:
        return None


def whole(text: object) -> Optional[int]:
    """A count, or None."""
    found = re.match(r"\s*(\d+)", str(text))
    return int(found[1]) if found else None


def left(limit_s: Optional[int], used_s: Optional[int]) -> Optional[int]:
    """What is left of a limit, when there is one."""
    return None if limit_s is None else max(0, limit_s - (used_s or 0))


def said(**values: object) -> dict[str, object]:
    """Those that are known."""
    return {name: value for name, value in values.items() if value is not None}
