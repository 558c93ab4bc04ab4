"""proxy.fetch: the pilot that has the job gets a limited proxy that ends soon; nobody else does, and it is nowhere kept."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bus.client import Client
from bus.errors import Refused
from bus.event import Event
from bus.runner import Runner
from handlers.proxy.authorities import Authorities
from handlers.proxy.fetch import LEASE_S, SLACK_S, decide
from handlers.proxy.hands import Hands
from handlers.proxy.keys import read_key
from handlers.proxy.vault import Vault, make
from handlers.proxy.x509 import end_entity, fingerprint, proxy_pem, read_chain, same_key
from tests.fix_broker import Vhost
from tests.fix_house import Story
from tests.handlers.grid import ADA, Grid, kept
from tests.handlers.people import event, matched

HANDLER = "proxy.fetch"
JOB = {"job_id": 1, "owner": "ada", "pilot_id": "p1", "attempt": 1, "state": "Running", "banned": None}
ASKED = {"pilot_id": "p1", "job_id": 1, "attempt": 1}


@pytest.fixture
def mine(hands: dict[str, Any]) -> Hands:
    found: Hands = hands[HANDLER]
    return found


def fetch(authid: str = "pilot-p1", **changes: Any) -> Event:
    return event("proxy.fetch.v1", "p1", ASKED | changes, authid)


@pytest.mark.parametrize(
    ("asked", "job", "account", "gets"),
    [
        ({}, {}, "pilot-p1", True),
        ({}, {"state": "Matched"}, "pilot-p1", True),
        ({}, {"state": "Completing"}, "pilot-p1", True),
        ({}, {"state": "Stalled"}, "pilot-p1", False),
        ({}, {"state": "Done"}, "pilot-p1", False),
        ({}, {"state": "Waiting", "pilot_id": None}, "pilot-p1", False),
        ({}, {"attempt": 2}, "pilot-p1", False),
        ({}, {"pilot_id": "p2"}, "pilot-p1", False),
        ({"pilot_id": "p2"}, {"pilot_id": "p2"}, "pilot-p1", False),
        ({}, {}, "pilot-p2", False),
        ({}, {}, "p1", False),
        ({}, {}, "pilot", False),
        ({}, {}, "ada", False),
        ({}, {"banned": "user ada is banned: misuse"}, "pilot-p1", False),
    ],
)
def test_only_the_pilot_that_has_the_running_attempt_gets_one(
    asked: dict[str, Any], job: dict[str, Any], account: str, gets: bool
) -> None:
    assert (decide(ASKED | asked, JOB | job, account) == "") == gets
    assert decide(ASKED | asked, None, account)


def test_the_pilot_gets_a_limited_proxy_that_openssl_trusts_and_that_ends_soon(story: Story, mine: Hands, grid: Grid) -> None:
    matched(story)
    mark = kept(story._db, mine, grid.person().proxy())
    said, reply = story.acted(mine, fetch()).answers
    chain = read_chain(reply.data["pem"])
    found = end_entity(chain)
    mine.authorities.judge(chain)
    assert (found.dn, found.limited, found.depth) == (ADA, True, 2)
    assert same_key(chain[0], read_key(reply.data["pem"].encode()))
    assert reply.data["pem"].count("PRIVATE KEY") == 2
    left = (chain[0].not_valid_after_utc - datetime.now(UTC)).total_seconds()
    assert LEASE_S + SLACK_S - 60 < left <= LEASE_S + SLACK_S
    assert abs(reply.data["valid_s"] - left) < 5
    assert fingerprint(chain[1]) == mark
    assert said.data == {
        "job_id": 1,
        "attempt": 1,
        "pilot_id": "p1",
        "account": "ada",
        "fingerprint": fingerprint(chain[0]),
        "not_after": reply.data["not_after"],
    }
    assert story.rows("SELECT last_handed_at IS NOT NULL FROM proxy.proxies") == [(True,)]


def test_it_never_lasts_longer_than_the_deposited_one(story: Story, mine: Hands, grid: Grid) -> None:
    matched(story)
    deposited = grid.person().proxy(hours=0.2)
    kept(story._db, mine, deposited)
    (_, reply) = story.acted(mine, fetch()).answers
    assert read_chain(reply.data["pem"])[0].not_valid_after_utc == deposited.chain[0].not_valid_after_utc


def test_each_time_it_is_another_key(story: Story, mine: Hands, grid: Grid) -> None:
    matched(story)
    kept(story._db, mine, grid.person().proxy())
    story.acted(mine, fetch(), fetch())
    first, second = (answer.data["pem"] for answer in story.answers if "pem" in answer.data)
    assert read_key(first.encode()).public_key() != read_key(second.encode()).public_key()


def test_where_there_is_none_that_is_what_is_said(story: Story, mine: Hands, grid: Grid) -> None:
    matched(story)
    (refusal,) = story.acted(mine, fetch()).answers
    assert refusal.data == {"code": "not_found", "reason": "ada has no proxy here"}
    kept(story._db, mine, grid.person().proxy())
    story.sql("UPDATE registry.users SET dns = '{}'")
    (refusal,) = story.acted(mine, fetch()).answers
    assert refusal.data["code"] == "not_found"
    story.sql("UPDATE registry.users SET dns = %s", [ADA]).sql("UPDATE proxy.proxies SET not_after = now()")
    (refusal,) = story.acted(mine, fetch()).answers
    assert refusal.data["code"] == "not_found"


def test_an_owner_who_is_shut_out_or_revoked_serves_no_job(story: Story, mine: Hands, tmp_path: Path) -> None:
    grid = Grid(tmp_path / "trusted")
    here = Hands(mine.vault, Authorities(str(grid.folder)))
    person = grid.person()
    matched(story)
    kept(story._db, here, person.proxy())
    assert len(story.acted(here, fetch()).answers) == 2
    grid.revoke(person)
    (refusal,) = story.acted(here, fetch()).answers
    assert (refusal.data["code"], "revoked" in refusal.data["reason"]) == ("denied", True)
    story.sql("INSERT INTO trust.bans VALUES ('user', 'ada', 'misuse', 'root', now())")
    (refusal,) = story.acted(here, fetch()).answers
    assert (refusal.data["code"], "ada is banned" in refusal.data["reason"]) == ("denied", True)


def test_a_row_that_was_swapped_or_a_lost_key_opens_nothing(story: Story, mine: Hands, grid: Grid, tmp_path: Path) -> None:
    matched(story)
    kept(story._db, mine, grid.person().proxy())
    make(tmp_path / "other.key")
    (refusal,) = story.acted(Hands(Vault(str(tmp_path / "other.key")), mine.authorities), fetch()).answers
    assert (refusal.data["code"], "no longer has" in refusal.data["reason"]) == ("unavailable", True)
    eve = mine.vault.seal(b"secret of eve", "proxy of eve: 00")
    story.sql("UPDATE proxy.proxies SET sealed = %s", eve)
    (refusal,) = story.acted(mine, fetch()).answers
    assert (refusal.data["code"], "moved here" in refusal.data["reason"]) == ("unavailable", True)


def everything(db: psycopg.Connection[Any]) -> str:
    """All that any table holds, as text; bytes both as they are and in hex."""
    theirs = ("pg_catalog", "information_schema")
    named = db.execute(
        "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname <> ALL(%s)", [list(theirs)]
    ).fetchall()
    found = []
    for (table,) in named:
        for row in db.execute(f"SELECT * FROM {table}").fetchall():
            found += [bytes(value).decode("latin-1") if isinstance(value, (bytes, memoryview)) else str(value) for value in row]
    return "\n".join(found)


def secrets_of(pem: str) -> list[str]:
    """Lines that only the private key has."""
    (body,) = re.findall(r"BEGIN RSA PRIVATE KEY-----\n(.*?)-----END", pem, re.DOTALL)
    found = [line for line in body.split("\n") if len(line) > 20]
    assert len(found) > 10
    return found


LET_IN = """INSERT INTO trust.enrolments (pilot_id, secret_sha256, site, invited_by, invited_at, expires_at, enrolled_at)
VALUES ('p2', '', 'CLOUD.CNIC.cn', 'root', now(), now(), now()) ON CONFLICT DO NOTHING"""


def test_over_the_broker_the_pilot_alone_gets_it_and_no_trace_is_left(
    story: Story, house: Runner, vhost: Vhost, mine: Hands, grid: Grid, capfd: pytest.CaptureFixture[str]
) -> None:
    story.sql(LET_IN)
    matched(story)
    kept(story._db, mine, grid.person().proxy(kind="rsa"))
    with Client(vhost.pilot("p2"), vhost.ca_file) as other, pytest.raises(Refused, match="does not have attempt 1 of job 1"):
        other.ask("proxy.fetch.v1", ASKED | {"pilot_id": "p2"})
    with Client(vhost.pilot("p1"), vhost.ca_file) as pilot:
        pem = pilot.ask("proxy.fetch.v1", ASKED)["pem"]
        story.sql("ALTER TABLE proxy.proxies DROP COLUMN last_handed_at")  # the next one fails when its secret is made
        with pytest.raises(Refused, match="failed on this request") as caught:
            pilot.ask("proxy.fetch.v1", ASKED)
    assert story.rows("SELECT queue, reason FROM bus.parked") == [("proxy.fetch", "failed")]
    traces = everything(story._db) + "".join(capfd.readouterr()) + str(caught.value)
    assert "proxy.handed_out.v1" in traces
    assert [line for line in secrets_of(pem) if line in traces] == []
    assert "PRIVATE KEY" not in traces


def test_nothing_of_it_is_in_any_row(story: Story, mine: Hands, grid: Grid, capfd: pytest.CaptureFixture[str]) -> None:
    matched(story)
    deposited = grid.person().proxy(kind="rsa")
    kept(story._db, mine, deposited)
    replies = [story.acted(mine, fetch()).answers[1] for _ in range(2)]
    rows = everything(story._db) + "".join(capfd.readouterr())
    assert "proxy.handed_out.v1" in rows
    for secret in [proxy_pem(deposited.chain, deposited.key), *(reply.data["pem"] for reply in replies)]:
        assert [line for line in secrets_of(secret) if line in rows] == []
    assert "PRIVATE KEY" not in rows
