"""match.tidy: days of what was kept for `pilotbus why` come and go."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from handlers.match.tidy import decide
from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "match.tidy"
NOW = dt.datetime.now(dt.UTC)
TABLES = ("match.empties", "match.reasons", "match.offers")
UUID = "5f0c6b0e-1c0f-4a53-8a57-2f7c1b7de1aa"


def tidied(story: Story, days_ahead: int = 0) -> Story:
    """It is so many days later."""
    moment = (NOW + dt.timedelta(days=days_ahead)).isoformat(timespec="seconds").replace("+00:00", "Z")
    tick = event("clock.minute.v1", "now", {"minute": moment}, authid="")
    object.__setattr__(tick, "time", moment)
    return story.when(tick, hands=7)


def kept(story: Story, days_ago: int) -> Story:
    """Something was offered, and an answer was empty, so many days ago."""
    at = (NOW - dt.timedelta(days=days_ago)).isoformat()
    row = {"at": at, "resource": {"Site": "A.B"}}
    story.sql("SELECT match.keep_offers(%s)", json.dumps([row | {"requests": 1, "pilots": 1}]))
    empty = row | {"pilot_id": "p1", "request_id": UUID, "site": "A.B", "reasons": {"queues": 0}}
    return story.sql("SELECT match.keep_empties(%s)", json.dumps([empty]))


def counts(story: Story) -> list[int]:
    """How many rows there are in each table."""
    return [story.rows(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES]


def test_at_least_a_day_is_kept() -> None:
    assert decide("2026-11-21T10:00:00Z", 0) == (dt.date(2026, 11, 21), 1)


@pytest.mark.parametrize("table", TABLES)
def test_today_and_the_next_two_days_have_a_place(story: Story, table: str) -> None:
    tidied(tidied(story))
    rows = story.rows(f"SELECT right(inhrelid::regclass::text, 8) FROM pg_inherits WHERE inhparent = '{table}'::regclass")
    wanted = {(NOW + dt.timedelta(days=ahead)).strftime("%Y%m%d") for ahead in range(3)}
    assert {day for (day,) in rows if day.isdecimal()} == wanted


def test_what_is_older_than_it_is_kept_is_gone_with_its_day(story: Story) -> None:
    kept(tidied(story), 0)
    assert story.rows("SELECT tableoid::regclass::text <> 'match.empties_default' FROM match.empties") == [(True,)]
    assert counts(tidied(story, 7)) == [1, 1, 1]
    assert counts(tidied(story, 8)) == [0, 0, 0]


def test_what_lies_outside_of_any_day_goes_too(story: Story) -> None:
    kept(kept(story, 20), 3)
    assert counts(tidied(story)) == [1, 1, 1]
