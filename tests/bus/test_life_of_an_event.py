"""From ingress to rows to events again, on the real broker and the real database, with crashes at the named points."""

from __future__ import annotations

import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from bus.apply import Words
from bus.client import Client
from bus.errors import Refused, Unavailable, Unroutable
from bus.event import Event
from bus.failpoints import AFTER_COMMIT_BEFORE_ACK, AFTER_PUBLISH_BEFORE_MARK_SENT
from bus.publisher import Message, Publisher
from bus.runner import Runner
from bus.settings import Settings
from bus.transport import Transport
from tests.attacks.rows import attack
from tests.fix_broker import Vhost
from tests.fix_house import Spawn

JOBS = 40
PEOPLE = """
INSERT INTO job.submissions VALUES ('7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', 'ada', '', 1, %(n)s, now());
INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, state, minor_status, priority, description,
                      pilot_id, submitted_at, changed_at)
SELECT n, '7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', 'ada', 'local_user', 'local', 'n', 'g', 'Running', 'Application', 1, '{}', 'p1',
       now(), now()
FROM generate_series(1, %(n)s) n;
"""


def until(claim: Callable[[], Any], within_s: float = 30.0) -> Any:
    """What the claim says once it is true; asked again as the database changes, for a failure after a while."""
    end = time.monotonic() + within_s
    while not (found := claim()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)  # the database has no event to await here: its rows are what is tested
    return found


