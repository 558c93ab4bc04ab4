"""slots: who gets what, and never more than there is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilot.slots import Free, Share, Slots
from schemas.rules.matching import fits, requirements


@pytest.mark.parametrize(
    ("description", "processors", "memory_mb"),
    [
        ({}, 1, 1000),
        ({"NumberOfProcessors": 3}, 3, 3000),
        ({"MinNumberOfProcessors": 2, "MaxNumberOfProcessors": 4}, 4, 4000),
        ({"MaxNumberOfProcessors": 4}, 4, 4000),
        ({"MinNumberOfProcessors": 2}, 8, 8000),
        ({"MinNumberOfProcessors": 2, "MaxNumberOfProcessors": 64}, 8, 8000),
        ({"WholeNode": True}, 8, 8000),
        ({"MinRAM": 2500}, 1, 2500),
        ({"MinRAM": 300}, 1, 1000),
        ({"MaxRAM": 300}, 1, 300),
        ({"MinRAM": 2500, "MaxRAM": 3000}, 1, 3000),
        ({"MinRAM": 2500, "MaxRAM": 30_000}, 1, 8000),
        ({"MinRAM": 2500, "MaxRAM": 0}, 1, 2500),
    ],
)
def test_an_empty_pool_gives_what_a_job_asks_for(description: dict[str, Any], processors: int, memory_mb: int) -> None:
    share = Slots(8, 8000).take(1, description)
    assert share is not None
    assert (len(share.processors), share.memory_mb) == (processors, memory_mb)


def test_what_is_left_goes_to_the_next_and_what_does_not_fit_waits() -> None:
    slots = Slots(4, 4000, 2)
    assert slots.take("a", {"NumberOfGPUs": 1}) == Share((0,), 1000, (0,))
    assert slots.take("whole", {"WholeNode": True}) is None
    assert slots.take("four", {"NumberOfProcessors": 4}) is None
    assert slots.take("gpus", {"NumberOfGPUs": 2}) is None
    assert slots.take("memory", {"MinRAM": 3001}) is None
    assert slots.take("b", {"MinNumberOfProcessors": 2, "MaxNumberOfProcessors": 4}) == Share((1, 2, 3), 3000)
    assert slots.free() == Free(0, 0, 1, whole=False)
    assert not slots.has_room()
    slots.give_back("a")
    slots.give_back("a")
    assert slots.free() == Free(1, 1000, 2, whole=False)
    slots.give_back("b")
    assert slots.take("whole", {"WholeNode": True}) == Share((0, 1, 2, 3), 4000, (0, 1))


def test_a_pool_without_memory_for_one_more_job_wants_none_though_it_has_processors() -> None:
    slots = Slots(4, 4000)
    slots.take("large", {"MinRAM": 3500})
    assert slots.free().processors == 3
    assert not slots.has_room()


def test_one_job_at_a_time_has_all_the_memory_and_its_own_number_of_processors() -> None:
    slots = Slots(4, 4000, 2, pool=False)
    assert slots.has_room()
    assert slots.take("a", {}) == Share((0,), 4000, (0, 1))
    assert not slots.has_room()
    assert slots.take("b", {}) is None


def test_a_job_that_the_services_should_not_have_given_has_an_empty_pool_for_itself() -> None:
    assert Slots(2, 1000).take("a", {"NumberOfProcessors": 8, "MinRAM": 2000}) == Share((0, 1), 1000)


def test_only_what_is_more_is_worth_asking_for_again() -> None:
    three = Free(3, 3000, 0, whole=False)
    assert not three.exceeds(three)
    assert not Free(2, 2000, 0, whole=False).exceeds(three)
    for more in (
        Free(4, 1, 0, whole=False),
        Free(1, 4000, 0, whole=False),
        Free(1, 1, 1, whole=False),
        Free(3, 3000, 0, whole=True),
    ):
        assert more.exceeds(three)


NUMBERS = st.integers(min_value=1, max_value=12)
MEMORY = st.integers(min_value=0, max_value=5000)
JOB = st.fixed_dictionaries(
    {},
    optional={"WholeNode": st.booleans(), "MinRAM": MEMORY, "MaxRAM": MEMORY, "NumberOfGPUs": st.integers(0, 3)},
).flatmap(
    lambda job: st.sampled_from([(), ("NumberOfProcessors",), ("MinNumberOfProcessors",), ("MaxNumberOfProcessors",)]).flatmap(
        lambda names: NUMBERS.map(lambda number: {**job, **dict.fromkeys(names, number)})
    )
)


@given(
    st.integers(1, 8),
    st.integers(0, 4000),
    st.integers(0, 3),
    st.booleans(),
    st.lists(st.one_of(JOB, st.integers(0, 20)), max_size=30),
)
def test_never_more_is_taken_than_there_is_and_all_comes_back(
    processors: int,
    memory_mb: int,
    gpus: int,
    pool: bool,
    steps: list[Any],
) -> None:
    slots = Slots(processors, memory_mb, gpus, pool=pool)
    empty = slots.free()
    held: dict[int, Share] = {}
    for number, step in enumerate(steps):
        if isinstance(step, int):
            slots.give_back(step)
            held.pop(step, None)
            continue
        free, fitting = slots.free(), slots.has_room() and offered(slots.free(), step)
        share = slots.take(number, step)
        if share is not None:
            held[number] = share
            assert free.whole or (len(share.processors) <= free.processors and share.memory_mb <= free.memory_mb)
        assert share is not None or not fitting, "what the matcher gives to this offer has its place"
        all_processors = [one for each in held.values() for one in each.processors]
        all_gpus = [one for each in held.values() for one in each.gpus]
        assert len(all_processors) == len(set(all_processors)) <= processors
        assert len(all_gpus) == len(set(all_gpus)) <= gpus
        assert 0 <= sum(each.memory_mb for each in held.values()) <= memory_mb
        assert slots.free().memory_mb == memory_mb - sum(each.memory_mb for each in held.values())
        assert pool or len(held) <= 1
    for number in list(held):
        slots.give_back(number)
    assert slots.free() == empty


def offered(free: Free, description: dict[str, Any]) -> bool:
    """Whether the matcher would give this job to a request that offers what is free."""
    resource = {
        "CPUTime": 1_080_000,
        "VirtualOrganization": "bes",
        "NumberOfProcessors": free.processors,
        "MaxRAM": free.memory_mb,
        "NumberOfGPUs": free.gpus,
        "WholeNode": free.whole,
    }
    return fits(resource, requirements(description, "ada", "g", "bes"))
