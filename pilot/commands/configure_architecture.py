"""What does a program find here: platform, system, processor, C library, kernel?"""

from __future__ import annotations

from typing import Any

from pilot.command import Pilot
from pilot.node import architecture

SAYS = ()


def measure() -> dict[str, Any]:
    """The architecture, under the names that are said."""
    return architecture.measure()


def judge(found: dict[str, Any]) -> str:
    """The platform, as jobs ask for it."""
    return str(found["platform"])


def run(pilot: Pilot) -> None:
    pilot.facts["architecture"] = found = measure()
    pilot.resource["Platform"] = judge(found)
