"""pilot.stats: how long phases take, and why pilots leave."""

from __future__ import annotations

from typing import Any

from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "pilot.stats"


def told(story: Story, pilot: int, phase: str, number: int, **more: Any) -> None:
    """A pilot has said where it is."""
    data = {"pilot_id": f"p{pilot}", "site": "CLOUD.CNIC.cn" if pilot < 5 else "LCG.CERN.ch", "phase": phase, "number": number}
    story.given("pilot.report", event("pilot.reported.v1", f"p{pilot}", data | more, authid=f"pilot-p{pilot}"))


def asked(story: Story, **more: Any) -> dict[str, Any]:
    """What any account is told."""
    story.when(event("pilot.stats.v1", "_", more), once=False)
    found: dict[str, Any] = story.answers[0].data
    return found


def test_each_phase_has_its_seconds_at_each_site(story: Story) -> None:
    for pilot, seconds in ((1, 1.0), (2, 2.0), (3, 9.0), (7, 5.0)):
        told(story, pilot, "booted", 1)
        told(story, pilot, "matched", 2, seconds=seconds)
    found = asked(story)["phases"]
    assert [(row["site"], row["phase"], row["count"]) for row in found] == [
        ("CLOUD.CNIC.cn", "booted", 3),
        ("CLOUD.CNIC.cn", "matched", 3),
        ("LCG.CERN.ch", "booted", 1),
        ("LCG.CERN.ch", "matched", 1),
    ]
    assert "mean_s" not in found[0]
    assert (found[1]["mean_s"], found[1]["p50_s"], found[1]["max_s"]) == (4.0, 2.0, 9.0)
    assert 8 < found[1]["p95_s"] < 9
    assert {row["site"] for row in asked(story, site="LCG.CERN.ch")["phases"]} == {"LCG.CERN.ch"}


def test_why_pilots_left_is_counted_and_failures_come_first(story: Story) -> None:
    for pilot, details in ((1, {"reason": "idle"}), (2, {"reason": "idle"}), (3, {"reason": "free_mb is 12", "failed": True})):
        told(story, pilot, "leaving", 3, details=details)
    assert [(row["reason"], row["failed"], row["count"]) for row in asked(story)["leaving"]] == [
        ("free_mb is 12", True, 1),
        ("idle", False, 2),
    ]
    assert story.rows("SELECT state FROM pilot.pilots ORDER BY pilot_id") == [("Done",), ("Done",), ("Failed",)]


def test_what_is_older_than_asked_for_does_not_count(story: Story) -> None:
    told(story, 1, "booted", 1)
    story.sql("UPDATE pilot.phases SET at = at - interval '2 hours'")
    assert asked(story, since_s=3600) == {"phases": [], "leaving": [], "more": False}
    assert len(asked(story)["phases"]) == 1
