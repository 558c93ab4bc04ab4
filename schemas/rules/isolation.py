"""How a payload is kept apart from its pilot: the levels, and which of them is enough for whom."""

from __future__ import annotations

LEVELS = ("none", "userns", "bubblewrap", "apptainer")


def is_enough(level: str, least: str) -> bool:
    """Whether who wants at least the one is content with the other; a level that nobody knows is none."""
    return _height(level) >= _height(least)


def _height(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else 0
