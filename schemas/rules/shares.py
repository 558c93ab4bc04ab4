"""Whose turn it is: what groups and users have used lately, and the score by which the matcher serves them.

    core_s(t) = core_s · d + processors · (1 − d) · H / ln 2      with  d = 2^(−(t − at) / H)
    score     = (core_s + processors · τ) / share                 the lowest is served first

`core_s` is the integral of processors in use, in which a second that lies one half-life H back counts half: whoever holds
p processors for long comes to p · H / ln 2 and stays there. It accrues from what is held now, so a job counts from its
first second to its last and needs no estimate of its length.

**In the long run** the scores of all that always want more meet, and as both terms are proportional to the processors
held, what is used then is as the shares, whatever the lengths and widths of the jobs are: within 5 % for each group whose
share is worth two jobs at a time or more. Of less, a single job is too much, and a group of few wide jobs gets more.

**H is a day**, as HTCondor's PRIORITY_HALFLIFE: last week's use hardly counts (1 %), and yesterday's still does. With a
longer one a group pays longer for what it took while nobody else wanted it; with a shorter one, shares hold over hours.

**τ is an hour**, as long as a common job: a processor that was just given away counts as if it had been used for an hour.
Without it, all pilots that ask within one second would be given to the one with the lowest score, whose use has not begun.
It weighs 3 % of a steady use, so it spreads a burst and moves nothing in the long run.

**Who comes back after a pause** has no more than the past use of the others to its credit, and that is bounded: with the
share f of the whole and demand without end, it is given every slot that ends until about H · log₂ 1/(1 − f) after its
return (a day for a half, 3.6 hours for a tenth), after an absence of a month no longer than after one of a year.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

HALF_LIFE_S = 86_400.0
HORIZON_S = 3_600.0
JOB_SHARE = 1000  # DIRAC's default
USER_SHARE = 1.0  # users divide what their group has, each the same
FORMULA = "score = (core_s + processors * {horizon_s:.0f} s) / share, lowest first; core_s halves every {half_life_s:.0f} s"

Score = Callable[[int, float, float], float]


@dataclass(frozen=True)
class Usage:
    """What somebody has in use at a moment, in seconds of any clock, and what it has used until then."""

    processors: int = 0
    core_s: float = 0.0
    at: float = 0.0


def accrued(usage: Usage, at: float, half_life_s: float = HALF_LIFE_S) -> Usage:
    """Give the same at a later moment; a moment that is past changes nothing, because clocks differ between machines."""
    if at <= usage.at:
        return usage
    left = 2.0 ** (-(at - usage.at) / half_life_s)
    return Usage(usage.processors, usage.core_s * left + usage.processors * steady(1.0 - left, half_life_s), at)


def used(usage: Usage, processors: int, at: float, half_life_s: float = HALF_LIFE_S) -> Usage:
    """Give the usage from the moment on at which so many more processors are in use, or so many fewer; never below none."""
    now = accrued(usage, at, half_life_s)
    return Usage(max(0, now.processors + processors), now.core_s, now.at)


def steady(processors: float, half_life_s: float = HALF_LIFE_S) -> float:
    """Give the core_s to which it comes in the end when so many processors are always in use."""
    return processors * half_life_s / math.log(2.0)


def score(processors: int, core_s: float, share: float) -> float:
    """Give how much has been had of a share; the lowest is served first, and who has no share after all others."""
    return (core_s + processors * HORIZON_S) / share if share > 0 else math.inf


def expected(shares: Mapping[Any, float]) -> dict[Any, float]:
    """Give the percent that each should have of all, of those that want something at the same time."""
    whole = sum(shares.values())
    return {name: 100.0 * share / whole if whole else 100.0 / len(shares) for name, share in shares.items()}


def ordered(rule: Score) -> Score:
    """Give the score with infinity in place of what is no number, which is below nothing and above nothing: served last."""

    def ruled(processors: int, core_s: float, share: float) -> float:
        given = rule(processors, core_s, share)
        return math.inf if math.isnan(given) else given

    return ruled


class Policy(NamedTuple):
    """How it is decided whose turn it is: a score, by its name; the house's has none."""

    name: str
    score: Score


HOUSE = Policy("", score)
