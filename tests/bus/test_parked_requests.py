"""Requests that wait: answered when a job comes, told to ask again in time, handed on when their holder dies."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import uuid
from typing import Any

import psycopg
import pytest

from bus.client import Client
from bus.errors import Refused, Unavailable
from bus.runner import Runner
from tests.fix_broker import Vhost
from tests.fix_house import Spawn
from tests.handlers.people import SITE

NODE = {"Site": "CLOUD.CNIC.cn", "CPUTime": 500_000, "NumberOfProcessors": 4, "MaxRAM": 4000}


def request(wait_s: int = 30) -> dict[str, Any]:
    """A pilot asks."""
    return {"request_id": str(uuid.uuid4()), "pilot_id": "p1", "wait_s": wait_s, "resource": NODE}


def submit(vhost: Vhost) -> int:
    """A user submits a job; its id."""
    with Client(vhost.client_url, vhost.ca_file) as user:
        description = {"Executable": "/bin/true"}
        found: int = user.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": description})["first_job_id"]
        return found


def asked(vhost: Vhost, answers: list[Any]) -> threading.Thread:
    """A pilot asks in a thread of its own."""

    def ask() -> None:
        with Client(vhost.pilot_url, vhost.ca_file) as pilot:
            answers.append(pilot.ask("match.request.v1", request(), within_s=60))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def parked(vhost: Vhost) -> bool:
    """Whether the broker holds a request that somebody has and has not acknowledged."""
    with Client(vhost.service_url, vhost.ca_file):
        found = vhost.call("GET", f"queues/{vhost.name}/match.request")
    return bool(found.get("messages_unacknowledged"))


def wait_until_parked(vhost: Vhost) -> None:
    """The broker's own statistics say so; it renews them every few seconds."""
    end = time.monotonic() + 30
    while not parked(vhost):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_parked_pilot_gets_the_job_that_comes(db: psycopg.Connection[Any], house: Runner, vhost: Vhost) -> None:
    db.execute(SITE)
    answers: list[Any] = []
    thread = asked(vhost, answers)
    wait_until_parked(vhost)
    job_id = submit(vhost)
    thread.join(timeout=30)
    assert answers[0]["job"]["job_id"] == job_id


def test_a_pilot_that_has_waited_long_enough_is_told_to_ask_again(house: Runner, vhost: Vhost) -> None:
    with Client(vhost.pilot_url, vhost.ca_file) as pilot:
        reply = pilot.ask("match.request.v1", request(wait_s=1), within_s=20)
    assert (reply["job"], reply["why"]["headline"]) == (None, "no job waits")


def test_the_requests_of_a_matcher_that_died_go_to_the_next(db: psycopg.Connection[Any], spawn: Spawn, vhost: Vhost) -> None:
    db.execute(SITE)
    first = spawn()
    answers: list[Any] = []
    thread = asked(vhost, answers)
    wait_until_parked(vhost)
    first.send_signal(signal.SIGKILL)
    first.wait()
    spawn()
    job_id = submit(vhost)
    thread.join(timeout=30)
    assert answers[0]["job"]["job_id"] == job_id
    assert db.execute("SELECT state, pilot_id FROM job.jobs").fetchall() == [("Matched", "p1")]


def test_a_pilot_that_died_while_it_waited_gets_no_job(db: psycopg.Connection[Any], house: Runner, vhost: Vhost) -> None:
    db.execute(SITE)
    for _ in range(20):  # more than channels on one connection
        with Client(vhost.pilot("p9"), vhost.ca_file) as dead, contextlib.suppress(Unavailable):
            dead.ask("match.request.v1", request() | {"pilot_id": "p9"}, within_s=0.2)
    job_id = submit(vhost)
    with Client(vhost.pilot_url, vhost.ca_file) as pilot:
        assert pilot.ask("match.request.v1", request())["job"]["job_id"] == job_id
    assert db.execute("SELECT pilot_id, attempt FROM job.jobs").fetchall() == [("p1", 1)]


def test_a_job_too_large_for_a_reply_is_refused_when_it_is_submitted(
    db: psycopg.Connection[Any], house: Runner, vhost: Vhost
) -> None:
    db.execute(SITE)
    with Client(vhost.client_url, vhost.ca_file) as user, pytest.raises(Refused, match="more than 32768"):
        description = {"Executable": "/bin/true", "Arguments": "é" * 8000}
        user.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": description})
    assert db.execute("SELECT count(*) FROM job.jobs").fetchone() == (0,)
