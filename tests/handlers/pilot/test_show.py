"""pilot.show: the phases of a pilot, each once."""

from __future__ import annotations

from typing import Any

from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "pilot.show"


def told(story: Story, phase: str, number: int, **more: Any) -> None:
    """Pilot p1 has said where it is."""
    data = {"pilot_id": "p1", "site": "CLOUD.CNIC.cn", "phase": phase, "number": number} | more
    story.given("pilot.report", event("pilot.reported.v1", "p1", data, authid="pilot-p1"))


def asked(story: Story, **more: Any) -> dict[str, Any]:
    """What any account is told."""
    story.when(event("pilot.show.v1", "p1", {"pilot_id": "p1", **more}), once=False)
    found: dict[str, Any] = story.answers[0].data
    return found


def test_phases_come_in_their_order_once_and_with_what_they_say(story: Story) -> None:
    told(story, "matched", 5, seconds=0.25, job_id=1, attempt=1)
    told(story, "booted", 1)
    told(story, "booted", 1)
    told(story, "leaving", 7, details={"reason": "idle"})
    phases = asked(story)["phases"]
    assert [phase["number"] for phase in phases] == [1, 5, 7]
    assert {name: phases[1][name] for name in ("seconds", "job_id", "attempt")} == {"seconds": 0.25, "job_id": 1, "attempt": 1}
    assert phases[2]["reason"] == "idle"


def test_it_is_told_a_page_at_a_time(story: Story) -> None:
    for number in range(1, 6):
        told(story, "asking", number)
    page = asked(story, after=1, limit=2)
    assert ([phase["number"] for phase in page["phases"]], page["more"]) == ([2, 3], True)


def test_a_pilot_that_nobody_knows_is_not_found(story: Story) -> None:
    assert asked(story)["code"] == "not_found"
