"""How much a line of a log matters, and which lines of a payload are for debugging only."""

from __future__ import annotations

import re

DEBUG, INFO, WARNING, ERROR = LEVELS = ("debug", "info", "warning", "error")

# the word in capitals, alone, where loggers put it: behind a date, a name, a bracket
_MARK = re.compile(r".{0,59}?(?<![A-Za-z0-9_])DEBUG(?![A-Za-z0-9_])|[\s\[<(]{0,8}debug[\]>):\s]", re.ASCII)


def reaches(level: str, least: str) -> bool:
    """Whether a line of this level is to be kept where this is the least."""
    return LEVELS.index(level) >= LEVELS.index(least)


def level_of(text: str) -> str:
    """The level of a payload's line: debug when DEBUG stands as a word in its first 64 characters, or it begins with debug:."""
    return DEBUG if _MARK.match(text) else INFO


def has_marks(text: str) -> bool:
    """Whether any line of this text can be a debug line; quick, for many lines at once."""
    return "DEBUG" in text or "debug" in text
