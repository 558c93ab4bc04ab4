"""limits: never more than may run, never more often than may be matched, and what is given back was never taken."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.limits import FIELDS, Limits, concerns

VALUES = {
    "owner": ("ada", "bob"),
    "owner_group": ("g",),
    "vo": ("bes", "juno"),
    "job_type": ("User", "MC"),
    "job_group": ("x", "y"),
}
KEYS = st.one_of(
    st.just(("*", "*")),
    *(st.tuples(st.just(attribute), st.sampled_from(VALUES[field])) for attribute, field in FIELDS.items()),
)
JOBS = st.fixed_dictionaries({field: st.sampled_from(values) for field, values in VALUES.items()})
PLACES = st.sampled_from((("A", ""), ("A", "ce1"), ("A", "ce2"), ("B", "")))
STEPS_S = st.floats(0, 3, allow_nan=False)


def row(limit_id: int = 1, **changes: Any) -> dict[str, Any]:
    """Give a limit on all jobs of site A that forbids nothing yet, with changes."""
    plain = {
        "limit_id": limit_id, "site": "A", "ce": "", "attribute": "*", "value": "*", "most": None, "running": 0,
        "delay_s": None, "burst": 1, "tokens": 1.0, "at_s": 0.0,
    }  # fmt: skip
    return plain | changes


@st.composite
def rows(draw: Any) -> list[dict[str, Any]]:
    """Draw the rows of two sites: running limits, rates, both or neither, buckets full."""
    made = []
    for number, (place, (attribute, value)) in enumerate(draw(st.lists(st.tuples(PLACES, KEYS), max_size=8, unique=True))):
        burst = draw(st.integers(1, 4))
        limit = {"most": draw(st.none() | st.integers(0, 3)), "delay_s": draw(st.none() | st.floats(0.01, 2))}
        where = dict(zip(("site", "ce"), place, strict=True))
        made.append(row(number, attribute=attribute, value=value, burst=burst, tokens=float(burst), **where, **limit))
    return made


def allowed(limits: Limits, site: str, ce: str, job: dict[str, Any]) -> bool:
    """Say whether a matcher that heeds what is blocked gives the job."""
    return not any(concerns(attribute, value, job) for attribute, value in limits.blocked(site, ce))


def written(rows: list[dict[str, Any]], limits: Limits) -> list[dict[str, Any]]:
    """Give the rows as they are after the matcher's transaction."""
    changes = {change["limit_id"]: change for change in limits.changed()}
    return [before | changes.get(before["limit_id"], {}) for before in rows]


def blocking(limits: list[dict[str, Any]], now: float, place: tuple[str, str]) -> set[int]:
    """Give the limits that forbid something there."""
    return {limit["limit_id"] for limit in limits if Limits([limit], now).blocked(*place)}


def counted(limit: dict[str, Any], place: tuple[str, str], job: dict[str, Any]) -> bool:
    """Say, by its own words, whether a limit counts a job there."""
    at = limit["site"] == place[0] and limit["ce"] in ("", place[1])
    return at and (limit["attribute"] == "*" or limit["value"] == job[FIELDS[limit["attribute"]]])


@given(rows(), st.lists(st.lists(st.tuples(STEPS_S, PLACES, JOBS, st.booleans()), max_size=10), max_size=5))
def test_whatever_comes_no_limit_and_no_rate_is_passed(limits: list[dict[str, Any]], batches: list[Any]) -> None:
    now, matches = 0.0, list[Any]()
    for batch in batches:
        now += sum(step for step, *_ in batch) / 4
        held = Limits(limits, now)
        for _, place, job, ends in batch:
            site, ce = place
            if allowed(held, site, ce, job):
                held.take(site, ce, job)
                matches.append([now, place, job, True])
            running = [match for match in matches if match[3]]
            if ends and running:
                over = running[0]
                over[3] = False
                limits = written(limits, held)  # the release of another process, between two transactions
                limits = [one | {"running": one["running"] - counted(one, over[1], over[2])} for one in limits]
                held = Limits(limits, now)
        limits = written(limits, held)
        for limit in limits:
            mine = [match for match in matches if counted(limit, match[1], match[2])]
            assert limit["running"] == sum(match[3] for match in mine)
            assert limit["most"] is None or limit["running"] <= limit["most"]
            if limit["delay_s"] is not None:
                moments = [match[0] for match in mine]
                for first, begin in enumerate(moments):
                    for last, end in enumerate(moments[first:], first):
                        assert last - first + 1 <= limit["burst"] + (end - begin) / limit["delay_s"] + 1e-6


