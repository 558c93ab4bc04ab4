"""The table of attacks: which attacker tries what, and whether it must raise an alarm."""

from __future__ import annotations

import pytest


def attack(attacker: str, attempt: str, alarm: bool = False) -> pytest.MarkDecorator:
    """The test shows one row of the table."""
    return pytest.mark.attack(attacker=attacker, attempt=attempt, alarm=alarm)
