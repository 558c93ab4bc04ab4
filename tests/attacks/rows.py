"""The rows of the attack table: who attacks, what is tried, and whether an alarm must be heard."""

from __future__ import annotations

import pytest


def attack(attacker: str, attempt: str, *, alarm: bool = False) -> pytest.MarkDecorator:
    """Marks a test as a row: when it passes, the attempt was refused and nothing changed, and the alarm heard if one is due."""
    return pytest.mark.attack(attacker, attempt, alarm)
