"""The pilot tells the services that it exists, before it does anything else."""

from __future__ import annotations

import platform
import socket
import time
from typing import Any

from pilot import VERSION
from pilot.command import Pilot

SAYS = ("pilot.reported.v1",)


def measure() -> dict[str, Any]:
    """What tells this pilot from others."""
    return {"version": VERSION, "python": platform.python_version(), "host": socket.gethostname()}


def run(pilot: Pilot) -> None:
    details = {"plan": pilot.config.plan, **measure()}
    if pilot.link is not None:
        details["broker"] = str(pilot.link.broker)
    pilot.phase("booted", seconds=time.monotonic() - pilot.began, **details)
