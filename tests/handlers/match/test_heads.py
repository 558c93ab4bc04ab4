"""The heads of queues: in order, each once, and none forgotten, however they become known."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.match.heads import NOTHING_READ, Entry, Heads

JOBS = st.dictionaries(st.integers(1, 60), st.integers(-3, 0), min_size=0, max_size=30)


def read_on(heads: Heads, there: set[Entry], limit: int) -> None:
    """As from the database: the first of those beyond what was read."""
    beyond = sorted(entry for entry in there if entry > heads.read_to(0))
    heads.keep(0, beyond[:limit], limit)


@settings(max_examples=400, deadline=None)
@given(
    JOBS,
    st.lists(st.tuples(st.sampled_from(["take", "wake", "back", "read"]), st.integers(0, 60)), max_size=60),
    st.integers(1, 5),
)
def test_every_job_comes_once_and_in_order_with_wakes_in_between(
    jobs: dict[int, int], steps: list[tuple[str, int]], limit: int
) -> None:
    there: set[Entry] = {(priority, job_id, "g") for job_id, priority in jobs.items()}
    heads, taken = Heads(), list[Entry]()
    heads.unread(0)
    for step, number in steps:
        if step == "wake":
            entry = (-(number % 4), 100 + number, "g")
            if entry not in taken:
                there.add(entry)
                heads.put(0, entry)
        elif step == "read" and heads.some and 0 in heads.dry:
            read_on(heads, there, limit)
        elif step == "back" and taken:
            entry = taken.pop()
            there.add(entry)
            heads.give_back(0, entry)
        elif step == "take" and (entry := heads.next(0) or NOTHING_READ) != NOTHING_READ:
            assert entry == min(there)
            heads.take(0, entry)
            there.remove(entry)
            taken.append(entry)
    while heads.some:
        while 0 in heads.dry:
            read_on(heads, there, limit)
        if (last := heads.next(0)) is not None:
            assert last in there
            heads.take(0, last)
            there.remove(last)
    assert there == set()


def test_jobs_of_a_barred_group_are_passed_over() -> None:
    heads = Heads()
    heads.unread(0)
    heads.keep(0, [(-1, 1, "a"), (-1, 2, "b")], 5)
    assert heads.next(0, {"a"}) == (-1, 2, "b")
    assert heads.next(0, {"a", "b"}) is None
