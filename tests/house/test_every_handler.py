"""Three things hold for every handler of the house, and of every extension, with bodies drawn from the schemas."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.apply import Words, answer, apply, serve
from bus.discover import Handler, handlers
from bus.event import Event
from tests.handlers.grid import ADA, Grid, kept
from tests.schemas.draw import body

WORDS = Words()
FOUND = list(handlers(known=WORDS.known))
ROOMS = ("bus", "file", "job", "log", "match", "pilot", "proxy", "registry", "security", "share", "site", "trust")
MOVING = {"bus.inbox", "bus.events", "bus.unsent", "bus.events_default", "registry.edition"}
# what is the very purpose of a handler to move on with the clock
ITS_OWN_CLOCK = {
    "file.grant": {"file.sandboxes"},
    "pilot.beat": {"bus.timers", "pilot.beats", "job.usage"},
    "match.request": {f"match.{name}{part}" for name in ("empties", "offers", "reasons") for part in ("", "_default")},
}
JOBS_AND_SITES = """
INSERT INTO site.sites VALUES ('CLOUD.CNIC.cn', '', 'active', NULL, NULL, NULL, '{}', '2026-01-01T00:00:00Z');
INSERT INTO job.submissions (submission, owner, owner_group, vo, digest, first_job_id, count, submitted_at)
VALUES ('7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', 'ada', 'local_user', 'local', '', 1, 5, '2026-01-01T00:00:00Z');
SELECT setval('job.ids', 5);
INSERT INTO match.queues (digest, requirements) VALUES ('d', '{"Owner": "ada"}');
INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, state, minor_status, priority, description,
                      queue_id, pilot_id, attempt, submitted_at, changed_at)
SELECT n, '7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', 'ada', 'local_user', 'local', 'n', 'g',
       (ARRAY['Received', 'Checking', 'Matched', 'Running', 'Done'])[n], 'm', 1,
       '{"Executable": "/bin/true", "CPUTime": 300, "Priority": 1, "JobType": "User", "InputSandbox": []}',
       NULL, 'p1', 1, '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z'
FROM generate_series(1, 5) n;
"""
HANDS: dict[str, Any] = {}
NEW_EACH_TIME = ("job.submit", "pilot.invite")  # their key is in the body, or there is none


def drawn(handler: Handler, data: Any) -> Event:
    """Any event that the handler takes, from an account that may have jobs."""
    kind = data.draw(st.sampled_from(handler.consumes))
    value = data.draw(body(WORDS.known[kind]))
    return Event(kind, "/ada/test", "1", value, authid=data.draw(st.sampled_from(["ada", "bob", "pilot-p1"])))


def run(handler: Handler, event: Event, db: psycopg.Connection[Any], *, once: bool = True) -> list[Event]:
    """What came of the event, whatever the handler's verb."""
    if handler.verb in ("answer", "serve"):
        wakes = tuple(Event(kind, "/x/y", "1", WORDS.known[kind]["examples"][0]) for kind in handler.wakes)
        ask = serve if handler.verb == "serve" else answer
        replies, stored = ask(handler, [event], (), db, WORDS)
        ask(handler, [event], wakes, db, WORDS)
        return [*replies.values(), *(item.event for item in stored)]
    function = None
    if handler.verb == "act":
        from bus.postgres import Direct

        found = list(handler.function(event, Direct(db, handler.sql), HANDS.get(handler.name)))
        function = lambda _event, _db: found  # noqa: E731
    applied, _ = apply(handler, [event], db, WORDS, once=once, function=function, hands=HANDS.get(handler.name))
    return [event for outcome in applied for event in outcome.answers]


def dump(db: psycopg.Connection[Any], *, without: set[str]) -> list[Any]:
    """Every row of every table."""
    tables = db.execute(
        "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname = ANY(%s) ORDER BY 1", (list(ROOMS),)
    ).fetchall()
    return [(t, sorted(map(repr, db.execute(f"SELECT * FROM {t}").fetchall()))) for (t,) in tables if t not in without]


@pytest.fixture
def peopled(db: psycopg.Connection[Any], hands: dict[str, Any], grid: Grid) -> psycopg.Connection[Any]:
    """A database with a site, five jobs in different states, and a proxy of their owner."""
    db.execute(JOBS_AND_SITES)
    HANDS.update(hands | dict.fromkeys(("log.read", "match.why"), ("bob",)))
    kept(db, hands["proxy.deposit"], grid.person(ADA).proxy())
    return db


COMMON = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("handler", FOUND, ids=lambda handler: handler.name)
@COMMON
@given(data=st.data())
def test_any_valid_event_is_handled_and_emits_only_what_is_listed(
    handler: Handler, peopled: psycopg.Connection[Any], data: Any
) -> None:
    with peopled.transaction(force_rollback=True):
        for event in run(handler, drawn(handler, data), peopled):
            assert event.type in handler.emits or event.type.endswith(".reply")


@pytest.mark.parametrize("handler", [h for h in FOUND if h.verb in {"handle", "handle_all"}], ids=lambda handler: handler.name)
@COMMON
@given(data=st.data())
def test_the_same_event_twice_changes_nothing_the_second_time(
    handler: Handler, peopled: psycopg.Connection[Any], data: Any
) -> None:
    with peopled.transaction(force_rollback=True):
        event = drawn(handler, data)
        run(handler, event, peopled)
        once = dump(peopled, without=set())
        assert run(handler, event, peopled) == []
        assert dump(peopled, without=set()) == once


@pytest.mark.parametrize("handler", [h for h in FOUND if h.name not in NEW_EACH_TIME], ids=lambda handler: handler.name)
@COMMON
@given(data=st.data())
def test_the_same_body_under_a_new_id_leaves_the_same_rows(handler: Handler, peopled: psycopg.Connection[Any], data: Any) -> None:
    with peopled.transaction(force_rollback=True):
        event = drawn(handler, data)
        again = Event(event.type, event.source, event.subject, event.data, time=event.time, authid=event.authid)
        run(handler, event, peopled)
        moving = MOVING | ITS_OWN_CLOCK.get(handler.name, set())
        once = dump(peopled, without=moving)
        run(handler, again, peopled)
        assert dump(peopled, without=moving) == once
