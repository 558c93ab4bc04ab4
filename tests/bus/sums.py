"""A user's module of functions, which run as jobs."""

from __future__ import annotations

import os


def total(*numbers: int, start: int = 0) -> int:
    """The sum of numbers."""
    print("adding")
    return sum(numbers, start)


def share(part: int, whole: int) -> float:
    """A part of a whole."""
    return part / whole


def place() -> str:
    """The job's id, as the job knows it."""
    return os.environ["PILOTBUS_JOB_ID"]


def opaque() -> object:
    """What is no JSON."""
    return {1, 2}