@given(rows(), STEPS_S, st.lists(st.tuples(PLACES, JOBS), max_size=12), st.integers(0, 12))
def test_what_is_given_back_was_never_taken(limits: list[dict[str, Any]], now: float, matches: list[Any], kept: int) -> None:
    held, taken = Limits(limits, now), list[Any]()
    for (site, ce), job in matches:
        if allowed(held, site, ce, job):
            held.take(site, ce, job)
            taken.append((site, ce, job))
    alone = Limits(limits, now)
    for site, ce, job in taken[:kept]:
        alone.take(site, ce, job)
    for site, ce, job in taken[kept:]:
        held.give_back(site, ce, job)
    assert held.changed() == alone.changed()


@given(rows(), JOBS, PLACES)
def test_whoever_comes_again_when_told_to_finds_a_token(
    limits: list[dict[str, Any]], job: dict[str, Any], place: tuple[str, str]
) -> None:
    now, held, (site, ce) = 0.0, Limits(limits, 0.0), place
    for _ in range(40):
        if allowed(held, site, ce, job):
            held.take(site, ce, job)
            limits = written(limits, held)
        elif (wait := held.again_s(site, ce)) is None:
            break
        else:
            assert 0 < wait <= 2
            before = blocking(limits, now, place)
            now += wait + 1e-6
            held = Limits(limits, now)
            assert blocking(limits, now, place) < before


def test_a_full_limit_blocks_its_own_and_nothing_else() -> None:
    limits = Limits([row(1, attribute="Owner", value="ada", most=1, running=1), row(2, ce="ce1", most=0)], 0)
    assert limits.blocked("A", "") == [("Owner", "ada")]
    assert limits.blocked("A", "ce1") == [("*", "*"), ("Owner", "ada")]
    assert limits.blocked("B", "") == []
    assert limits.again_s("A", "ce1") is None, "no time opens what is full"


def test_a_limit_of_nothing_lets_nothing_in_and_one_above_its_new_limit_waits() -> None:
    assert Limits([row(most=0)], 0).blocked("A", "") == [("*", "*")]
    assert Limits([row(most=2, running=5)], 0).blocked("A", "") == [("*", "*")]


def test_a_rate_without_a_burst_is_one_at_a_time_also_below_a_second() -> None:
    job = {field: values[0] for field, values in VALUES.items()}
    limits = Limits([row(delay_s=0.25)], 100.0)
    limits.take("A", "", job)
    assert limits.blocked("A", "") == [("*", "*")]
    assert limits.again_s("A", "") == 0.25
    later = Limits(written([row(delay_s=0.25)], limits), 100.125)
    assert later.again_s("A", "") == 0.125
    assert Limits(written([row(delay_s=0.25)], limits), 100.25).blocked("A", "") == []


def test_the_first_of_several_tokens_is_waited_for() -> None:
    slow, fast = row(1, delay_s=8.0, tokens=0.5), row(2, attribute="Owner", value="ada", delay_s=1.0, tokens=0.0)
    assert Limits([slow, fast], 0.0).again_s("A", "") == 1.0


def test_no_time_is_earned_twice_when_a_clock_goes_back() -> None:
    spent = row(delay_s=1.0, tokens=0.0, at_s=100.0)
    job = {field: values[0] for field, values in VALUES.items()}
    back = Limits([spent], 40.0)
    back.take("A", "", job)
    assert back.changed()[0]["at_s"] == 100.0


def test_idle_time_fills_no_more_than_the_burst() -> None:
    assert Limits([row(delay_s=1.0, burst=3, tokens=0.0)], 1e6).changed() == [], "reading alone changes nothing"
    limits = Limits([row(delay_s=1.0, burst=3, tokens=0.0)], 1e6)
    job = {field: values[0] for field, values in VALUES.items()}
    for _ in range(3):
        assert limits.blocked("A", "") == []
        limits.take("A", "", job)
    assert limits.blocked("A", "") == [("*", "*")]
