"""site.describe: the newest description of a site counts, in whatever order they come."""

from __future__ import annotations

import dataclasses

from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "site.describe"


def test_an_older_description_that_comes_late_changes_nothing(story: Story) -> None:
    new = event("site.described.v1", "A_B_ch", {"site": "A.B.ch", "status": "active", "max_processors": 8})
    old = event("site.described.v1", "A_B_ch", {"site": "A.B.ch", "status": "banned"})
    new, old = dataclasses.replace(new, time="2026-01-02T00:00:00Z"), dataclasses.replace(old, time="2026-01-01T00:00:00Z")
    story.when(new).when(old)
    assert story.rows("SELECT status, max_processors FROM site.sites") == [("active", 8)]
