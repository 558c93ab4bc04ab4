"""proxy.delegate: a certificate request whose key stays in the house."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from handlers.proxy.delegate import MOST_OPEN, decide
from handlers.proxy.hands import Hands
from handlers.proxy.keys import read_request
from handlers.proxy.vault import Vault
from tests.fix_house import Story
from tests.handlers.grid import registered
from tests.handlers.people import event

HANDLER = "proxy.delegate"


@pytest.fixture
def mine(hands: dict[str, Any]) -> Hands:
    found: Hands = hands[HANDLER]
    return found


def ask(delegation_id: str = "", authid: str = "ada") -> Any:
    return event("proxy.delegate.v1", "_", {"delegation_id": delegation_id or str(uuid.uuid4())}, authid)


@pytest.mark.parametrize(
    ("before", "is_registered", "already_open", "code"),
    [
        (None, True, 0, ""),
        (None, True, MOST_OPEN, "conflict"),
        (None, False, 0, "denied"),
        ({"usable": True}, True, MOST_OPEN, ""),
        ({"usable": False}, True, 0, "conflict"),
    ],
)
def test_who_may_begin_a_delegation(before: dict[str, Any] | None, is_registered: bool, already_open: int, code: str) -> None:
    assert decide(before, is_registered, already_open, "ada")[0] == code


def test_the_same_request_again_gets_the_same_certificate_request(story: Story, mine: Hands) -> None:
    registered(story._db)
    first = ask()
    (one,) = story.acted(mine, first).answers
    (two,) = story.acted(mine, ask(first.data["delegation_id"])).answers
    assert one.data == two.data
    assert read_request(one.data["csr_pem"])
    ((sealed, timers),) = story.rows("SELECT sealed_key, (SELECT count(*) FROM bus.timers) FROM proxy.delegations")
    assert timers == 1
    assert b"PRIVATE KEY" not in bytes(sealed)


def test_the_same_id_of_another_account_is_another_delegation(story: Story, mine: Hands) -> None:
    registered(story._db)
    registered(story._db, "bob")
    first = ask()
    (one,) = story.acted(mine, first).answers
    (two,) = story.acted(mine, ask(first.data["delegation_id"], "bob")).answers
    assert one.data["csr_pem"] != two.data["csr_pem"]


def test_somebody_without_a_registered_certificate_is_refused(story: Story, mine: Hands) -> None:
    (refusal,) = story.acted(mine, ask()).answers
    assert (refusal.data["code"], "no certificate is registered for ada" in refusal.data["reason"]) == ("denied", True)


def test_without_a_key_file_nothing_is_begun(story: Story, mine: Hands) -> None:
    registered(story._db)
    (refusal,) = story.acted(Hands(Vault(""), mine.authorities), ask()).answers
    assert refusal.data["code"] == "unavailable"
    assert "PILOTBUS_VAULT_KEY_FILE" in refusal.data["reason"]
    assert story.rows("SELECT * FROM proxy.delegations") == []


def test_nobody_fills_the_house_with_delegations(story: Story, mine: Hands) -> None:
    registered(story._db)
    story.acted(mine, *(ask() for _ in range(MOST_OPEN + 1)))
    assert [answer.data.get("code") for answer in story.answers] == [None] * MOST_OPEN + ["conflict"]
