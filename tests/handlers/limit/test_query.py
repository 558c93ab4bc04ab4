"""limit.query: what is limited, how far it is used, and what is reached now."""

from __future__ import annotations

from typing import Any

from tests.fix_house import Story
from tests.handlers.claims import claim, job
from tests.handlers.people import event

HANDLER = "limit.query"


def shown(story: Story, **asked: Any) -> list[dict[str, Any]]:
    """The limits of the reply."""
    story.when(event("limit.query.v1", "_", asked, authid="root"), once=False)
    found: list[dict[str, Any]] = story.answers[0].data["limits"]
    return found


def described(story: Story) -> Story:
    """Two sites with limits and rates."""
    said = {
        "A.ch": {"running_limits": [{"attribute": "*", "value": "*", "most": 2}]},
        "B.ch": {"match_delays": [{"ce": "ce1", "attribute": "VO", "value": "bes", "delay_s": 3600.5, "burst": 2}]},
    }
    for site, more in said.items():
        told = event("site.described.v1", site.replace(".", "_"), {"site": site, "status": "active", **more})
        story.given("site.describe", told)
    return story


def test_a_limit_is_shown_with_its_counter_and_whether_it_is_reached(story: Story) -> None:
    described(story)
    claim(story._db, [(1, "A.ch", "", job()), (2, "B.ch", "ce1", job())])
    free = {"limit_id": 1, "site": "A.ch", "ce": "", "attribute": "*", "value": "*", "running": 1, "most": 2, "reached": False}
    rate = {"limit_id": 2, "site": "B.ch", "ce": "ce1", "attribute": "VO", "value": "bes", "running": 1, "reached": False}
    rate |= {"delay_s": 3600.5, "burst": 2}
    assert shown(story) == [free, rate]
    claim(story._db, [(3, "A.ch", "", job()), (4, "B.ch", "ce1", job())])
    full, spent = shown(story)
    assert full == free | {"running": 2, "reached": True}
    assert 3590 < spent.pop("again_s") <= 3600.5
    assert spent == rate | {"running": 2, "reached": True}


def test_one_site_or_page_alone(story: Story) -> None:
    described(story)
    assert [limit["site"] for limit in shown(story, site="B.ch")] == ["B.ch"]
    assert [limit["site"] for limit in shown(story, limit=1)] == ["A.ch"]
    assert story.answers[0].data["more"] is True
    assert [limit["site"] for limit in shown(story, limit=1, after=1)] == ["B.ch"]
    assert story.answers[0].data["more"] is False
    assert shown(story, site="C.ch") == []
