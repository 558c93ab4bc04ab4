"""token.login: who is registered under the shown subject gets a token with its rights and no others."""

from __future__ import annotations

from typing import Any

from handlers.token.login import decide
from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "token.login"
DN = "CN=Ada Lovelace,O=Analytical,C=GB"
SHOWN = {"dns": [DN], "limited": False, "until": "2099-01-01T00:00:00Z", "peer": "192.0.2.7"}
PEOPLE = """
INSERT INTO registry.vos VALUES ('bes', '', now());
INSERT INTO registry.groups VALUES ('bes_admin', 'bes', '{Operator,JobAdministrator}', 1, now());
INSERT INTO registry.groups VALUES ('bes_user', 'bes', '{NormalUser}', 1, now());
INSERT INTO registry.users VALUES ('ada', ARRAY['CN=Ada Lovelace,O=Analytical,C=GB'], '', now());
"""


def asked(**changes: Any) -> Any:
    """The door asks for a person."""
    return event("token.login.v1", "_", SHOWN | changes, authid="pilotbus")


def scopes(story: Story, hands: dict[str, Any]) -> list[str]:
    """What the token allows."""
    return list(hands["token.login"].verify(story.answers[0].data["token"], "pilotbus")["scope"])


def test_a_payloads_proxy_does_not_log_in() -> None:
    assert "limited proxy" in decide([{"banned": None}], SHOWN | {"limited": True})
    assert decide([{"banned": None}], SHOWN) == ""


def test_a_user_follows_the_own_events_only(story: Story, hands: dict[str, Any]) -> None:
    story.sql(PEOPLE).sql("INSERT INTO registry.members VALUES ('ada', 1, 'bes_user')")
    story.when(asked(), once=False, hands=hands["token.login"])
    assert [scope for scope in scopes(story, hands) if "/events/" in scope] == ["pilotbus.read:pilotbus/events/of.ada.*"]


def test_an_operator_follows_all(story: Story, hands: dict[str, Any]) -> None:
    story.sql(PEOPLE).sql("INSERT INTO registry.members VALUES ('ada', 1, 'bes_admin')")
    story.when(asked(), once=False, hands=hands["token.login"])
    assert [scope for scope in scopes(story, hands) if "/events/" in scope] == ["pilotbus.read:pilotbus/events/*"]


def test_the_token_ends_with_the_certificate(story: Story, hands: dict[str, Any]) -> None:
    now = asked()
    story.sql(PEOPLE).when(asked(until=now.time), once=False, hands=hands["token.login"])
    claims = hands["token.login"].verify(story.answers[0].data["token"], "pilotbus", ended_s=60)
    assert claims["exp"] - claims["iat"] <= 0


def test_a_stranger_and_a_banned_one_get_none_and_it_is_told(story: Story, hands: dict[str, Any]) -> None:
    story.sql(PEOPLE).sql("INSERT INTO trust.bans VALUES ('user', 'ada', 'key lost', 'root', now())")
    for dns in (["CN=Eve"], [DN]):
        story.when(asked(dns=dns), once=False, hands=hands["token.login"])
        story.then(("security.refused.v1", {"outcome": "denied"}), ("request.refused.v1.reply", {"code": "denied"}))
