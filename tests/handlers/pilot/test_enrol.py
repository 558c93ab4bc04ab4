"""pilot.enrol: a secret lets in one pilot, once; a lost answer is given again, and a second use revokes."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from handlers.pilot.enrol import decide
from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "pilot.enrol"
INVITED = """INSERT INTO trust.enrolments (pilot_id, secret_sha256, site, invited_by, invited_at, expires_at)
VALUES ('new', %s, 'GRID.JINR.ru', 'root', now(), now() + make_interval(secs => %s))"""


def digest(text: str) -> str:
    """As the door makes it."""
    return sha256(text.encode()).hexdigest()


def use(secret: str = "secret", key: str = "first", pilot_id: str = "new") -> Any:
    """The door asks for a pilot."""
    asked = {"pilot_id": pilot_id, "secret_sha256": digest(secret), "use_sha256": digest(key), "peer": "192.0.2.7"}
    return event("pilot.enrol.v1", pilot_id, asked, authid="pilotbus")


@pytest.fixture
def invited(story: Story) -> Story:
    """Pilot `new` may come within an hour."""
    return story.sql(INVITED, digest("secret"), 3600)


def test_every_outcome_but_two_has_a_reason() -> None:
    assert not decide("enrolled", None)
    assert not decide("again", None)
    assert all(decide(outcome, None) for outcome in ("unknown", "wrong", "revoked", "reused", "expired"))
    assert decide("enrolled", "site GRID.JINR.ru is banned: x")


def test_a_secret_becomes_a_token_of_that_pilot(invited: Story, hands: dict[str, Any]) -> None:
    issuer = hands["pilot.enrol"]
    invited.when(use(), hands=issuer, once=False)
    invited.then(("pilot.enrolled.v1", {"pilot_id": "new", "site": "GRID.JINR.ru", "peer": "192.0.2.7"}), (
        "pilot.enrol.v1.reply", {"site": "GRID.JINR.ru"},
    ))  # fmt: skip
    claims = issuer.verify(invited.answers[1].data["token"], "pilotbus")
    assert claims["sub"] == "pilot-new"
    assert claims["exp"] - claims["iat"] == 900


def test_a_lost_answer_is_given_again_and_is_no_second_use(invited: Story, hands: dict[str, Any]) -> None:
    for _ in range(2):
        invited.when(use(), hands=hands["pilot.enrol"], once=False)
    invited.then(("pilot.enrol.v1.reply", {"pilot_id": "new"}))
    assert invited.rows("SELECT revoked_at FROM trust.enrolments WHERE pilot_id = 'new'") == [(None,)]


def test_a_second_use_is_an_alarm_and_revokes(invited: Story, hands: dict[str, Any]) -> None:
    invited.when(use(), hands=hands["pilot.enrol"], once=False).when(use(key="thief"), hands=hands["pilot.enrol"], once=False)
    invited.then(
        ("security.secret_reused.v1", {"pilot_id": "new", "peer": "192.0.2.7"}),
        ("pilot.revoked.v1", {"pilot_id": "new"}),
        ("request.refused.v1.reply", {"code": "denied"}),
    )
    assert invited.rows("SELECT banned LIKE '%% is revoked: %%' FROM trust.standing(ARRAY['pilot-new'])") == [(True,)]
    invited.when(use(), hands=hands["pilot.enrol"], once=False)
    invited.then(("security.refused.v1", {"account": "pilot-new"}), ("request.refused.v1.reply", {"code": "denied"}))


@pytest.mark.parametrize(("secret", "pilot_id"), [("wrong", "new"), ("secret", "nobody")])
def test_a_wrong_secret_lets_nobody_in(invited: Story, hands: dict[str, Any], secret: str, pilot_id: str) -> None:
    invited.when(use(secret, pilot_id=pilot_id), hands=hands["pilot.enrol"], once=False)
    invited.then(("security.refused.v1", {}), ("request.refused.v1.reply", {"reason": "this secret lets nobody in"}))
    assert invited.rows("SELECT enrolled_at FROM trust.enrolments WHERE pilot_id = 'new'") == [(None,)]


def test_an_expired_secret_lets_nobody_in(story: Story, hands: dict[str, Any]) -> None:
    story.sql(INVITED, digest("secret"), -1).when(use(), hands=hands["pilot.enrol"], once=False)
    story.then(("security.refused.v1", {}), ("request.refused.v1.reply", {"reason": "this secret has expired"}))


def test_a_pilot_of_a_banned_site_is_not_let_in(invited: Story, hands: dict[str, Any]) -> None:
    invited.sql("INSERT INTO trust.bans VALUES ('site', 'GRID.JINR.ru', 'broken in', 'root', now())")
    invited.when(use(), hands=hands["pilot.enrol"], once=False)
    assert invited.answers[-1].data["reason"] == "site GRID.JINR.ru is banned: broken in"


def test_a_pilot_is_told_how_its_community_and_its_site_want_it_to_work(invited: Story, hands: dict[str, Any]) -> None:
    community = {"vo": "bes", "pilot": {"idle_limit": 1, "plan": "bes", "plans": [{"plan": "bes", "of": "default"}]}}
    site = {"site": "GRID.JINR.ru", "status": "active", "pilot": {"idle_limit": 2, "plans": [{"plan": "bes", "without": ["a"]}]}}
    invited.given("registry.describe", event("vo.described.v1", "bes", community, authid="root"))
    invited.given("site.describe", event("site.described.v1", "GRID_JINR_ru", site, authid="root"))
    invited.sql("UPDATE trust.enrolments SET vo = 'bes' WHERE pilot_id = 'new'")
    invited.when(use(), hands=hands["pilot.enrol"], once=False)
    assert invited.answers[-1].data["configuration"] == {
        "idle_limit": 2,
        "plan": "bes",
        "plans": [{"plan": "bes", "of": "default"}, {"plan": "bes", "without": ["a"]}],
    }


def test_where_nobody_says_how_nothing_is_told(invited: Story, hands: dict[str, Any]) -> None:
    invited.given("site.describe", event("site.described.v1", "GRID_JINR_ru", {"site": "GRID.JINR.ru", "status": "active"}))
    invited.when(use(), hands=hands["pilot.enrol"], once=False)
    assert "configuration" not in invited.answers[-1].data
