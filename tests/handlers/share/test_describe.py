"""share.describe: how fast use is forgotten is the operator's newest word."""

from __future__ import annotations

import dataclasses

from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "share.describe"


def test_the_newest_description_counts_however_they_come(story: Story) -> None:
    assert story.rows("SELECT share.half_life_s()") == [(86_400.0,)]
    for half_life_s, at in ((7200, "2026-11-20T00:00:02Z"), (3600, "2026-11-20T00:00:01Z")):
        said = event("share.described.v1", "_", {"half_life_s": half_life_s}, authid="root")
        story.when(dataclasses.replace(said, time=at)).then()
    assert story.rows("SELECT share.half_life_s()") == [(7200.0,)]
