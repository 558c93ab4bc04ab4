"""Which commands a pilot runs, by name of the plan: data, so that a site changes the list and not the code."""

from __future__ import annotations

import importlib
import re
from types import ModuleType

PLANS = {
    "default": ("register_pilot", "check_worker_node", "describe_resource", "launch_agent"),
    "check": ("check_worker_node", "describe_resource"),
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")


def commands(plan: str) -> list[ModuleType]:
    """The commands of a named plan, or of a list joined by commas. Raises LookupError with a sentence."""
    names = PLANS.get(plan) or tuple(plan.split(","))
    return [_command(name) for name in names]


def _command(name: str) -> ModuleType:
    wanted = f"pilot.commands.{name}"
    if not _NAME.fullmatch(name):
        raise LookupError(f"{name!r} is neither a plan ({', '.join(PLANS)}) nor the name of a command")
    try:
        return importlib.import_module(wanted)
    except ModuleNotFoundError as problem:
        if problem.name != wanted:
            raise
        raise LookupError(f"this pilot has no command {name!r}, and no plan of that name ({', '.join(PLANS)})") from problem
