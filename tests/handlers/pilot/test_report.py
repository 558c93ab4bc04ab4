"""pilot.report: a pilot's phases are kept in its own order, and nobody else can speak for it."""

from __future__ import annotations

from handlers.pilot.report import decide
from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "pilot.report"


def said(phase: str, number: int, by: str = "pilot-p1", **details: object):  # type: ignore[no-untyped-def]
    """Pilot p1 says where it is."""
    data = {"pilot_id": "p1", "site": "CLOUD.CNIC.cn", "phase": phase, "number": number, "details": details}
    return event("pilot.reported.v1", "p1", data, authid=by)


def test_a_pilot_that_left_for_a_failure_has_failed() -> None:
    assert decide({"phase": "leaving", "details": {"reason": "idle"}}) == "Done"
    assert decide({"phase": "leaving", "details": {"reason": "failed: no disk"}}) == "Failed"
    assert decide({"phase": "asking"}) == "Running"


def test_an_older_phase_that_comes_late_changes_nothing(story: Story) -> None:
    story.when(said("asking", 4), said("leaving", 5, reason="idle"), said("booted", 1)).then()
    assert story.rows("SELECT phase, state FROM pilot.pilots") == [("leaving", "Done")]


def test_another_account_can_not_speak_for_the_pilot(story: Story) -> None:
    story.when(said("asking", 4), said("leaving", 9, by="thief"))
    assert story.rows("SELECT phase FROM pilot.pilots") == [("asking",)]
