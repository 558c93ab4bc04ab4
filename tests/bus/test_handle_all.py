"""The verb `handle_all`: what comes together is handled together, and what fails harms nothing that came with it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pika
import psycopg
import pytest

from bus.apply import Words, apply
from bus.discover import Handler
from bus.errors import Bug
from bus.event import CONTENT_TYPE, Event
from bus.login import account_of
from bus.publisher import parameters
from bus.runner import Runner
from bus.settings import Settings
from bus.sql import Db
from deploy.house import found_handlers
from tests.fix_broker import Vhost
from tests.handlers.bulks import SWEEP
from tests.handlers.people import SITE

PILOTS = [f"p{n}" for n in range(1, 8)]
FAILS = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a bad one'; END $$;
CREATE TRIGGER fail BEFORE INSERT ON pilot.beats FOR EACH ROW WHEN (NEW.pilot_id = 'p3') EXECUTE FUNCTION fail();
"""


def beat(pilot_id: str, **changes: Any) -> Event:
    """The first beat of a pilot without jobs."""
    data = {"pilot_id": pilot_id, "number": 1, "jobs": []} | changes
    return Event("pilot.beat.v1", f"/pilot-{pilot_id}/{pilot_id}", pilot_id, data, authid=f"pilot-{pilot_id}")


@contextmanager
def asked(vhost: Vhost, events: Sequence[Event]) -> Iterator[dict[str, Any]]:
    """Each has been sent by its pilot; the replies as they come, by pilot."""
    replies: dict[str, Any] = {}
    connections = []
    for event in events:
        connection = pika.BlockingConnection(parameters(vhost.pilot(event.subject), vhost.ca_file))
        connections.append(connection)
        channel = connection.channel()

        def heard(_channel: Any, _method: Any, about: Any, body: bytes) -> None:
            replies[str(about.correlation_id)] = json.loads(body)

        channel.basic_consume("amq.rabbitmq.reply-to", heard, auto_ack=True)
        account = f"pilot-{event.subject}"
        about = pika.BasicProperties(
            content_type=CONTENT_TYPE, user_id=account, reply_to="amq.rabbitmq.reply-to", correlation_id=event.subject
        )
        channel.basic_publish("requests", f"{account}.{event.type}.{event.subject}", event.to_json(), about)
    yield replies
    until_s = time.monotonic() + 30
    while len(replies) < len(events) and time.monotonic() < until_s:
        for connection in connections:
            connection.process_data_events(0.05)
    for connection in connections:
        connection.close()


def test_one_that_fails_and_one_that_is_invalid_harm_no_other(
    vhost: Vhost, db: psycopg.Connection[Any], house_settings: Settings, words: Words, hands: dict[str, Any]
) -> None:
    db.execute(FAILS)
    events = [beat(pilot, **({"number": 0} if pilot == "p5" else {})) for pilot in PILOTS]
    with asked(vhost, events) as replies:  # before anybody takes them, so that they come together
        reached = {"log.read": house_settings.operator_accounts, **hands}
        runner = Runner(house_settings, found_handlers(house_settings, words), words, reached, ("pilot.beat",)).start()
    runner.stop()
    codes = {pilot: reply["data"].get("code") for pilot, reply in replies.items()}
    assert codes == dict.fromkeys(PILOTS) | {"p3": "unavailable", "p5": "invalid"}
    assert db.execute("SELECT count(*) FROM pilot.beats").fetchone() == (5,)
    parked = db.execute("SELECT queue, reason, account FROM bus.parked").fetchall()
    assert parked == [("pilot.beat", "failed", "pilot-p3")]


def test_what_is_to_be_alone_is_committed_and_replied_to_before_the_next(
    vhost: Vhost, db: psycopg.Connection[Any], house_settings: Settings, words: Words, hands: dict[str, Any]
) -> None:
    db.execute(SITE)
    account = account_of(vhost.client_url)
    keys = [str(uuid.uuid4()) for _ in range(3)]
    connection = pika.BlockingConnection(parameters(vhost.client_url, vhost.ca_file))
    channel = connection.channel()
    channel.basic_consume("amq.rabbitmq.reply-to", lambda *_: None, auto_ack=True)
    for key in keys:
        asked_for = Event("bulk.submit.v1", f"/{account}/t", key, {"submission": key, "description": SWEEP}, authid=account)
        about = pika.BasicProperties(
            content_type=CONTENT_TYPE, user_id=account, reply_to="amq.rabbitmq.reply-to", correlation_id=key
        )
        channel.basic_publish("requests", f"{account}.bulk.submit.v1.{key}", asked_for.to_json(), about)
    runner = Runner(house_settings, found_handlers(house_settings, words), words, hands, ("bulk.submit",)).start()
    until_s = time.monotonic() + 30
    while time.monotonic() < until_s and db.execute("SELECT count(*) FROM job.submissions").fetchone() != (3,):
        connection.process_data_events(0.05)
    runner.stop()
    connection.close()
    assert db.execute("SELECT count(DISTINCT xmin::text) FROM job.submissions").fetchone() == (3,)


@pytest.mark.parametrize("name", ["bulk.submit", "bulk.confirm", "bulk.expire", "job.kill", "job.delete", "job.reschedule"])
def test_what_may_be_about_a_million_jobs_is_alone(found: dict[str, Handler], name: str) -> None:
    assert found[name].alone


def made(function: Any) -> Handler:
    """A handler of this function."""
    return Handler("pilot.beat", "handle_all", function, ("pilot.beat.v1",), ())


def test_events_of_one_key_are_not_given_together(db: psycopg.Connection[Any], words: Words) -> None:
    seen: list[list[str]] = []

    def function(events: Sequence[Event], _db: Db) -> list[list[Event]]:
        seen.append([event.subject for event in events])
        return [[event.reply({"beat_s": 60, "leases": []})] for event in events]

    events = [beat("p1"), beat("p2"), beat("p1")]
    applied, _ = apply(made(function), events, db, words, once=False)
    assert seen == [["p1", "p2"], ["p1"]]
    assert [outcome.answers[0].causationid for outcome in applied] == [event.id for event in events]


@pytest.mark.parametrize("answers", [[], [[], [], []]])
def test_each_event_must_have_its_answers(db: psycopg.Connection[Any], words: Words, answers: list[list[Event]]) -> None:
    with pytest.raises((Bug, ValueError)):
        apply(made(lambda _events, _db: answers), [beat("p1"), beat("p2")], db, words, once=False)
