"""security.suspend: who floods is shut out for a while, and an operator's ban is not shortened by it."""

from __future__ import annotations

from handlers.security.suspend import decide
from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "security.suspend"
FLOOD = event("security.flooded.v1", "pilot-p1", {"account": "pilot-p1", "dropped": 5000})


def test_a_pilot_is_named_by_its_id() -> None:
    assert decide("pilot-p1") == {"kind": "pilot", "name": "p1"}
    assert decide("bob") == {"kind": "user", "name": "bob"}


def test_a_flood_is_a_ban_with_an_end_and_no_revocation(story: Story) -> None:
    story.when(FLOOD).then(("security.banned.v1", {"kind": "pilot", "name": "p1", "banned_by": "pilotbus"}))
    assert story.rows("SELECT until - banned_at FROM trust.bans")[0][0].total_seconds() == 600
    assert story.rows("SELECT revoked_at FROM trust.enrolments WHERE pilot_id = 'p1'") == [(None,)]
    assert story.rows("SELECT type FROM bus.timers") == [("security.ban_lifted.v1",)]


def test_an_operators_ban_stays_and_nothing_else_is_said(story: Story) -> None:
    story.sql("INSERT INTO trust.bans VALUES ('pilot', 'p1', 'stolen', 'root', now())").when(FLOOD).then()
    assert story.rows("SELECT until, reason FROM trust.bans") == [(None, "stolen")]
    assert story.rows("SELECT count(*) FROM bus.timers") == [(0,)]
    story.sql("UPDATE trust.bans SET until = now() + interval '1 day'").when(FLOOD, once=False).then()
    assert story.rows("SELECT reason FROM trust.bans") == [("stolen",)]


def test_who_floods_again_is_out_for_longer(story: Story) -> None:
    story.sql("INSERT INTO trust.bans VALUES ('pilot', 'p1', 'last month', 'root', now(), now() - interval '1 day')").when(FLOOD)
    assert story.rows("SELECT until = banned_at + interval '10 minutes', banned_by FROM trust.bans") == [(True, "pilotbus")]
    assert story.rows("SELECT b.until = t.due_at FROM trust.bans b, bus.timers t") == [(True,)]
