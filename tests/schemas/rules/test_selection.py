"""Selections: ids and ranges as disjoint ranges, pieces of them, and whose jobs they reach."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.job_states import MOVES
from schemas.rules.rights import Reach
from schemas.rules.selection import beyond, ids, joined, movable, reaching, selected, unmoved

RANGES = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda one: (one[0], one[0] + one[1])), max_size=8)


@given(RANGES)
def test_joined_ranges_hold_the_same_ids_each_once_and_in_order(ranges: list[tuple[int, int]]) -> None:
    assert list(ids(joined(ranges))) == sorted({one for first, last in ranges for one in range(first, last + 1)})
    assert all(before[1] + 1 < after[0] for before, after in zip(joined(ranges), joined(ranges)[1:], strict=False))


@given(RANGES, st.integers(1, 7))
def test_pieces_are_all_of_it(ranges: list[tuple[int, int]], most: int) -> None:
    whole, found, after = joined(ranges), [], 0
    while piece := beyond(whole, after, most):
        assert 1 <= sum(1 for _ in ids(piece)) <= most
        found += list(ids(piece))
        after = piece[-1][1]
    assert found == list(ids(whole))


def test_a_command_names_something_and_a_question_need_not() -> None:
    assert selected({"job_ids": [3, 1, 2], "ranges": [[7, 9]], "after": 5}, command=True) == {"ranges": [(1, 3), (7, 9)]}
    assert selected({"after": 5}, command=False) == {}
    with pytest.raises(ValueError, match="name the jobs"):
        selected({"after": 5}, command=True)
    with pytest.raises(ValueError, match="4-3 is no range"):
        selected({"ranges": [[4, 3]]}, command=True)
    with pytest.raises(ValueError, match="1000001 job ids are more"):
        selected({"ranges": [[1, 1_000_001]]}, command=False)


def test_only_who_names_others_reaches_others() -> None:
    far = Reach(own=True, groups=(("bes_shared", "bes"),), vos=("juno",))
    own = {"own": "ada", "groups": [], "vos": []}
    assert reaching({"job_group": "x", "states": ["Done"]}, "ada", far) == own
    assert reaching({"owner": "bob"}, "ada", far) == {"own": "ada", "groups": [["bes_shared", "bes"]], "vos": ["juno"]}
    assert reaching({}, "ada", Reach(own=False, groups=(), vos=()))["own"] is None


def test_commands_move_as_the_table_says_but_never_what_is_not_confirmed() -> None:
    for wanted in ("Killed", "Deleted", "Rescheduled"):
        legal = set(movable(wanted))
        assert "Submitting" not in legal
        table = {state for state, following in MOVES.items() if wanted in following} - {"Submitting"}
        # DIRAC judges a Stalled job as the Running one that it may be
        assert legal == table | ({"Stalled"} if wanted == "Rescheduled" else set())
    assert unmoved("Done", "Killed") == "a job that is Done cannot become Killed"
    assert "not confirmed" in unmoved("Submitting", "Killed")
