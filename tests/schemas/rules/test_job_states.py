"""job_states: the table is DIRAC's, and only what it allows moves a job."""

from __future__ import annotations

from itertools import product

import pytest

from schemas.rules.job_states import FINAL, MOVES, ROW_FINAL, STATES, decide_move, diagram, may_follow

# Written a second time on purpose, from DIRAC's documentation and column by column: into which state, from where.
INTO = {
    "Submitting": "",
    "Received": "Submitting Rescheduled Running",
    "Checking": "Submitting Received Scouting Staging",
    "Scouting": "Received Checking",
    "Staging": "Received Checking",
    "Waiting": "Received Checking Staging Rescheduled",
    "Matched": "Waiting",
    "Rescheduled": "Checking Waiting Matched Running Failed",
    "Running": "Matched Stalled",
    "Stalled": "Scouting Running Completing",
    "Completing": "Running",
    "Completed": "Completing",
    "Done": "Running Completing Completed",
    "Failed": "Received Checking Scouting Staging Matched Rescheduled Running Stalled Completing Completed",
    "Killed": "Submitting Received Checking Scouting Staging Waiting Matched Rescheduled Running Stalled Completing",
    "Deleted": "Submitting Received Checking Waiting Rescheduled Done Failed Killed",
}


def test_there_are_sixteen_states_in_diracs_order() -> None:
    assert tuple(INTO) == STATES
    assert len(STATES) == 16
    assert sorted(FINAL) == ["Completed", "Done", "Failed", "Killed"]
    assert [state for state, after in MOVES.items() if not after] == list(ROW_FINAL) == ["Deleted"]


@pytest.mark.parametrize(("state", "following"), tuple(product(STATES, STATES)))
def test_a_move_is_allowed_exactly_when_the_table_has_it(state: str, following: str) -> None:
    allowed = state in INTO[following].split()
    assert may_follow(state, following) == allowed
    if state != "Stalled":
        assert (decide_move(state, following, 1, 1) is None) == allowed


@pytest.mark.parametrize("wanted", STATES)
def test_a_stalled_job_is_judged_as_the_running_one_it_turns_out_to_be(wanted: str) -> None:
    allowed = wanted == "Running" or (wanted != "Stalled" and may_follow("Running", wanted))
    assert (decide_move("Stalled", wanted, 1, 1) is None) == allowed


@pytest.mark.parametrize(
    ("state", "wanted", "attempt", "report_attempt", "sentence"),
    [
        ("Running", "Done", 2, 1, "the report is about attempt 1, but the job is in attempt 2"),
        ("Running", "Done", 2, 3, "attempt 3 has not begun, the job is in attempt 2"),
        ("Running", "Finished", 1, 1, "there is no job state called Finished"),
        ("Walking", "Done", 1, 1, "there is no job state called Walking"),
        ("Done", "Done", 1, 1, "the job is already Done"),
        ("Stalled", "Stalled", 1, 1, "the job is already Stalled"),
        ("Done", "Failed", 1, 1, "a job that is Done cannot become Failed"),
        ("Stalled", "Matched", 1, 1, "a job that is Stalled cannot become Matched"),
        ("Stalled", "Done", 1, 1, None),
        ("Matched", "Running", 5, 5, None),
    ],
)
def test_a_refusal_says_why(state: str, wanted: str, attempt: int, report_attempt: int, sentence: str | None) -> None:
    assert decide_move(state, wanted, attempt, report_attempt) == sentence


@pytest.mark.parametrize(("state", "wanted"), tuple(product(STATES, STATES)))
def test_an_old_attempt_never_moves_anything(state: str, wanted: str) -> None:
    assert decide_move(state, wanted, 3, 2) is not None


def test_the_diagram_shows_every_move_once() -> None:
    lines = diagram().splitlines()
    assert lines[0] == "stateDiagram-v2"
    drawn = sorted(line.strip() for line in lines[1:] if "[*]" not in line)
    assert drawn == sorted(f"{state} --> {after}" for state in MOVES for after in MOVES[state])
