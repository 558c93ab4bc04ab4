"""Serve by what is in use now and forget what was used: shares as DIRAC has them while its correction is off."""

from __future__ import annotations


def score(processors: int, core_s: float, share: float) -> float:
    """The lowest is served first; who has no share, after all others."""
    return processors / share if share > 0 else float("inf")
