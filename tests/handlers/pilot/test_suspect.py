"""pilot.suspect: a pilot without a connection is lost after one missed beat."""

from __future__ import annotations

from tests.fix_house import Story
from tests.handlers.people import event
from tests.handlers.pilot.test_beat import LEFT_S, beat, booted

HANDLER = "pilot.suspect"
GONE = event("pilot.disconnected.v1", "p1", {"pilot_id": "p1"}, authid="")


def test_the_time_of_one_beat_is_left(story: Story) -> None:
    booted(story).given("pilot.beat", beat())
    assert story.rows(LEFT_S, "beat/p1") == [(198,)]
    story.when(GONE).then()
    assert story.rows(LEFT_S, "beat/p1") == [(78,)]


def test_a_later_beat_gives_it_all_its_time_again_and_news_of_old_takes_none_from_the_others(story: Story) -> None:
    booted(story).given("pilot.beat", beat(), beat(pilot_id="p2")).when(GONE)
    story.given("pilot.beat", beat())
    assert story.rows(LEFT_S, "beat/p1") == [(198,)]
    assert story.rows(LEFT_S, "beat/p2") == [(198,)]
