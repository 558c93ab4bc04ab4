"""Which of two versions is the older one."""

from __future__ import annotations

import re


def older(version: str, least: str) -> bool:
    """Whether a calendar version, such as 2026.1.0, is older than the least; what is no version is older than any."""
    return _numbers(version) < _numbers(least)


def _numbers(version: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}", version):
        return ()
    found = [int(part) for part in version.split(".")]
    return tuple(found + [0] * (6 - len(found)))
