"""The batch system whose job this pilot is: what its slot has, and how much of its time is left, by the system's own words.

Each system is a module here with four things: NAME, DIRAC's name for it; `here(environment)`, the id of the batch job, or "";
`measure(environment)`, the texts of its own commands and files; `parse(texts, environment, now_s)`, which is pure and gives
what these texts say of a slot, under the names of SLOT, leaving out what they do not say.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Optional

from pilot.batch import htcondor, lsf, oar, sge, slurm, torque

SYSTEMS: tuple[ModuleType, ...] = (slurm, htcondor, lsf, torque, oar, sge)
SLOT = ("queue", "processors", "memory_mb", "gpus", "whole_node", "wall_limit_s", "wall_left_s", "cpu_limit_s", "cpu_left_s")


def system(environment: Mapping[str, str]) -> Optional[ModuleType]:
    """The system whose job this is, or nothing."""
    return next((module for module in SYSTEMS if module.here(environment)), None)


def name(environment: Mapping[str, str]) -> str:
    """That system's name, or nothing."""
    found = system(environment)
    return str(found.NAME) if found else ""


def slot(environment: Mapping[str, str]) -> dict[str, Any]:
    """What the batch system says of this slot now; empty outside of any."""
    found = system(environment)
    if found is None:
        return {}
    told = found.parse(found.measure(environment), environment, time.time())
    return {"system": found.NAME, "job": str(found.here(environment))[:128], **{key: told[key] for key in SLOT if key in told}}


def seconds_left(told: Mapping[str, Any]) -> Optional[float]:
    """Until the slot ends, by wall clock or because its processors have used their time; None when nothing is said of it."""
    ends = []
    if "wall_left_s" in told:
        ends.append(float(told["wall_left_s"]))
    if "cpu_left_s" in told:
        ends.append(float(told["cpu_left_s"]) / max(1, int(told.get("processors", 1))))
    return max(0.0, min(ends)) if ends else None
