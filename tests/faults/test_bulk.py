"""Two steps, and whoever is killed between: afterwards all jobs wait, once, or there is none; the same key always gets there."""

from __future__ import annotations

import contextlib
import signal
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from bus.client import Client
from bus.errors import Refused, Unavailable, Unroutable
from bus.failpoints import (
    AFTER_COMMIT_BEFORE_ACK,
    AFTER_COMMIT_BEFORE_REPLY,
    AFTER_PUBLISH_BEFORE_MARK_SENT,
    BEFORE_COMMIT,
)
from tests.bus.test_life_of_an_event import until
from tests.fix_broker import Vhost
from tests.fix_house import Spawn

JOBS = 300
SWEEP = {"Executable": "/bin/echo", "Arguments": "%s", "JobName": "echo_%n", "Parameters": JOBS, "ParameterStep": 1}
POINTS = (BEFORE_COMMIT, AFTER_COMMIT_BEFORE_REPLY, AFTER_COMMIT_BEFORE_ACK)
STEPS = ("bulk.submit", "bulk.confirm", "bulk.check", "bulk.schedule")
WITHIN_S = 4.0
ONLY = {"PILOTBUS_HANDLERS": "bulk", "PILOTBUS_DEVELOPMENT": "yes"}


def ask(client: Client, kind: str, data: dict[str, Any]) -> Any:
    """The reply, asked for again by the same key for as long as nobody answers."""
    for _ in range(20):
        with contextlib.suppress(Unavailable, Unroutable):
            return client.ask(kind, data, within_s=WITHIN_S)
    raise AssertionError(f"nobody answers {kind}")


def exchange(client: Client, key: str) -> dict[str, Any]:
    """Both steps, with the same key whatever is lost."""
    stored = ask(client, "bulk.submit.v1", {"submission": key, "description": SWEEP})
    assert stored["count"] == JOBS
    told = {name: stored[name] for name in ("submission", "first_job_id", "count")}
    return dict(ask(client, "bulk.confirm.v1", told))


@contextlib.contextmanager
def replaced(spawn: Spawn, failpoint: str, handler: str) -> Iterator[None]:
    """The services die at this point and start anew, and have done so when the block ends."""
    first = spawn(PILOTBUS_FAILPOINT=failpoint, PILOTBUS_FAILPOINT_HANDLER=handler, **ONLY)
    ended: list[int] = []

    def replace() -> None:
        ended.append(first.wait(timeout=120))
        spawn(**ONLY)

    watcher = threading.Thread(target=replace)
    watcher.start()
    yield
    watcher.join(timeout=150)
    assert ended == [-signal.SIGKILL]


