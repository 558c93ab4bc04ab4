"""pilot_states: a pilot goes forward, may be lost sight of, and stays what it ended as."""

from __future__ import annotations

from itertools import pairwise

import pytest

from schemas.rules.pilot_states import FINAL, MOVES, STATES, TRANSIENT, WAITING, decide_move, diagram, may_follow


def test_the_states_are_diracs() -> None:
    assert set(STATES) == {"Submitted", "Waiting", "Running", "Done", "Failed", "Deleted", "Aborted", "Unknown"}
    assert set(STATES) == FINAL | TRANSIENT
    assert WAITING <= TRANSIENT
    assert {state for state, after in MOVES.items() if not after} == FINAL


@pytest.mark.parametrize("way", ["Submitted Waiting Running Done", "Submitted Running Failed", "Submitted Waiting Aborted",
                                 "Submitted Unknown Running Unknown Aborted", "Waiting Unknown Waiting Deleted"])  # fmt: skip
def test_an_intended_way_is_open(way: str) -> None:
    states = way.split()
    for state, following in pairwise(states):
        assert may_follow(state, following)
        assert decide_move(state, following) is None


@pytest.mark.parametrize("state", sorted(TRANSIENT))
def test_whoever_still_lives_can_be_lost_aborted_or_deleted(state: str) -> None:
    assert {"Aborted", "Deleted"} <= set(MOVES[state])
    assert state == "Unknown" or may_follow(state, "Unknown")


@pytest.mark.parametrize(
    ("state", "wanted", "sentence"),
    [
        ("Done", "Running", "a pilot that is Done cannot become Running"),
        ("Running", "Waiting", "a pilot that is Running cannot become Waiting"),
        ("Done", "Done", "the pilot is already Done"),
        ("Done", "Scheduled", "there is no pilot state called Scheduled"),
    ],
)
def test_a_refusal_says_why(state: str, wanted: str, sentence: str) -> None:
    assert decide_move(state, wanted) == sentence


def test_the_diagram_starts_where_a_pilot_does() -> None:
    assert diagram().startswith("stateDiagram-v2\n    [*] --> Submitted\n    Submitted --> Waiting\n")