@pytest.fixture
def running_jobs(db: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Jobs that run on pilot p1."""
    db.execute(PEOPLE.replace("%(n)s", str(JOBS)))
    return db


@pytest.fixture
def publisher(vhost: Vhost) -> Iterator[Publisher]:
    """The pilots' account on the broker."""
    made = Publisher(vhost.pilot_url, vhost.ca_file).start()
    yield made
    made.stop()


def reports() -> list[Message]:
    """Every job is reported done, by its pilot."""
    done = {"attempt": 1, "pilot_id": "p1", "state": "Done", "minor_status": "Execution Complete", "exit_code": 0}
    events = [Event("job.reported.v1", "/pilot-p1/p1", str(n), {"job_id": n} | done) for n in range(1, JOBS + 1)]
    return [Message("ingress", f"pilot-p1.{e.type}.{e.subject}", e.to_json(), e.id, e.type) for e in events]


def follow(vhost: Vhost, pattern: str) -> Transport:
    """A connection that gets what the trusted exchange carries under a pattern."""
    transport = Transport(vhost.service_url, vhost.ca_file).connect()
    transport.own_queue(name := f"follow.{uuid.uuid4().hex}")
    transport.bind(name, "events", pattern)
    transport.consume(name, no_ack=True)
    return transport


def gather(transport: Transport, different: int) -> list[Event]:
    """Events as they come, until so many different subjects or ids have come."""
    came: list[Event] = []
    end = time.monotonic() + 30
    while len({event.id for event in came}) < different:
        assert time.monotonic() < end, f"{len(came)} of {different} came"
        came += [Event.from_json(delivery.body) for delivery in transport.receive(100, 0.2)]
    return came


def all_done(db: psycopg.Connection[Any]) -> bool:
    """Every job is Done, told once in its history, emitted once, and nothing is owed."""
    counted = """SELECT (SELECT count(*) FROM job.jobs WHERE state = 'Done'),
                        (SELECT count(*) FROM job.history WHERE state = 'Done'),
                        (SELECT count(*) FROM bus.events WHERE type = 'job.done.v1'),
                        (SELECT count(*) FROM bus.unsent)"""
    return db.execute(counted).fetchone() == (JOBS, JOBS, JOBS, 0)


@pytest.mark.parametrize(
    ("failpoint", "handler"),
    [
        (AFTER_COMMIT_BEFORE_ACK, "gate"),
        (AFTER_COMMIT_BEFORE_ACK, "job.report"),
        (AFTER_PUBLISH_BEFORE_MARK_SENT, ""),
    ],
)
def test_a_crash_loses_nothing_and_applies_nothing_twice(
    running_jobs: psycopg.Connection[Any], publisher: Publisher, vhost: Vhost, spawn: Spawn, failpoint: str, handler: str
) -> None:
    told = follow(vhost, "job.done.v1.*")
    first = spawn(PILOTBUS_FAILPOINT=failpoint, PILOTBUS_FAILPOINT_HANDLER=handler)
    publisher.publish(reports()).result(timeout=30)

    assert first.wait(timeout=30) == -signal.SIGKILL
    spawn()

    until(lambda: all_done(running_jobs))
    assert len({event.subject for event in gather(told, JOBS)}) == JOBS
    assert running_jobs.execute("SELECT count(*) FROM bus.parked").fetchone() == (0,)
    told.close()


def test_the_same_event_sent_many_times_happens_once(
    running_jobs: psycopg.Connection[Any], publisher: Publisher, house: Runner
) -> None:
    messages = reports()
    publisher.publish([*messages, *messages, *messages]).result(timeout=30)
    until(lambda: all_done(running_jobs))


@attack("extension handler", "fails on a message, again and again")
def test_a_poison_message_parks_alone_and_can_be_replayed(
    running_jobs: psycopg.Connection[Any], publisher: Publisher, house: Runner, vhost: Vhost
) -> None:
    running_jobs.execute("ALTER TABLE job.history ADD CONSTRAINT poison CHECK (job_id <> 7 OR state <> 'Done')")
    publisher.publish(reports()).result(timeout=30)
    parked = until(lambda: running_jobs.execute("SELECT queue, reason, detail FROM bus.parked").fetchall())
    until(lambda: running_jobs.execute("SELECT count(*) FROM job.jobs WHERE state = 'Done'").fetchone() == (JOBS - 1,))

    assert [(queue, reason) for queue, reason, _ in parked] == [("job.report", "failed")]
    assert "CheckViolation" in parked[0][2]

    running_jobs.execute("ALTER TABLE job.history DROP CONSTRAINT poison")
    with Client(vhost.client_url, vhost.ca_file) as operator:
        (listed,) = operator.ask("parking.list.v1", {})["parked"]
        assert "CheckViolation" in operator.ask("parking.show.v1", {"parked_id": listed["parked_id"]})["detail"]
        operator.ask("parking.replay.v1", {"parked_id": listed["parked_id"]})
        until(lambda: all_done(running_jobs))
        assert operator.ask("parking.list.v1", {})["parked"] == []


@attack("stolen pilot", "says what it may not, one after another", alarm=True)
def test_what_an_outsider_may_not_say_changes_nothing_and_is_quarantined(
    running_jobs: psycopg.Connection[Any], house: Runner, vhost: Vhost
) -> None:
    thief = Transport(vhost.pilot_url, vhost.ca_file).connect()
    told = follow(vhost, "security.refused.v1.#")
    good = reports()[0]
    event = Event.from_json(good.body)
    forged = [
        (good.routing_key, b"not json"),
        (good.routing_key, event.signed("/root/x").to_json()),
        ("pilot-p1.job.reported.v1.2", good.body),
        ("pilot-p1.job.done.v1.1", Event("job.done.v1", "/pilot-p1/p1", "1", event.data).to_json()),
        (
            "pilot-p1.site.described.v1.A",
            Event("site.described.v1", "/pilot-p1/p1", "A", {"site": "A", "status": "active"}).to_json(),
        ),
        ("pilot-p1.job.reported.v1.9", Event("job.reported.v1", "/pilot-p1/p1", "9", event.data).to_json()),
        (good.routing_key, Event("job.reported.v1", "/pilot-p1/p1", "1", event.data | {"root": True}).to_json()),
    ]
    for key, body in forged:
        thief.publish("ingress", key, body)
    thief.close()

    came = gather(told, len(forged))
    told.close()
    assert all(refused.data["account"] == "pilot-p1" and refused.data["reason"] for refused in came)
    assert running_jobs.execute("SELECT count(*) FROM bus.parked WHERE reason = 'invalid'").fetchone() == (len(forged),)
    assert running_jobs.execute("SELECT DISTINCT state FROM job.jobs").fetchall() == [("Running",)]


def test_a_pilot_may_not_ask_what_a_user_asks_and_hears_why(house: Runner, vhost: Vhost) -> None:
    with Client(vhost.pilot_url, vhost.ca_file) as pilot, pytest.raises(Refused, match="may be sent by client") as refusal:
        pilot.ask("job.query.v1", {})
    assert refusal.value.code == "denied"


def test_a_request_that_nobody_answers_is_told_and_not_lost_in_silence(vhost: Vhost, words: Words) -> None:
    strange = Words(words.known | {"job.dream.v1": words.known["job.query.v1"] | {"$id": "job.dream.v1"}})
    with Client(vhost.client_url, vhost.ca_file, words=strange) as user:
        with pytest.raises(Unroutable, match=r"job\.dream\.v1"):
            user.ask("job.dream.v1", {})
        with pytest.raises(Unavailable, match="no service has answered"):
            user.ask("job.query.v1", {}, within_s=0.5)


def test_the_services_ride_out_a_lost_broker_connection_and_a_lost_database(
    running_jobs: psycopg.Connection[Any], house: Runner, vhost: Vhost, house_settings: Settings, publisher: Publisher
) -> None:
    messages = reports()
    publisher.publish(messages[: JOBS // 2]).result(timeout=30)
    for connection in vhost.call("GET", f"vhosts/{vhost.name}/connections"):
        if connection["user"] == "pilotbus":
            vhost.call("DELETE", f"connections/{connection['name'].replace(' ', '%20').replace('>', '%3E').replace('/', '%2F')}")
    running_jobs.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    publisher.publish(messages[JOBS // 2 :]).result(timeout=30)
    until(lambda: all_done(running_jobs), 60)
    assert running_jobs.execute("SELECT count(*) FROM bus.parked").fetchone() == (0,)


def test_sigterm_ends_the_services_cleanly(spawn: Spawn) -> None:
    process: subprocess.Popen[bytes] = spawn()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0


def test_a_replay_at_the_gate_keeps_the_name_it_first_came_in(db: psycopg.Connection[Any], house: Runner, vhost: Vhost) -> None:
    told = Event("site.described.v1", "/root/x", "A_B_ch", {"site": "A.B.ch", "status": "active"})
    with Client(vhost.client_url, vhost.ca_file) as operator:
        told = told.signed(f"/{operator.account}/x")
        db.execute(
            "INSERT INTO bus.parked (queue, reason, detail, account, body) VALUES ('gate', 'failed', 'x', %s, %s)",
            (operator.account, told.to_json()),
        )
        operator.ask("parking.replay.v1", {"parked_id": 1})
        until(lambda: db.execute("SELECT status FROM site.sites").fetchall() == [("active",)])
        assert operator.ask("parking.list.v1", {})["parked"] == []
