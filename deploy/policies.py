"""Policies of whose turn it is: the house's, or a score that an extension brings as policies/NAME.py."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bus.discover import load
from bus.settings import Settings
from deploy.verbs.common import USAGE, Failure
from schemas.rules.shares import HOUSE, Policy, Score, ordered

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TRIED = (0, 0.0, 1000.0), (8, 86_400.0, 1000.0)


class Policies(NamedTuple):
    """The one that decides, and the one that only says whom it would have served, if there is any."""

    chosen: Policy
    shadow: Policy | None


def policies(settings: Settings) -> Policies:
    """Those that the settings name, the house's where they name none. Raises Failure with one sentence."""
    chosen = _policy("PILOTBUS_SHARE_POLICY", settings.share_policy, settings.houses) if settings.share_policy else HOUSE
    shadow = _policy("PILOTBUS_SHARE_SHADOW", settings.share_shadow, settings.houses) if settings.share_shadow else None
    return Policies(chosen, shadow)


def _policy(setting: str, name: str, houses: Sequence[Path]) -> Policy:
    there = sorted({path.stem for house in houses for path in house.glob("policies/*.py") if _NAME.fullmatch(path.stem)})
    paths = [house / "policies" / f"{name}.py" for house in houses if name in there]
    found = [path for path in paths if path.is_file()]
    if not found:
        known = f"there is {', '.join(there)}" if there else "there is none"
        raise Failure(f"{setting} is {name!r}, and no extension has policies/{name}.py: {known}", USAGE)
    if len(found) > 1:
        raise Failure(f"{setting} is {name!r}, which is both {found[0]} and {found[1]}", USAGE)
    return Policy(name, ordered(_score(name, found[0])))


def _score(name: str, path: Path) -> Score:
    try:
        module = load(f"policies.{name}", path)
    except Exception as problem:  # whatever a file of others raises
        raise Failure(f"{path}: {type(problem).__name__}: {problem}", USAGE) from problem
    score: Score | None = getattr(module, "score", None)
    if not callable(score) or list(inspect.signature(score).parameters) != ["processors", "core_s", "share"]:
        raise Failure(f"{path}: wants a function score(processors, core_s, share)", USAGE)
    for tried in _TRIED:
        try:
            given = score(*tried)
            right = isinstance(given, (int, float)) and math.isfinite(given)
        except Exception as problem:
            raise Failure(f"{path}: score{tried} raises {type(problem).__name__}: {problem}", USAGE) from problem
        if not right:
            raise Failure(f"{path}: score{tried} is {given!r}, and wants to be a number", USAGE)
    return score
