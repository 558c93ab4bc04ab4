"""security.cut: exactly those are shut out who are banned now, and the others are let in again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from handlers.security.cut import decide
from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "security.cut"
BANNED = event("security.banned.v1", "_", {"kind": "user", "name": "bob", "reason": "x", "banned_by": "root"})


class Broker:
    """Remembers who was shut out and let in; tests/bus/test_bans.py has the real one."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.back: list[str] = []

    def shut_out(self, accounts: Sequence[str], reason: str) -> None:
        """These are out."""
        self.out += accounts

    def let_in(self, accounts: Sequence[str]) -> None:
        """These are in."""
        self.back += accounts


@pytest.fixture
def broker() -> Broker:
    """Nothing has happened."""
    return Broker()


def test_a_pilot_and_a_person_are_told_apart() -> None:
    assert decide(BANNED) == ("user", "bob")
    assert decide(event("pilot.revoked.v1", "p1", {"pilot_id": "p1", "reason": "x"})) == ("pilot", "p1")


def test_a_banned_person_is_shut_out_and_let_in_when_it_is_lifted(story: Story, broker: Broker) -> None:
    story.sql("INSERT INTO trust.bans VALUES ('user', 'bob', 'x', 'root', now())").acted(broker, BANNED)
    assert (broker.out, broker.back) == (["bob"], [])
    story.sql("DELETE FROM trust.bans").acted(broker, event("security.ban_lifted.v1", "_", {"kind": "user", "name": "bob"}))
    assert broker.back == ["bob"]


def test_news_of_a_ban_that_is_over_shuts_nobody_out(story: Story, broker: Broker) -> None:
    story.acted(broker, BANNED)
    assert broker.out == []


def test_of_a_site_all_pilots_that_have_come(story: Story, broker: Broker) -> None:
    story.sql("INSERT INTO trust.bans VALUES ('site', 'CLOUD.CNIC.cn', 'x', 'root', now())")
    story.acted(broker, event("security.banned.v1", "_", BANNED.data | {"kind": "site", "name": "CLOUD.CNIC.cn"}))
    assert sorted(broker.out) == [f"pilot-p{number}" for number in range(1, 10)]


def test_a_revoked_pilot_is_forgotten_by_the_broker_when_its_tokens_are_over(story: Story, broker: Broker) -> None:
    story.sql("UPDATE trust.enrolments SET revoked_at = now(), revoked_because = 'x' WHERE pilot_id = 'p1'")
    story.acted(broker, event("pilot.revoked.v1", "p1", {"pilot_id": "p1", "reason": "x"}))
    assert broker.out == ["pilot-p1"]
    assert story.rows("SELECT type, subject FROM bus.timers") == [("security.block_ended.v1", "p1")]
    story.acted(broker, event("security.block_ended.v1", "p1", {"pilot_id": "p1"}))
    assert broker.back == ["pilot-p1"]
