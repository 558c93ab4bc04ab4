"""pilot.query: pilots a page at a time."""

from __future__ import annotations

from tests.fix_house import Story
from tests.handlers.people import event, match_request, waiting

HANDLER = "pilot.query"


def test_pages_follow_each_other(story: Story) -> None:
    for name in ("p1", "p2", "p3"):
        phase = {"pilot_id": name, "site": "A.B.ch", "phase": "asking", "number": 1}
        story.given("pilot.report", event("pilot.reported.v1", name, phase, authid=f"pilot-{name}"))
    story.when(event("pilot.query.v1", "_", {"limit": 2}), once=False)
    assert [p["pilot_id"] for p in story._answers[0].data["pilots"]] == ["p1", "p2"]
    story.when(event("pilot.query.v1", "_", {"after": "p2"}), once=False).then(("pilot.query.v1.reply", {"more": False}))


def test_a_pilot_shows_how_many_jobs_it_has(story: Story) -> None:
    for name in ("p1", "p2"):
        phase = {"pilot_id": name, "site": "CLOUD.CNIC.cn", "phase": "asking", "number": 1}
        story.given("pilot.report", event("pilot.reported.v1", name, phase, authid=f"pilot-{name}"))
    waiting(story, 3).given("match.request", match_request("p1"), match_request("p1"))
    story.when(event("pilot.query.v1", "_", {}), once=False)
    assert [(p["pilot_id"], p["jobs"]) for p in story._answers[0].data["pilots"]] == [("p1", 2), ("p2", 0)]
