"""Which commands a pilot runs: named plans, as data, which extensions add to and configuration changes."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import ModuleType
from typing import Any

PACKED = "plans.json"
Plans = dict[str, tuple[str, ...]]

_LOOK = ("check_wn_capabilities", "configure_site", "configure_architecture", "configure_cpu_requirements?", "describe_resource")
# a command with a question mark may fail, and the pilot goes on
PLANS: Plans = {
    "default": ("register_pilot", "check_worker_node", "check_ce_capabilities?", *_LOOK, "launch_agent"),
    "batch": ("register_pilot", "check_worker_node", "check_ce_capabilities", *_LOOK, "launch_agent"),
    "ssh": ("register_pilot", "check_worker_node", *_LOOK, "launch_agent"),
    "cloud": ("register_pilot", "check_worker_node", *_LOOK, "launch_agent"),
    "volunteer": ("register_pilot", "check_worker_node", *_LOOK, "launch_agent"),
    "check": ("check_worker_node", "check_ce_capabilities?", *_LOOK),
}
_CHANGE = ("plan", "of", "commands", "without", "add")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")


class WrongPlan(LookupError):
    """There is no such plan or command, or a change of a plan can not be made; one sentence says why."""


@dataclass(frozen=True)
class Step:
    """One command of a plan, and whether the pilot goes on when it fails."""

    name: str
    command: ModuleType
    may_fail: bool = False


def steps(plan: str, changes: Iterable[Mapping[str, Any]] = ()) -> list[Step]:
    """The commands of a named plan, or of a list joined by commas. Raises WrongPlan with a sentence."""
    known = changed(built_in(), changes)
    return [_step(item, known) for item in known.get(plan) or tuple(plan.split(","))]


def changed(plans: Plans, changes: Iterable[Mapping[str, Any]]) -> Plans:
    """The plans after these changes, one after the other, each of the shape that pilot/README.md tells. Raises WrongPlan."""
    known = dict(plans)
    for change in changes:
        name = str(change.get("plan", ""))
        _judge(change, name, known)
        items = list(change.get("commands", known.get(str(change.get("of", name)), ())))
        for unwanted in change.get("without", ()):
            items = [item for item in items if _bare(item) != _bare(unwanted)]
        for addition in change.get("add", ()):
            items.insert(_place(items, addition, name), str(addition["command"]))
        known[name] = tuple(items)
    return known


@cache
def built_in() -> Plans:
    """The plans that this zip has: the house's, and those of the extensions in it."""
    try:
        packed = files("pilot").joinpath(PACKED).read_text(encoding="utf-8")
    except (OSError, KeyError):  # outside of a zip, or in one that somebody else has made
        return PLANS
    return changed(PLANS, json.loads(packed))


def listing(changes: Iterable[Mapping[str, Any]] = ()) -> str:
    """Every command of this zip with what it does, and every plan, for people."""
    import pilot.commands

    names = sorted(module.name for module in pkgutil.iter_modules(pilot.commands.__path__))
    about = {name: (_command(name, {}).__doc__ or "").strip().splitlines()[0] for name in names}
    lines = [f"{name:28} {said}" for name, said in about.items()]
    plans = [f"{name:28} {', '.join(items)}" for name, items in changed(built_in(), changes).items()]
    return "\n".join(["commands:", *lines, "", "plans (a command with ? may fail):", *plans])


def _judge(change: Mapping[str, Any], name: str, known: Mapping[str, Any]) -> None:
    if unknown := sorted(set(change) - set(_CHANGE)):
        raise WrongPlan(f"plan {name}: does not know {unknown[0]!r}; it knows {', '.join(_CHANGE)}")
    if not _NAME.fullmatch(name):
        raise WrongPlan(f"{name!r} is no name of a plan: lower case letters, digits and _")
    if not change.get("commands") and str(change.get("of", name)) not in known:
        raise WrongPlan(f"plan {name}: there is no plan {change.get('of', name)!r} to begin with; give its commands")
    for item in (*change.get("commands", ()), *(str(addition.get("command", "")) for addition in change.get("add", ()))):
        if not _NAME.fullmatch(_bare(item)):
            raise WrongPlan(f"plan {name}: {item!r} is no name of a command")


def _place(items: Sequence[str], addition: Mapping[str, Any], plan: str) -> int:
    """Where an addition goes: before or after another command, else before the last, which asks for jobs."""
    bare = [_bare(item) for item in items]
    for side, further in (("before", 0), ("after", 1)):
        if other := addition.get(side):
            if _bare(other) not in bare:
                raise WrongPlan(f"plan {plan}: {addition['command']} is to be {side} {other}, which is not in it")
            return bare.index(_bare(other)) + further
    return len(items) - 1 if bare and bare[-1] == "launch_agent" else len(items)


def _bare(item: str) -> str:
    return str(item).rstrip("?")


def _step(item: str, known: Plans) -> Step:
    name = item.strip()
    return Step(_bare(name), _command(_bare(name), known), name.endswith("?"))


def _command(name: str, known: Plans) -> ModuleType:
    wanted = f"pilot.commands.{name}"
    if not _NAME.fullmatch(name):
        raise WrongPlan(f"{name!r} is neither a plan ({', '.join(known)}) nor the name of a command")
    try:
        return importlib.import_module(wanted)
    except ModuleNotFoundError as problem:
        if problem.name != wanted:
            raise
        raise WrongPlan(f"this pilot has no command {name!r}, and no plan of that name ({', '.join(known)})") from problem
