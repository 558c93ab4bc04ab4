"""What does the computing element give this pilot? The batch system's own words for the slot, and whether they suffice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pilot import batch
from pilot.command import Pilot, Stop
from pilot.config import Config

SAYS = ()


def measure(environment: Mapping[str, str]) -> dict[str, Any]:
    """The slot as its batch system tells it; empty outside of any."""
    return batch.slot(environment)


def judge(slot: Mapping[str, Any], config: Config) -> list[str]:
    """Where the slot has less than this pilot is to offer, as one sentence each."""
    promised = {"processors": config.processors, "memory_mb": config.max_ram_mb, "wall_left_s": config.cpu_time_s}
    return [
        f"{name} of the slot is {slot[name]} by {slot['system']}, and {wanted} is to be offered"
        for name, wanted in promised.items()
        if wanted and slot.get(name, wanted) < wanted
    ]


def run(pilot: Pilot) -> None:
    slot = measure(os.environ)
    if not slot:
        return
    pilot.facts["slot"] = slot
    pilot.remaining.tell(batch.seconds_left(slot), lambda: batch.seconds_left(batch.slot(os.environ)))
    if complaints := judge(slot, pilot.config):
        raise Stop("; ".join(complaints))
