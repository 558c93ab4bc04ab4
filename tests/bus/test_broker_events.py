"""What the broker tells of failed logins: who, from where, why, how often; no secret, and never more than can be kept."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import pika
import pika.exceptions
import psycopg
import pytest

from bus.apply import Words
from bus.broker_events import BrokerEventsLoop, failed, told
from bus.publisher import parameters
from bus.pulse import Pulse
from bus.runner import Runner
from tests.attacks.thief import Stomp
from tests.bus.test_life_of_an_event import until
from tests.fix_broker import Vhost

SECRET = "A1b2C3d4" * 5 + "xyz"
TYPED = {
    f"pbs1.p1.{SECRET}": "an enrolment secret",
    f"eyJhbGciOiJFUzI1NiJ9.e30.{SECRET}": "a token",
    SECRET: "letters as they are drawn for a key",
    f"a{SECRET}"[:43]: "the same, beginning like an account",
}


@pytest.mark.parametrize("typed", TYPED, ids=TYPED.values())
def test_a_secret_that_was_typed_as_the_account_is_not_told(typed: str) -> None:
    fact = failed({"name": typed, "auth_mechanism": "PLAIN", "error": [*f"user '{typed}' is unknown".encode()]})
    assert fact == {"account": "_", "peer": "unknown", "mechanism": "PLAIN", "reason": "user '_' is unknown"}


def test_who_looks_like_an_account_is_named() -> None:
    about = {"auth_mechanism": "PLAIN", "connection_name": "192.0.2.7:4711 -> 192.0.2.1:5671"}
    for name in ("ada", "pilot-1f0e7c52a9d84b6e", "pilot-" + "a" * 58):
        assert failed({"name": name} | about) == {"account": name, "peer": "192.0.2.7", "mechanism": "PLAIN"}
    assert failed({"name": "Ada Lovelace", "auth_mechanism": "EXTERNAL"})["account"] == "Ada_Lovelace"


def test_the_same_is_told_once_with_a_count_and_a_guesser_of_names_once_at_all() -> None:
    ada, eve = ({"account": name, "peer": "192.0.2.7", "mechanism": "PLAIN"} for name in ("ada", "eve"))
    assert [(fact["account"], fact["count"]) for fact in told([ada, eve, ada])] == [("ada", 2), ("eve", 1)]
    guesses = [ada | {"account": f"a{number}", "reason": "no"} for number in range(100)]
    assert told(guesses) == [{"account": "_", "peer": "192.0.2.7", "mechanism": "PLAIN", "reason": "no", "count": 100}]


def test_failed_logins_by_amqp_and_stomp_are_events_without_what_was_typed(
    db: psycopg.Connection[Any], house: Runner, vhost: Vhost
) -> None:
    secret = f"pbs1.p1.{SECRET}"
    for name in ("eve", secret):
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            pika.BlockingConnection(parameters(vhost.as_account(name, "wrong"), vhost.ca_file))
    with pytest.raises(PermissionError):
        Stomp(vhost.as_account("sue", "wrong"), os.environ["PILOTBUS_STOMP_URL"], vhost.ca_file)
    kept = "SELECT body->'data'->>'account', body->'data' FROM bus.events WHERE type = 'security.login_failed.v1'"
    facts = until(lambda: (found := dict(db.execute(kept).fetchall())).keys() >= {"eve", "_", "sue"} and found)
    assert facts["eve"]["peer"] == "127.0.0.1"
    assert "token is invalid" in facts["eve"]["reason"]
    (leaks,) = db.execute("SELECT count(*) FROM bus.events WHERE body::text LIKE %s", (f"%{SECRET}%",)).fetchone() or (1,)
    assert leaks == 0


def test_a_broker_without_the_plugin_is_warned_of_once_and_no_more(
    vhost: Vhost, test_dsn: str, words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    about: dict[str, Any] = {"url": vhost.service_url, "ca_file": vhost.ca_file, "dsn": test_dsn, "words": words}
    loop = BrokerEventsLoop("", **about, topology=None, send=lambda _stored: None, pulse=Pulse())
    loop.start()
    with contextlib.closing(loop.transport):
        assert loop.ready.wait(0)
        assert loop.stopping.wait(10)
        loop.join(10)
    shown = capsys.readouterr()
    assert (shown.out + shown.err).count("broker_events.off") == 1
