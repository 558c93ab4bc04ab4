"""Who is shut out is out within seconds, with an open connection and a token that still holds; and a failed login is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pika
import pika.exceptions
import psycopg
import pytest

from bus.administration import Administration
from bus.client import Client
from bus.errors import Refused, Unavailable
from bus.publisher import parameters
from bus.runner import Runner
from tests.attacks.rows import attack
from tests.bus.test_life_of_an_event import until
from tests.fix_broker import Vhost
from tests.handlers.people import SITE

NODE = {"Site": "CLOUD.CNIC.cn", "CPUTime": 500_000, "NumberOfProcessors": 4, "MaxRAM": 4000}


@pytest.fixture
def hands(hands: dict[str, Any], vhost: Vhost) -> Iterator[dict[str, Any]]:
    """The real administration; what the test has shut out is let in again, because the broker is everybody's."""
    real = Administration(vhost.management_url, vhost.ca_file, lambda: vhost.issuer.management().text)
    yield hands | {"security.cut": real}
    real.let_in(["mallory", *(f"pilot-p{number}" for number in range(1, 10))])


def connected(url: str, vhost: Vhost) -> Any:
    """An open connection of whoever has this address."""
    return pika.BlockingConnection(parameters(url, vhost.ca_file))


def seconds_until_closed(connection: Any) -> float:
    """How long the broker let the connection live."""
    began_s = time.monotonic()
    with pytest.raises(pika.exceptions.ConnectionClosed):
        while time.monotonic() - began_s < 20:
            connection.process_data_events(time_limit=0.1)
    return time.monotonic() - began_s


def ban(vhost: Vhost, kind: str, name: str, **more: Any) -> None:
    """An operator bans."""
    with Client(vhost.client_url, vhost.ca_file) as operator:
        operator.ask("security.ban.v1", {"kind": kind, "name": name, "reason": "stolen"} | more)


@attack("revoked pilot", "goes on with an open connection and a token that still holds")
def test_a_revoked_pilots_open_connection_is_closed_and_its_token_is_worth_nothing(
    house: Runner, vhost: Vhost, record_property: Any
) -> None:
    url = vhost.pilot("p7")
    connection = connected(url, vhost)
    ban(vhost, "pilot", "p7")
    took_s = seconds_until_closed(connection)
    record_property("closed_after_s", took_s)
    print(f"closed {took_s:.2f} s after the ban was answered")
    assert took_s < 5
    with pytest.raises(pika.exceptions.AMQPConnectionError, match="limit"):
        connected(url, vhost)
    with pytest.raises(Unavailable):
        Client(vhost.pilot("p7"), vhost.ca_file).__enter__()


@attack("banned person", "goes on with an open connection")
def test_a_banned_person_is_cut_off_and_comes_back_when_it_is_lifted(house: Runner, vhost: Vhost) -> None:
    url = vhost.person("mallory")
    connection = connected(url, vhost)
    ban(vhost, "user", "mallory")
    assert seconds_until_closed(connection) < 5
    with Client(vhost.client_url, vhost.ca_file) as operator:
        operator.ask("security.unban.v1", {"kind": "user", "name": "mallory"})
        with pytest.raises(Refused, match="not banned"):
            operator.ask("security.unban.v1", {"kind": "user", "name": "mallory"})
    until(lambda: not _refused(url, vhost))


def test_all_pilots_of_a_banned_site_are_cut_off_and_come_back(db: psycopg.Connection[Any], house: Runner, vhost: Vhost) -> None:
    db.execute("UPDATE trust.enrolments SET site = 'GRID.JINR.ru' WHERE pilot_id = 'p8'")
    url = vhost.pilot("p7")
    with connected(vhost.pilot("p8"), vhost) as elsewhere:
        connection = connected(url, vhost)
        ban(vhost, "site", "CLOUD.CNIC.cn")
        assert seconds_until_closed(connection) < 5
        assert _refused(url, vhost)
        elsewhere.process_data_events(time_limit=0)
        assert elsewhere.is_open
    with Client(vhost.client_url, vhost.ca_file) as operator:
        operator.ask("security.unban.v1", {"kind": "site", "name": "CLOUD.CNIC.cn"})
    until(lambda: not _refused(url, vhost))


def _refused(url: str, vhost: Vhost) -> bool:
    try:
        connected(url, vhost).close()
    except pika.exceptions.AMQPConnectionError:
        return True
    return False


@attack("banned pilot", "goes on speaking, still connected", alarm=True)
def test_what_a_banned_one_says_is_not_believed_though_it_is_still_connected(
    db: psycopg.Connection[Any], house: Runner, vhost: Vhost
) -> None:
    db.execute(SITE)
    with Client(vhost.pilot("p8"), vhost.ca_file) as pilot:
        asked = {"request_id": "5f0c6b0e-1c0f-4a53-8a57-2f7c1b7de1aa", "pilot_id": "p8", "wait_s": 0, "resource": NODE}
        assert pilot.ask("match.request.v1", asked)["job"] is None
        db.execute("INSERT INTO trust.bans VALUES ('pilot', 'p8', 'stolen', 'root', now())")
        time.sleep(2.1)  # what the gate knows may be two seconds old
        with pytest.raises(Refused, match="pilot p8 is banned: stolen"):
            pilot.ask("match.request.v1", asked)
    until(lambda: db.execute("SELECT 1 FROM bus.events WHERE type = 'security.refused.v1'").fetchone())


@attack("nobody", "tries tokens at the broker", alarm=True)
def test_a_failed_login_is_told(db: psycopg.Connection[Any], house: Runner, vhost: Vhost) -> None:
    for secret in ("wrong", vhost.issuer.job("p1", 1, 1, "ada", "g", "v").text):
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            connected(vhost.as_account("eve", secret), vhost)
    told = until(
        lambda: db.execute(
            "SELECT body->'data' FROM bus.events WHERE type = 'security.login_failed.v1' AND subject = 'eve'"
        ).fetchall()
    )
    assert told[0][0]["account"] == "eve"
    assert told[0][0]["peer"].startswith("127.0.0.1")


@attack("stolen pilot", "floods the bus")
def test_who_floods_is_suspended(db: psycopg.Connection[Any], house: Runner, vhost: Vhost) -> None:
    with connected(vhost.pilot("p7"), vhost) as connection, pytest.raises(pika.exceptions.AMQPError):
        channel = connection.channel()
        properties = pika.BasicProperties(user_id="pilot-p7")
        for _ in range(200):
            for _ in range(1000):
                channel.basic_publish("ingress", "pilot-p7.pilot.reported.v1.p7", b"{}", properties)
            connection.process_data_events(time_limit=0)
    until(lambda: db.execute("SELECT 1 FROM trust.bans WHERE kind = 'pilot' AND name = 'p7' AND until IS NOT NULL").fetchone())
    parked = db.execute("SELECT count(*) FROM bus.parked").fetchone() or (0,)
    assert parked[0] < 6000, "what is too much is dropped, and not kept in the database"
