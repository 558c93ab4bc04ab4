"""pilot.boot: a wrapper is heard by its secret's hash, once per phase, and not any more when its pilot has spoken."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.pilot.boot import decide
from tests.fix_house import Story
from tests.handlers.people import event
from tests.handlers.pilot.test_enrol import INVITED, digest

HANDLER = "pilot.boot"
ROW = "SELECT state, phase, number, details ->> 'reason' FROM pilot.pilots WHERE pilot_id = 'new'"


def said(phase: str, secret: str = "secret", pilot_id: str = "new", **more: Any) -> Any:
    """The door passes on what a wrapper has said."""
    told = {"pilot_id": pilot_id, "secret_sha256": digest(secret), "phase": phase, "peer": "192.0.2.7", **more}
    return event("pilot.boot.v1", pilot_id, told, authid="pilotbus")


@pytest.fixture
def invited(story: Story) -> Story:
    """Pilot `new` may come within an hour."""
    return story.sql(INVITED, digest("secret"), 3600)


def test_only_the_first_of_each_phase_is_news() -> None:
    known = {"proven": True, "revoked": False}
    assert decide(known, None, "wrapper_started") == ("", True)
    assert decide(known, {"number": 0, "phase": "wrapper_started"}, "wrapper_failed") == ("", True)
    for row in ({"number": 0, "phase": "wrapper_failed"}, {"number": 1, "phase": "booted"}):
        for phase in ("wrapper_started", "wrapper_failed"):
            assert decide(known, row, phase) == ("", False)


def test_a_wrapper_that_runs_waits_and_one_that_fails_says_why(invited: Story) -> None:
    invited.when(said("wrapper_started", host="wn1"), once=False)
    assert invited.rows(ROW) == [("Waiting", "wrapper_started", 0, None)]
    invited.when(said("wrapper_failed", reason="no Python", exit_code=26), once=False)
    invited.then(
        ("pilot.booting.v1", {"pilot_id": "new", "site": "GRID.JINR.ru", "reason": "no Python", "exit_code": 26}),
        ("pilot.boot.v1.reply", {"news": True}),
    )
    assert invited.rows(ROW) == [("Failed", "wrapper_failed", 0, "no Python")]
    assert invited.rows("SELECT enrolled_at FROM trust.enrolments WHERE pilot_id = 'new'") == [(None,)], "the secret is unused"


def test_a_repeat_changes_nothing(invited: Story) -> None:
    for _ in range(2):
        invited.when(said("wrapper_failed", reason="no Python"), once=False)
    invited.then(("pilot.boot.v1.reply", {"news": False}))
    invited.when(said("wrapper_started"), once=False).then(("pilot.boot.v1.reply", {"news": False}))
    assert invited.rows(ROW) == [("Failed", "wrapper_failed", 0, "no Python")]


def test_who_has_spoken_for_itself_is_believed_before_its_wrapper(story: Story) -> None:
    phase = {"pilot_id": "p1", "site": "A.B.ch", "phase": "asking", "number": 1}
    story.given("pilot.report", event("pilot.reported.v1", "p1", phase, authid="pilot-p1"))
    story.sql("UPDATE trust.enrolments SET secret_sha256 = %s WHERE pilot_id = 'p1'", digest("secret"))
    story.when(said("wrapper_failed", pilot_id="p1", reason="late"), once=False).then(("pilot.boot.v1.reply", {"news": False}))
    assert story.rows("SELECT state, phase FROM pilot.pilots WHERE pilot_id = 'p1'") == [("Running", "asking")]


@pytest.mark.parametrize(("secret", "pilot_id"), [("wrong", "new"), ("secret", "nobody")])
def test_a_stranger_is_refused_and_changes_nothing(invited: Story, secret: str, pilot_id: str) -> None:
    invited.when(said("wrapper_failed", secret, pilot_id, reason="x"), once=False)
    invited.then(("security.refused.v1", {}), ("request.refused.v1.reply", {"code": "denied"}))
    assert invited.rows(ROW) == []


def test_a_revoked_pilots_wrapper_is_refused(invited: Story) -> None:
    invited.sql("UPDATE trust.enrolments SET revoked_at = now() WHERE pilot_id = 'new'")
    invited.when(said("wrapper_started"), once=False)
    assert invited.answers[-1].data["reason"] == "this pilot is revoked"
    assert invited.rows(ROW) == []