def faults(db: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """What is not as it should be when every job waits, once, and all that was to be said has been, once."""
    looked = """SELECT 'jobs', count(*), count(DISTINCT place), max(job_id) - min(job_id) + 1
            FROM job.jobs WHERE state = 'Waiting'
        UNION ALL SELECT 'others', count(*), 0, 0 FROM job.jobs WHERE state <> 'Waiting'
        UNION ALL SELECT 'steps', count(*), count(DISTINCT (job_id, number)), max(number)
            FROM job.steps((SELECT array_agg(job_id) FROM job.jobs))
        UNION ALL SELECT 'confirmed', count(*), 0, 0 FROM bus.events WHERE type = 'bulk.confirmed.v1'
        UNION ALL SELECT 'wait', sum((queue->>'count')::int), 0, 0
            FROM bus.events, json_array_elements((body->'data'->'queues')::json) queue WHERE type = 'bulk.waiting.v1'
        UNION ALL SELECT 'timers', count(*), 0, 0 FROM bus.timers"""
    wanted = {
        ("jobs", JOBS, JOBS, JOBS),
        ("others", 0, 0, 0),
        ("steps", 4 * JOBS, 4 * JOBS, 4),
        ("confirmed", 1, 0, 0),
        ("wait", JOBS, 0, 0),
        ("timers", 0, 0, 0),
    }
    return sorted(set(db.execute(looked).fetchall()) - wanted)


def all_wait(db: psycopg.Connection[Any]) -> None:
    """Every job waits in the end, once."""
    until(lambda: db.execute("SELECT count(*) FROM job.jobs WHERE state = 'Waiting'").fetchone() == (JOBS,), 60)
    until(lambda: db.execute("SELECT count(*) FROM bus.unsent").fetchone() == (0,), 60)
    assert faults(db) == []


@pytest.fixture
def client(vhost: Vhost) -> Iterator[Client]:
    """Somebody's program."""
    with Client(vhost.client_url, vhost.ca_file) as made:
        yield made


@pytest.mark.timeout(300)
@pytest.mark.parametrize("handler", STEPS)
@pytest.mark.parametrize("failpoint", POINTS)
def test_services_that_die_at_any_step_leave_all_jobs_waiting_once(
    db: psycopg.Connection[Any], client: Client, spawn: Spawn, failpoint: str, handler: str
) -> None:
    with replaced(spawn, failpoint, handler):
        answer = exchange(client, str(uuid.uuid4()))
    assert answer["state"] == "Received"
    all_wait(db)


@pytest.mark.timeout(300)
def test_events_that_were_sent_and_not_marked_so_are_sent_again_and_applied_once(
    db: psycopg.Connection[Any], client: Client, spawn: Spawn
) -> None:
    with replaced(spawn, AFTER_PUBLISH_BEFORE_MARK_SENT, ""):
        exchange(client, str(uuid.uuid4()))
    all_wait(db)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("failpoint", [BEFORE_COMMIT, AFTER_COMMIT_BEFORE_ACK])
def test_services_that_die_while_they_remove_what_expired_leave_none_and_the_key_gets_the_same_ids(
    db: psycopg.Connection[Any], client: Client, spawn: Spawn, failpoint: str
) -> None:
    key = str(uuid.uuid4())
    with replaced(spawn, failpoint, "bulk.expire"):
        stored = ask(client, "bulk.submit.v1", {"submission": key, "description": SWEEP, "expires_s": 1})
    until(lambda: db.execute("SELECT state FROM job.submissions").fetchone() == ("Removed",), 60)
    assert db.execute("SELECT (SELECT count(*) FROM job.jobs), (SELECT count(*) FROM job.history_ranges)").fetchone() == (0, 0)
    assert db.execute("SELECT count(*) FROM bus.events WHERE type = 'bulk.removed.v1'").fetchone() == (1,)
    with pytest.raises(Refused, match="is removed"):
        ask(client, "bulk.confirm.v1", {name: stored[name] for name in ("submission", "first_job_id", "count")})
    assert exchange(client, key)["first_job_id"] == stored["first_job_id"]
    all_wait(db)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("comes_back", [True, False], ids=["that comes back", "for ever"])
@pytest.mark.parametrize("heard", [True, False], ids=["after the reply", "before the reply"])
def test_a_client_that_dies_after_the_first_step_leaves_all_or_none(
    db: psycopg.Connection[Any], vhost: Vhost, spawn: Spawn, heard: bool, comes_back: bool
) -> None:
    spawn(**ONLY)
    key = str(uuid.uuid4())
    asked = {"submission": key, "description": SWEEP} | ({} if comes_back else {"expires_s": 2})
    with Client(vhost.client_url, vhost.ca_file) as dying, contextlib.suppress(Unavailable):
        dying.ask("bulk.submit.v1", asked, within_s=30.0 if heard else 0.0)
    if comes_back:
        with Client(vhost.client_url, vhost.ca_file) as client:
            exchange(client, key)
        all_wait(db)
        return
    until(lambda: db.execute("SELECT state FROM job.submissions").fetchone() == ("Removed",), 60)
    assert db.execute("SELECT count(*) FROM job.jobs").fetchone() == (0,)


@pytest.mark.timeout(300)
def test_a_client_that_dies_after_the_second_step_has_its_jobs(db: psycopg.Connection[Any], vhost: Vhost, spawn: Spawn) -> None:
    spawn(**ONLY)
    with Client(vhost.client_url, vhost.ca_file) as dying:
        stored = ask(dying, "bulk.submit.v1", {"submission": str(uuid.uuid4()), "description": SWEEP})
        with contextlib.suppress(Unavailable):
            told = {name: stored[name] for name in ("submission", "first_job_id", "count")}
            dying.ask("bulk.confirm.v1", told, within_s=0.0)
    all_wait(db)
