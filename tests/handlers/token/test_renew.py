"""token.renew: a pilot in good standing gets its next token, and no other one does."""

from __future__ import annotations

from typing import Any

from handlers.token.renew import decide
from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "token.renew"
ASKED = event("token.renew.v1", "p1", {"pilot_id": "p1"}, authid="pilot-p1")


def test_only_a_ban_is_a_reason() -> None:
    assert decide({"banned": None}) == ""
    assert decide({"banned": "why"}) == "why"


def test_the_next_token_is_the_same_pilots(story: Story, hands: dict[str, Any]) -> None:
    story.when(ASKED, once=False, hands=hands["token.renew"])
    assert hands["token.renew"].verify(story.answers[0].data["token"], "pilotbus")["sub"] == "pilot-p1"


def test_a_revoked_and_an_unknown_pilot_get_none(story: Story, hands: dict[str, Any]) -> None:
    story.sql("UPDATE trust.enrolments SET revoked_at = now(), revoked_because = 'stolen' WHERE pilot_id = 'p1'")
    story.when(ASKED, once=False, hands=hands["token.renew"]).then(("request.refused.v1.reply", {"code": "denied"}))
    stranger = event("token.renew.v1", "x", {"pilot_id": "x"}, authid="pilot-x")
    story.when(stranger, once=False, hands=hands["token.renew"]).then(("request.refused.v1.reply", {"code": "denied"}))
