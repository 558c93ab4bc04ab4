"""log.tidy: days come and go."""

from __future__ import annotations

import datetime as dt

from handlers.log.tidy import decide
from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "log.tidy"
NOW = dt.datetime.now(dt.UTC)
CHUNK = """INSERT INTO log.chunks VALUES ('1', 1, 'std.out', {n}, now() - interval '{days} days', {n}, 1, now(), now(),
convert_to('[[{n}, "2026-01-01T00:00:00Z", "info", "x"]]', 'UTF8'))"""
PHASE = "INSERT INTO pilot.phases VALUES ('p1', {n}, now() - interval '{days} days', 'A.B.ch', '', 'asking')"


def tidied(story: Story, days_ahead: int = 0) -> Story:
    """It is so many days later."""
    moment = (NOW + dt.timedelta(days=days_ahead)).isoformat(timespec="seconds").replace("+00:00", "Z")
    tick = event("clock.minute.v1", "now", {"minute": moment}, authid="")
    object.__setattr__(tick, "time", moment)
    return story.when(tick, hands=30)


def days(story: Story, table: str) -> list[str]:
    """The days that have a partition."""
    rows = story.rows(
        f"SELECT right(inhrelid::regclass::text, 8) FROM pg_inherits WHERE inhparent = '{table}'::regclass ORDER BY 1"
    )
    return [day for (day,) in rows if day.isdecimal()]


def test_at_least_a_day_is_kept() -> None:
    assert decide("2026-11-21T10:00:00Z", 0) == (dt.date(2026, 11, 21), 1)


def test_today_and_the_next_two_days_have_a_place(story: Story) -> None:
    tidied(story)
    wanted = [(NOW + dt.timedelta(days=ahead)).strftime("%Y%m%d") for ahead in range(3)]
    assert days(story, "log.chunks") == days(story, "pilot.phases") == wanted
    tidied(story)
    assert days(story, "log.chunks") == wanted


def test_what_is_older_than_it_is_kept_is_gone_with_its_day(story: Story) -> None:
    tidied(story).sql(CHUNK.format(n=1, days=0)).sql(PHASE.format(n=1, days=0))
    assert story.rows("SELECT tableoid::regclass::text <> 'log.chunks_default' FROM log.chunks") == [(True,)]
    tidied(story, 30)
    assert story.rows("SELECT count(*) FROM log.chunks") == [(1,)]
    tidied(story, 31)
    assert story.rows("SELECT (SELECT count(*) FROM log.chunks), (SELECT count(*) FROM pilot.phases)") == [(0, 0)]
    assert days(story, "log.chunks")[0] > NOW.strftime("%Y%m%d")


def test_what_lies_outside_of_any_day_goes_too(story: Story) -> None:
    for n, age in ((1, 40), (2, 20)):
        story.sql(CHUNK.format(n=n, days=age)).sql(PHASE.format(n=n, days=age))
    tidied(story)
    assert story.rows("SELECT first_number FROM log.chunks") == [(2,)]
    assert story.rows("SELECT number FROM pilot.phases") == [(2,)]
