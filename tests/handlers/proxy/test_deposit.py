"""proxy.deposit: only a good proxy, for our key, of a registered name, is kept, and it is kept sealed."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bus.event import Event
from bus.postgres import Direct
from handlers.proxy import delegate
from handlers.proxy.authorities import Authorities
from handlers.proxy.deposit import decide
from handlers.proxy.hands import Hands, about_proxy
from handlers.proxy.keys import new_key, read_key, request_of
from handlers.proxy.vault import Vault
from handlers.proxy.x509 import EndEntity, read_chain
from tests.fix_house import Story
from tests.handlers.grid import ADA, Grid, registered
from tests.handlers.people import event

HANDLER = "proxy.deposit"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def mine(hands: dict[str, Any]) -> Hands:
    found: Hands = hands[HANDLER]
    return found


@pytest.fixture
def known(story: Story) -> Story:
    """ada is registered under her name."""
    registered(story._db)
    return story


def delegation(story: Story, hands: Hands, authid: str = "ada") -> dict[str, Any]:
    """A delegation of the account, open."""
    asked = event("proxy.delegate.v1", "_", {"delegation_id": str(uuid.uuid4())}, authid)
    (reply,) = delegate.act(asked, Direct(story._db, story._found["proxy.delegate"].sql), hands)
    assert isinstance(reply.data, dict)
    return reply.data


def deposit(begun: dict[str, Any], chain_pem: str, authid: str = "ada") -> Event:
    return event("proxy.deposit.v1", "_", {"delegation_id": begun["delegation_id"], "chain_pem": chain_pem}, authid)


def refused(story: Story, code: str, why: str) -> None:
    """The last deposit was refused so, and nothing is kept."""
    (refusal,) = story.answers
    assert refusal.data["code"] == code, refusal.data
    assert why in refusal.data["reason"]
    assert story.rows("SELECT * FROM proxy.proxies") == []


def test_a_good_proxy_is_kept_sealed_and_its_end_is_armed(known: Story, mine: Hands, grid: Grid) -> None:
    begun = delegation(known, mine)
    chain = grid.person().answer(begun["csr_pem"])
    known.acted(mine, deposit(begun, chain)).then(
        ("proxy.deposited.v1", {"account": "ada", "dn": ADA}), ("proxy.deposit.v1.reply", {"dn": ADA})
    )
    ((sealed, fingerprint, timer),) = known.rows(
        """SELECT sealed, fingerprint, due_at = not_after AND type = 'proxy.expired.v1'
        FROM proxy.proxies JOIN bus.timers ON timer = 'proxy/' || fingerprint"""
    )
    assert timer
    pem = mine.vault.open(bytes(sealed), about_proxy("ada", fingerprint))
    assert read_chain(pem.decode()) == read_chain(chain)
    assert read_key(pem).public_key() == read_chain(chain)[0].public_key()
    assert known.rows("SELECT sealed_key FROM proxy.delegations") == [(None,)]
    assert not any(b"PRIVATE" in bytes(value) for row in known.rows("SELECT sealed FROM proxy.proxies") for value in row)


def test_a_proxy_signed_by_a_proxy_and_a_name_in_slashes_are_as_good(story: Story, mine: Hands, grid: Grid) -> None:
    registered(story._db, "ada", "/DC=org/DC=toy/OU=People/CN=Ada Lovelace")
    begun = delegation(story, mine)
    story.acted(mine, deposit(begun, grid.person().proxy().answer(begun["csr_pem"])))
    assert story.rows("SELECT dn, registered_as FROM proxy.proxies") == [(ADA, "/DC=org/DC=toy/OU=People/CN=Ada Lovelace")]


def test_a_newer_proxy_takes_the_place_of_the_old_one(known: Story, mine: Hands, grid: Grid) -> None:
    for _ in range(2):
        begun = delegation(known, mine)
        known.acted(mine, deposit(begun, grid.person().answer(begun["csr_pem"])))
    assert known.rows("SELECT count(*) FROM proxy.proxies") == [(1,)]
    assert known.rows("SELECT count(*) FROM bus.timers WHERE timer LIKE 'proxy/%%'") == [(1,)]


def test_the_same_deposit_again_gets_the_same_reply_and_another_none(known: Story, mine: Hands, grid: Grid) -> None:
    begun, person = delegation(known, mine), grid.person()
    first = deposit(begun, person.answer(begun["csr_pem"]))
    (_, one) = known.acted(mine, first).answers
    before = known.rows("SELECT * FROM proxy.proxies")
    (_, two) = known.acted(mine, deposit(begun, first.data["chain_pem"])).answers
    assert one.data == two.data
    (refusal,) = known.acted(mine, deposit(begun, person.answer(begun["csr_pem"]))).answers
    assert "used already" in refusal.data["reason"]
    assert known.rows("SELECT * FROM proxy.proxies") == before


def test_what_is_no_good_proxy_is_refused(known: Story, mine: Hands, grid: Grid, tmp_path: Path) -> None:
    begun, person = delegation(known, mine), grid.person()
    csr = begun["csr_pem"]
    for chain, code, why in [
        ("nonsense", "invalid", "can not be read"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "invalid", "can not be read"),
        (Grid(tmp_path / "foreign").person().answer(csr), "invalid", "not trusted"),
        (person.answer(request_of(new_key())), "invalid", "not for the key of this delegation"),
        (person.answer(csr, limited=True), "invalid", "limited"),
        (person.proxy(limited=True).answer(csr), "invalid", "limited"),
        (grid.person(hours=0.05).answer(csr), "invalid", "expired or is about to"),
        (grid.person("CN=Eve,DC=toy,DC=org").answer(csr), "denied", "CN=Eve,DC=toy,DC=org is not registered for ada"),
    ]:
        refused(known.acted(mine, deposit(begun, chain)), code, why)
    known.acted(mine, deposit(begun, person.answer(csr)))
    assert known.rows("SELECT count(*) FROM proxy.proxies") == [(1,)]


def test_a_revoked_certificate_is_refused(known: Story, hands: dict[str, Any], tmp_path: Path) -> None:
    grid = Grid(tmp_path / "trusted")
    person = grid.person()
    grid.revoke(person)
    mine = Hands(hands[HANDLER].vault, Authorities(str(grid.folder)))
    begun = delegation(known, mine)
    refused(known.acted(mine, deposit(begun, person.answer(begun["csr_pem"]))), "invalid", "revoked")


def test_a_name_of_nobody_or_of_another_account_is_refused(story: Story, mine: Hands, grid: Grid) -> None:
    registered(story._db, "ada")
    registered(story._db, "bob", "CN=Bob,DC=toy,DC=org")
    begun = delegation(story, mine, "bob")
    chain = grid.person().answer(begun["csr_pem"])
    refused(story.acted(mine, deposit(begun, chain, "bob")), "denied", "not registered for bob")
    refused(story.acted(mine, deposit(begun, chain, "ada")), "not_found", "not yours")
    story.sql("UPDATE registry.users SET dns = '{}'")
    refused(story.acted(mine, deposit(begun, chain, "bob")), "denied", "no certificate is registered for bob")


def test_a_delegation_whose_time_is_up_is_over(known: Story, mine: Hands, grid: Grid) -> None:
    begun = delegation(known, mine)
    known.sql("UPDATE proxy.delegations SET expires_at = now() - interval '1 second'")
    refused(known.acted(mine, deposit(begun, grid.person().answer(begun["csr_pem"]))), "conflict", "time is up")


def test_without_authorities_or_with_a_row_of_another_nothing_is_kept(
    known: Story, mine: Hands, grid: Grid, tmp_path: Path
) -> None:
    registered(known._db, "bob", "CN=Bob,DC=toy,DC=org")
    begun, others = delegation(known, mine), delegation(known, mine, "bob")
    chain = grid.person().answer(begun["csr_pem"])
    nobody = Hands(mine.vault, Authorities(str(tmp_path / "nowhere")))
    refused(known.acted(nobody, deposit(begun, chain)), "unavailable", "PILOTBUS_USER_CA_DIR")
    refused(known.acted(Hands(Vault(""), mine.authorities), deposit(begun, chain)), "unavailable", "PILOTBUS_VAULT_KEY_FILE")
    ((sealed,),) = known.rows("SELECT sealed_key FROM proxy.delegations WHERE owner = 'bob'")
    known.sql("UPDATE proxy.delegations SET sealed_key = %s WHERE owner = 'ada'", sealed)
    refused(known.acted(mine, deposit(begun, grid.person().answer(others["csr_pem"]))), "unavailable", "moved here")


def test_a_chain_without_room_for_a_jobs_proxy_is_refused() -> None:
    late = NOW + timedelta(days=1)
    assert decide(EndEntity(ADA, (ADA,), late, False, 1, 1), [ADA], "ada", NOW) == ("", "")
    assert "path length" in decide(EndEntity(ADA, (ADA,), late, False, 1, 0), [ADA], "ada", NOW)[1]
    assert "no proxy" in decide(EndEntity(ADA, (ADA,), late, False, 0, None), [ADA], "ada", NOW)[1]
