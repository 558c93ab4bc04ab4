"""Whose turn it is: the one who has had least of its share, then the most urgent, the largest, the oldest."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.match.turns import Turns
from schemas.rules.shares import score


def turns(shares: dict[str, float] | None = None, sharing: tuple[str, ...] = ()) -> Turns:
    """Of nobody yet."""
    return Turns(score, shares or {}, sharing)


def test_the_group_with_less_of_its_share_comes_first() -> None:
    found = turns({"large": 3000, "small": 1000})
    found.add(0, "large", "ada", 1)
    found.add(1, "small", "bob", 1)
    for slot in (0, 1):
        found.place(slot, (-1, 10 + slot))
    order = []
    for _ in range(40):
        chosen = found.next(0b11)
        assert chosen is not None
        found.use(chosen, 1)
        order.append(chosen)
    assert (order.count(0), order.count(1)) == (30, 10)


def test_users_of_a_group_take_turns_and_members_that_share_do_not() -> None:
    for sharing, wanted in (((), [0, 1, 0, 1, 0, 1]), (("g",), [0, 0, 0, 1, 1, 1])):
        found = turns(sharing=sharing)
        heads = {0: [1, 2, 3], 1: [11, 12, 13]}
        for slot, owner in ((0, "ada"), (1, "bob")):
            found.add(slot, "g", owner, 1)
            found.place(slot, (-1, heads[slot][0]))
        order = []
        for _ in range(6):
            chosen = found.next(0b11)
            assert chosen is not None
            found.use(chosen, 1)
            heads[chosen].pop(0)
            found.place(chosen, (-1, heads[chosen][0]) if heads[chosen] else None)
            order.append(chosen)
        assert order == wanted


def test_of_one_owner_the_most_urgent_comes_first_then_the_largest_then_the_oldest() -> None:
    found = turns()
    queues = {0: (1, (-1, 1)), 1: (8, (-1, 9)), 2: (1, (-5, 30)), 3: (8, (-1, 4)), 4: (1, (-1, 2))}
    for slot, (size, head) in queues.items():
        found.add(slot, "g", "ada", size)
        found.place(slot, head)
    mask, order = 0b11111, []
    while (chosen := found.next(mask)) is not None:
        order.append(chosen)
        mask &= ~(1 << chosen)
    assert order == [2, 3, 1, 0, 4]


def test_usage_as_it_was_accounted_counts() -> None:
    found = turns()
    for slot, owner in enumerate(("ada", "bob")):
        found.add(slot, "g", owner, 1)
        found.place(slot, (-1, slot + 1))
    found.account([{"owner_group": "g", "owner": "ada", "processors": 0, "core_s": 1000.0}])
    assert found.next(0b11) == 1
    found.account([{"owner_group": "g", "owner": "bob", "processors": 4, "core_s": 0.0}])
    assert found.next(0b11) == 0


QUEUES = st.lists(
    st.tuples(st.sampled_from("gh"), st.sampled_from("abc"), st.integers(1, 4), st.integers(-3, 0), st.integers(1, 99)),
    min_size=1, max_size=8,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(QUEUES, st.integers(0, 255), st.lists(st.tuples(st.integers(0, 7), st.integers(1, 5)), max_size=6))
def test_it_agrees_with_looking_at_everybody(queues: list[Any], mask: int, used: list[tuple[int, int]]) -> None:
    found = turns({"g": 1000.0, "h": 250.0})
    for slot, (group, owner, size, priority, job_id) in enumerate(queues):
        found.add(slot, group, owner, size)
        found.place(slot, (priority, job_id))
    groups, users = dict.fromkeys("gh", 0), dict[tuple[str, str], int]()
    for slot, processors in used:
        if slot < len(queues):
            group, owner = queues[slot][:2]
            found.use(slot, processors)
            groups[group] += processors
            users[group, owner] = users.get((group, owner), 0) + processors

    served = {
        party: number
        for number, (slot, _) in enumerate(used, 1)
        if slot < len(queues)
        for party in (queues[slot][0], queues[slot][:2])
    }

    def turn(slot: int) -> tuple[Any, ...]:
        group, owner, size, priority, job_id = queues[slot]
        share = {"g": 1000.0, "h": 250.0}[group]
        by_group = (score(groups[group], 0.0, share), served.get(group, 0), group)
        by_user = (score(users.get((group, owner), 0), 0.0, 1.0), served.get((group, owner), 0), owner)
        return by_group, by_user, priority, -size, job_id, slot

    eligible = [slot for slot in range(len(queues)) if mask >> slot & 1]
    assert found.next(mask) == (min(eligible, key=turn) if eligible else None)
