"""The broker's administration: who is shut out is cut off whatever it speaks, in one go for many, and let in again as it was."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pika
import pika.exceptions
import pytest

from bus.administration import Administration
from bus.errors import Later
from bus.publisher import parameters
from tests.attacks.thief import Amqp, Stomp, Thief
from tests.fix_broker import Vhost


@pytest.fixture
def broker(vhost: Vhost) -> Administration:
    """The real one."""
    return Administration(vhost.management_url, vhost.ca_file, lambda: vhost.issuer.management().text)


@pytest.fixture
def names(broker: Administration) -> Iterator[list[str]]:
    """A thousand pilots that nobody else has, let in again afterwards, because the broker is everybody's."""
    mark = uuid.uuid4().hex[:8]
    made = [f"pilot-{mark}{number}" for number in range(1000)]
    yield made
    broker.let_in(made)


def connected(vhost: Vhost, protocol: str, account: str) -> Thief:
    """A connection of a pilot."""
    url = vhost.pilot(account.removeprefix("pilot-"))
    if protocol == "stomp":
        return Stomp(url, os.environ["PILOTBUS_STOMP_URL"], vhost.ca_file)
    return Amqp(url, vhost.ca_file)


@pytest.mark.parametrize("protocol", ["amqp", "stomp"])
def test_a_connection_of_any_protocol_is_closed_and_none_is_opened_until_it_is_let_in(
    broker: Administration, names: list[str], vhost: Vhost, protocol: str
) -> None:
    with contextlib.closing(connected(vhost, protocol, names[0])) as thief:
        broker.shut_out(names[:1])
        assert _closed_within_s(thief, 5)
    with pytest.raises((PermissionError, pika.exceptions.AMQPConnectionError)):
        connected(vhost, protocol, names[0])
    broker.let_in(names[:1])
    connected(vhost, protocol, names[0]).close()


def _closed_within_s(thief: Thief, seconds: float) -> bool:
    """Whether the connection ends before the wait for a reply that never comes does."""
    began_s = time.monotonic()
    with contextlib.suppress(pika.exceptions.AMQPError):
        thief.reply(4 * seconds)
    return time.monotonic() - began_s < seconds


def test_all_pilots_of_a_large_site_are_out_within_seconds(
    broker: Administration, names: list[str], vhost: Vhost, record_property: Any
) -> None:
    with contextlib.closing(connected(vhost, "amqp", names[-1])) as thief:
        began_s = time.monotonic()
        broker.shut_out(names)
        took_s = time.monotonic() - began_s
        assert _closed_within_s(thief, 5)
    record_property("thousand_shut_out_s", took_s)
    print(f"a thousand were shut out in {took_s:.2f} s")
    assert took_s < 5
    assert {user["name"] for user in broker.get("users")} > set(names)
    broker.shut_out(names[:3])
    broker.let_in(names)
    assert not {user["name"] for user in broker.get("users")} & set(names)


def test_an_account_of_the_brokers_own_keeps_its_rights(broker: Administration, vhost: Vhost) -> None:
    name = f"carl-{uuid.uuid4().hex[:8]}"
    vhost.call("PUT", f"users/{name}", {"password": "secret", "tags": "monitoring"})
    vhost.call("PUT", f"permissions/{vhost.name}/{name}", {"configure": "", "write": "", "read": ""})
    url = vhost.as_account(name, "secret")
    try:
        before = vhost.call("GET", f"users/{name}")
        broker.shut_out([name])
        with pytest.raises(pika.exceptions.AMQPConnectionError, match="limit"):
            pika.BlockingConnection(parameters(url, vhost.ca_file))
        vhost.call("POST", "definitions", {"users": [before]})  # as the broker does it with its own file at each start
        with pytest.raises(pika.exceptions.AMQPConnectionError, match="limit"):
            pika.BlockingConnection(parameters(url, vhost.ca_file))
        broker.let_in([name])
        assert vhost.call("GET", f"users/{name}") == before
        pika.BlockingConnection(parameters(url, vhost.ca_file)).close()
    finally:
        vhost.call("DELETE", f"users/{name}")


def test_a_broker_that_does_not_answer_is_asked_later(vhost: Vhost) -> None:
    away = Administration("https://127.0.0.1:1", vhost.ca_file, lambda: "x")
    with pytest.raises(Later, match="does not do GET users"):
        away.shut_out(["pilot-p1"])
    with pytest.raises(Later):
        Administration(vhost.management_url, vhost.ca_file, lambda: "no token").let_in(["pilot-p1"])
