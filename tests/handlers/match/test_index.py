"""The index of task queues says of all queues at once what the predicate says of each."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.match.index import Index
from handlers.match.parked import Parked
from schemas.rules.attributes import DescriptionError
from schemas.rules.matching import fits
from tests.schemas.rules.oracle import oracle
from tests.schemas.rules.test_matching import attributes, fields_of, needs, resources

OWNERS = st.tuples(st.sampled_from(["ada", "bob"]), st.sampled_from(["bes_user", "lhcb_user"]), st.sampled_from(["bes", "lhcb"]))


def drawn(wanted: list[tuple[tuple[str, str, str], dict[str, Any]]]) -> list[dict[str, Any]]:
    """The requirements of those that can be submitted at all."""
    found = []
    for (owner, group, vo), job in wanted:
        try:
            found.append(needs(owner, group, vo, **job))
        except DescriptionError:
            continue
    return found


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.tuples(OWNERS, attributes), max_size=12), resources)
def test_it_agrees_with_a_naive_evaluator_queue_by_queue(wanted: list[Any], offer: dict[str, Any]) -> None:
    index, queues = Index(), drawn(wanted)
    for number, need in enumerate(queues):
        assert index.add(100 + number, need) == number
    mask = index.serves(offer)
    failing = list(index.failing(offer))
    for slot, need in enumerate(queues):
        no = oracle(offer, need)
        assert bool(mask >> slot & 1) == (not no)
        assert fields_of([f"{name}:" for name, bits in failing if bits >> slot & 1]) == no
    assert mask >> len(queues) == 0


@settings(max_examples=500, deadline=None)
@given(attributes, resources)
def test_what_is_left_of_an_offer_in_its_profile_fits_the_same_jobs(wanted: dict[str, Any], offer: dict[str, Any]) -> None:
    try:
        need = needs(**wanted)
    except DescriptionError:
        return
    assert fits(Parked().profile(offer).resource, need) == fits(offer, need)


def test_a_queue_keeps_its_slot() -> None:
    index = Index()
    assert [index.add(queue_id, needs()) for queue_id in (7, 9, 7)] == [0, 1, 0]
    assert (len(index), index.queue_ids) == (2, [7, 9])
