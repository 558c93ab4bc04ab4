"""security.cut: exactly those are shut out who are banned now, and the others are let in again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


def row(account: str, *, banned: bool, revoked: bool = False, may_come: bool = True) -> dict[str, Any]:
    """What is known of an account."""
    return {"account": account, "banned": banned, "revoked": revoked, "may_come": may_come}


def test_who_is_shut_out_and_who_is_let_in() -> None:
    free, banned = row("a", banned=False), row("b", banned=True)
    gone, revoked = row("c", banned=True, may_come=False), row("d", banned=True, revoked=True)
    everybody = [free, banned, gone, revoked]
    assert decide("security.banned.v1", everybody) == (["b", "d"], ["a"])
    assert decide("security.ban_lifted.v1", everybody) == ([], ["a"])
    assert decide("security.block_ended.v1", everybody) == ([], ["a", "d"])


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


def test_no_block_is_left_when_the_ban_of_a_revoked_pilot_ends(story: Story, broker: Broker) -> None:
    about = {"kind": "pilot", "name": "p1"}
    story.sql("UPDATE trust.enrolments SET revoked_at = now(), revoked_because = 'x' WHERE pilot_id = 'p1'")
    story.acted(broker, event("security.block_ended.v1", "p1", {"pilot_id": "p1"}))
    story.acted(broker, event("security.ban_lifted.v1", "_", about))
    assert (broker.out, broker.back) == ([], ["pilot-p1"])
    story.acted(broker, event("security.banned.v1", "_", BANNED.data | about))
    assert broker.out == ["pilot-p1"]
    assert story.rows("SELECT timer FROM bus.timers") == [("block/p1",)], "it was shut out once more, and that ends too"


def test_a_block_that_ends_lets_no_pilot_in_whose_site_is_banned(story: Story, broker: Broker) -> None:
    story.sql("INSERT INTO trust.bans VALUES ('site', 'CLOUD.CNIC.cn', 'x', 'root', now())")
    story.acted(broker, event("security.block_ended.v1", "p1", {"pilot_id": "p1"}))
    assert broker.back == []


def test_pilots_of_long_ago_are_not_shut_out_with_their_site_but_are_let_in(story: Story, broker: Broker) -> None:
    story.sql("UPDATE trust.enrolments SET enrolled_at = now() - interval '61 days' WHERE pilot_id <> 'p1'")
    story.sql("INSERT INTO trust.bans VALUES ('site', 'CLOUD.CNIC.cn', 'x', 'root', now())")
    about = {"kind": "site", "name": "CLOUD.CNIC.cn"}
    story.acted(broker, event("security.banned.v1", "_", BANNED.data | about))
    assert broker.out == ["pilot-p1"]
    story.sql("DELETE FROM trust.bans").acted(broker, event("security.ban_lifted.v1", "_", about))
    assert len(broker.back) == 9
