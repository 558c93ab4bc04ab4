"""security.unban: a ban is lifted; a revoked pilot stays revoked."""

from __future__ import annotations

from typing import Any

from handlers.security.unban import decide
from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "security.unban"


def unban(kind: str, name: str) -> Any:
    """The operator root lifts a ban."""
    return event("security.unban.v1", "_", {"kind": kind, "name": name}, authid="root")


def test_what_is_not_banned_is_not_lifted() -> None:
    assert decide({"kind": "user", "name": "bob"}, {"banned": False, "revoked": False})[0] == "not_found"
    assert decide({"kind": "user", "name": "bob"}, {"banned": True, "revoked": False}) == ("", "")


def test_a_lifted_ban_is_gone_and_told(story: Story) -> None:
    story.sql("INSERT INTO trust.bans VALUES ('user', 'bob', 'x', 'root', now())").when(unban("user", "bob"), once=False)
    story.then(("security.ban_lifted.v1", {"name": "bob"}), ("security.unban.v1.reply", {}))
    assert story.rows("SELECT count(*) FROM trust.bans") == [(0,)]


def test_a_revoked_pilot_stays_revoked(story: Story) -> None:
    story.sql("UPDATE trust.enrolments SET revoked_at = now(), revoked_because = 'x' WHERE pilot_id = 'p1'")
    story.sql("INSERT INTO trust.bans VALUES ('pilot', 'p1', 'x', 'root', now())").when(unban("pilot", "p1"), once=False)
    story.then(("request.refused.v1.reply", {"code": "conflict"}))


def test_a_ban_that_has_ended_by_itself_is_no_ban(story: Story) -> None:
    story.sql("INSERT INTO trust.bans VALUES ('user', 'bob', 'x', 'root', now(), now() - interval '1 minute')")
    story.when(unban("user", "bob"), once=False).then(("request.refused.v1.reply", {"code": "not_found"}))
