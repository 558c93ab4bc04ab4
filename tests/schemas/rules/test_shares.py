"""Use decays as it is written, bursts are spread, and in the long run everybody has had what is its share."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from schemas.rules.shares import HALF_LIFE_S, HORIZON_S, Usage, accrued, expected, score, steady, used
from tests.schemas.rules.farm import DAY_S, Farm, Group, groups_worst_percent, percents, users_worst_percent

SLOTS = 40
SETTLED_S, LONG_S = 3 * DAY_S, 23 * DAY_S
WITHIN_PERCENT = 5.0

USAGES = st.builds(Usage, st.integers(0, 100_000), st.floats(0, 1e12), st.floats(0, 1e9))
LATER_S = st.floats(0, 1e7)
GROUPS = st.lists(
    st.builds(
        Group,
        share=st.integers(100, 3000),
        users=st.integers(1, 4).map(lambda number: tuple("abcd"[:number])),
        mean_s=st.sampled_from([1800.0, 3600.0, 7200.0, 14_400.0]),
        processors=st.sampled_from([1, 2, 4, 8]),
    ),
    min_size=2,
    max_size=5,
).map(lambda groups: {f"g{number}": group for number, group in enumerate(groups)})


@given(USAGES, LATER_S, LATER_S)
def test_it_does_not_matter_how_often_one_looks(usage: Usage, first_s: float, second_s: float) -> None:
    at = usage.at + first_s + second_s
    once, twice = accrued(usage, at), accrued(accrued(usage, usage.at + first_s), at)
    assert math.isclose(once.core_s, twice.core_s, rel_tol=1e-6, abs_tol=1e-3)
    assert (once.processors, once.at) == (twice.processors, twice.at)


@given(USAGES, USAGES, LATER_S)
def test_a_groups_use_is_that_of_its_users(one: Usage, other: Usage, later_s: float) -> None:
    both = Usage(one.processors + other.processors, one.core_s + other.core_s, 0.0)
    alone = [accrued(Usage(each.processors, each.core_s, 0.0), later_s).core_s for each in (one, other)]
    assert math.isclose(accrued(both, later_s).core_s, sum(alone), rel_tol=1e-9, abs_tol=1e-6)


def test_half_is_forgotten_after_a_half_life_and_what_is_always_held_comes_to_rest() -> None:
    assert accrued(Usage(0, 1000.0, 5.0), 5.0 + HALF_LIFE_S).core_s == 500.0
    assert math.isclose(accrued(Usage(7, 0.0, 0.0), 1.0).core_s, 7.0, rel_tol=1e-4)  # a second of seven processors
    assert math.isclose(accrued(Usage(7, 0.0, 0.0), 60 * HALF_LIFE_S).core_s, steady(7))
    assert accrued(Usage(7, steady(7), 0.0), HALF_LIFE_S).core_s == pytest.approx(steady(7))


@given(USAGES, LATER_S, st.integers(-100, 100))
def test_a_moment_that_is_past_and_a_release_too_many_do_no_harm(usage: Usage, sooner_s: float, change: int) -> None:
    after = used(usage, change, usage.at - sooner_s)
    assert (after.core_s, after.at) == (usage.core_s, usage.at)
    assert after.processors == max(0, usage.processors + change)


@given(USAGES, st.integers(1, 1_000_000))
def test_more_use_is_later_and_more_share_is_sooner(usage: Usage, share: int) -> None:
    mine = score(usage.processors, usage.core_s, share)
    assert score(usage.processors + 1, usage.core_s, share) > mine
    assert score(usage.processors, usage.core_s + 1e6, share) > mine
    assert score(usage.processors, usage.core_s, share + 1) <= mine < score(0, 0.0, 0)


def test_without_any_share_one_is_served_when_nobody_else_wants() -> None:
    groups = {"none": Group(share=0), "some": Group(away=(DAY_S, 2 * DAY_S))}
    farm = Farm(groups, SLOTS, seed=1)
    assert farm.run(DAY_S - 1).held() == {"none": 0, "some": SLOTS}
    assert farm.run(2 * DAY_S - 1).held()["none"] > SLOTS * 0.9
    assert expected({"none": 0, "some": 10}) == {"none": 0.0, "some": 100.0}
    assert expected({"a": 0, "b": 0}) == {"a": 50.0, "b": 50.0}


def test_a_burst_within_one_moment_is_spread_by_the_shares() -> None:
    groups = {"small": Group(share=1000, users=("ada", "bob")), "large": Group(share=3000)}
    farm = Farm(groups, 100, seed=1).run(0.0)
    assert farm.held() == {"small": 25, "large": 75}
    weight = HORIZON_S / (HORIZON_S + steady(1))
    assert 0.02 < weight < 0.04  # and yet the horizon is little beside what has been used


def jobs_at_once(groups: dict[str, Group]) -> dict[str, float]:
    """How many slots each group has when all is as the shares."""
    each = {name: group.share / group.processors for name, group in groups.items()}
    return {name: SLOTS * slots / sum(each.values()) for name, slots in each.items()}


def worst(farm: Farm) -> tuple[float, float]:
    """How far groups, and users inside a group, are from their shares in the long run."""
    since = farm.run(SETTLED_S).core_s()
    farm.run(LONG_S)
    return groups_worst_percent(farm, since), users_worst_percent(farm, since)


@settings(max_examples=12, deadline=None, phases=[Phase.generate])  # a case is a farm of weeks: too long to be shrunk
@given(GROUPS, st.integers(0, 1000))
def test_in_the_long_run_groups_have_their_shares_and_users_the_same_whatever_their_jobs_are(
    groups: dict[str, Group], seed: int
) -> None:
    assume(all(slots >= max(2.0, len(groups[name].users)) for name, slots in jobs_at_once(groups).items()))
    of_groups, of_users = worst(Farm(groups, SLOTS, seed))
    assert of_groups <= WITHIN_PERCENT
    assert of_users <= WITHIN_PERCENT


def test_long_and_wide_jobs_give_no_group_more_and_no_less() -> None:
    groups = {
        "wide": Group(share=1000, processors=8, mean_s=14_400.0, users=("ada", "bob")),
        "short": Group(share=1000, processors=1, mean_s=900.0, users=("eve",)),
        "large": Group(share=2000, processors=2, mean_s=7200.0, users=("max", "zoe", "kim")),
    }
    assert max(worst(Farm(groups, SLOTS, seed=7))) <= WITHIN_PERCENT


@pytest.mark.parametrize(("share", "hours"), [(500, 24.0), (100, 3.6)])
def test_who_comes_back_has_credit_for_so_long_and_no_longer(share: int, hours: float) -> None:
    surplus: dict[int, float] = {}
    for days in (10, 40):
        groups = {"away": Group(share, mean_s=1800.0, away=(DAY_S, days * DAY_S)), "there": Group(1000 - share, mean_s=1800.0)}
        farm = Farm(groups, SLOTS, seed=3)
        before = farm.run(days * DAY_S - 1).core_s()
        farm.run((days + 3) * DAY_S)
        had = sum(farm.core_s()[name] - before[name] for name in groups)
        surplus[days] = farm.core_s()["away"] - before["away"] - had * share / 1000
        settled = farm.core_s()
        assert groups_worst_percent(farm.run((days + 10) * DAY_S), settled) <= WITHIN_PERCENT
    most = SLOTS * (1 - share / 1000) * hours * 3600
    assert 0.9 * most < surplus[10] <= most * 1.02
    assert surplus[40] == pytest.approx(surplus[10], rel=0.03)  # a longer absence is worth no more


def test_a_sharing_group_is_one_among_groups_and_is_not_divided_by_users() -> None:
    groups = {
        "prod": Group(share=3000, users=("robot", "ada"), sharing=True, submits={"robot": 3}),
        "user": Group(share=1000, users=("bob", "eve")),
    }
    farm = Farm(groups, SLOTS, seed=5)
    since: dict[Any, float] = farm.run(SETTLED_S).core_s()
    farm.run(LONG_S)
    assert groups_worst_percent(farm, since) <= WITHIN_PERCENT
    assert users_worst_percent(farm, since) <= WITHIN_PERCENT
    robot, ada = (farm.core_s()["prod", user] - since["prod", user] for user in ("robot", "ada"))
    assert robot / ada == pytest.approx(3.0, rel=0.05)  # the oldest job is next, whosever it is


def test_the_simulation_would_notice_a_score_that_is_wrong() -> None:
    groups = {"wide": Group(processors=4), "long": Group(mean_s=14_400.0), "usual": Group()}
    by_count = Farm(groups, SLOTS, seed=1, rule=lambda processors, core_s, share: -core_s / share)
    since = by_count.run(SETTLED_S).core_s()
    assert groups_worst_percent(by_count.run(LONG_S), since) > 50
    assert sum(percents(by_count, since).values()) == pytest.approx(100.0)
