"""security.query: what was refused, banned and revoked, the newest first."""

from __future__ import annotations

from typing import Any

from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "security.query"


def shown(story: Story, **asked: Any) -> list[tuple[str, str]]:
    """What root is told: type and name."""
    story.when(event("security.query.v1", "_", asked, authid="root"), once=False)
    return [(one["type"], one["told"].get("name") or one["told"]["pilot_id"]) for one in story.answers[0].data["events"]]


def test_the_newest_first_and_by_account(story: Story) -> None:
    for kind, name in (("user", "bob"), ("pilot", "p1")):
        story.given("security.ban", event("security.ban.v1", "_", {"kind": kind, "name": name, "reason": "x"}, authid="root"))
    assert shown(story) == [("pilot.revoked.v1", "p1"), ("security.banned.v1", "p1"), ("security.banned.v1", "bob")]
    assert shown(story, account="bob") == [("security.banned.v1", "bob")]
    assert len(shown(story, account="p1")) == len(shown(story, account="pilot-p1")) == 2
    assert shown(story, limit=1) == [("pilot.revoked.v1", "p1")]
    assert shown(story, since="2099-01-01T00:00:00Z") == []
