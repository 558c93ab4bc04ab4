"""Offer a tag when the community's software is there: what an extension's command looks like."""

from __future__ import annotations

from pathlib import Path

from pilot.command import Pilot, Stop

SAYS = ()
NEEDED = ("/bin/sh",)


def measure() -> list[str]:
    """Those of the needed files that are here."""
    return [name for name in NEEDED if Path(name).exists()]


def judge(found: list[str]) -> list[str]:
    """What is missing, as one sentence each."""
    return [f"there is no {name}" for name in NEEDED if name not in found]


def run(pilot: Pilot) -> None:
    found = measure()
    pilot.facts["example"] = {"found": found}
    if complaints := judge(found):
        raise Stop("; ".join(complaints))
    pilot.tags.add("Example_ready")
