"""job.kill: a waiting job is killed at once, a running one by an order to its pilot, another's never."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from bus.apply import Words, apply
from bus.discover import Handler
from bus.event import Event
from handlers.job import commanding
from tests.fix_house import Story
from tests.handlers.people import communities, event, matched, report, state_of, submitted, waiting

HANDLER = "job.kill"


def kill(*job_ids: int, by: str = "ada", **selection: Any) -> Event:
    """The request."""
    return event("job.kill.v1", "_", ({"job_ids": list(job_ids)} if job_ids else {}) | selection, authid=by)


def counts(story: Story) -> dict[str, int]:
    """What the reply counts, without what it has none of."""
    (reply,) = [answer for answer in story.answers if answer.type.endswith(".reply")]
    return {name: count for name, count in reply.data["counts"].items() if count}


def facts(story: Story) -> list[tuple[str, Any]]:
    """What was said beside the reply: types, and jobs or ranges."""
    said = [answer for answer in story.answers if not answer.type.endswith(".reply")]
    return [(fact.type, fact.data.get("job_id") or fact.data["ranges"]) for fact in said]


def many(story: Story, count: int, state: str = "Waiting", **columns: Any) -> Story:
    """ada has so many jobs more, in this state, made in one statement."""
    named = {"job_group": "round16", "owner": "ada", "owner_group": "local_user", "vo": "local", **columns}
    story.sql("INSERT INTO job.submissions VALUES (%s, 'ada', '', 1, 1, now()) ON CONFLICT DO NOTHING", SUBMISSION)
    return story.sql(
        """INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, state, minor_status, priority,
                                 description, queue_id, pilot_id, submitted_at, changed_at)
        SELECT n, %s, c->>'owner', c->>'owner_group', c->>'vo', 'n', c->>'job_group', %s, 'm', 1, '{"Executable": "x"}',
               (c->>'queue_id')::bigint, c->>'pilot_id', now(), now()
        FROM generate_series((SELECT coalesce(max(job_id), 0) + 1 FROM job.jobs),
                             (SELECT coalesce(max(job_id), 0) + %s FROM job.jobs)) n, (SELECT %s::jsonb AS c) c""",
        SUBMISSION, state, count, json.dumps(named),
    )  # fmt: skip


SUBMISSION = "11111111-2222-4333-8444-555555555555"


def test_a_waiting_job_is_killed_and_no_pilot_gets_it(story: Story) -> None:
    waiting(story).when(kill(1), once=False)
    results = [{"job_id": 1, "outcome": "killed"}]
    story.then(("job.killed.v1", {"job_id": 1, "attempt": 1}), ("job.kill.v1.reply", {"results": results, "more": False}))
    assert state_of(story)[:2] == ("Killed", "Marked for termination")
    history = "SELECT number, state, minor_status, source FROM job.history WHERE job_id = 1 ORDER BY number DESC LIMIT 1"
    assert story.rows(history) == [(4, "Killed", "Marked for termination", "job.kill")]


def test_a_running_job_is_killed_by_its_pilot(story: Story) -> None:
    matched(story).given("job.report", report("Running"))
    story.when(kill(1), once=False).then(("job.kill_requested.v1", {"pilot_id": "p1"}), ("job.kill.v1.reply", {}))
    assert story.rows('SELECT pilot_id, "order", job_id, attempt FROM pilot.orders') == [("p1", "kill", 1, 1)]
    assert state_of(story)[0] == "Running"


def test_how_far_a_kill_has_come_is_told_to_whoever_asks_again(story: Story) -> None:
    matched(story).given("job.report", report("Running"))
    seen = [counts(story.when(kill(1), once=False)) for _ in range(2)]
    assert len(facts(story)) == 0
    ((number,),) = story.rows("SELECT number FROM pilot.orders")
    obeyed = {"pilot_id": "p1", "number": number, "outcome": "taken"}
    story.given("pilot.acknowledge", event("pilot.obeyed.v1", "p1", obeyed, authid="pilot-p1"))
    seen.append(counts(story.when(kill(1), once=False)))
    story.given("job.report", report("Killed", "Marked for termination"))
    seen.append(counts(story.when(kill(1), once=False)))
    assert seen == [{"requested": 1}, {"requested": 1}, {"acknowledged": 1}, {"already": 1}]
    assert story.rows("SELECT count(*) FROM pilot.orders") == [(1,)]


def test_an_order_that_its_pilot_refused_is_given_again(story: Story) -> None:
    matched(story).when(kill(1), once=False)
    story.sql("UPDATE pilot.orders SET outcome = 'refused'").when(kill(1), once=False)
    assert facts(story) == [("job.kill_requested.v1", 1)]
    assert story.rows("SELECT count(*) FROM pilot.orders") == [(2,)]


def test_anothers_job_and_an_unknown_one_are_the_same_refusal(story: Story) -> None:
    waiting(story).when(kill(1, 2, by="bob"), once=False)
    refused = [{"job_id": n, "outcome": "refused", "reason": "you have no such job"} for n in (1, 2)]
    told = [{"reason": "you have no such job", "count": 2, "first_job_id": 1}]
    story.then(("job.kill.v1.reply", {"results": refused, "refusals": told}))
    assert state_of(story)[0] == "Waiting"


def outcome(story: Story, by: str) -> str:
    """What this account is told of killing job 1."""
    story.when(kill(1, by=by), once=False)
    (result,) = story._answers[-1].data["results"]
    return str(result.get("reason", result["outcome"]))


def test_rights_end_at_the_community_and_seeing_is_not_killing(story: Story) -> None:
    communities(story, ada=["bes_user"], bob=["bes_shared"], eve=["juno_admin"], mona=["bes_watch"], max=["bes_admin"])
    waiting(story)
    assert [outcome(story, name) for name in ("bob", "eve")] == ["you have no such job"] * 2
    assert outcome(story, "mona") == "mona has not the right Kill over jobs of ada in group bes_user"
    assert state_of(story)[0] == "Waiting"
    assert outcome(story, "max") == "killed"
    fact = story._answers[0]
    assert (fact.type, fact.owner, fact.vo) == ("job.killed.v1", "ada", "bes")


def test_who_shares_the_group_kills_and_its_order_says_who_asked(story: Story) -> None:
    communities(story, ada=["bes_shared"], bob=["bes_shared"])
    waiting(story).sql("UPDATE job.jobs SET state = 'Running', pilot_id = 'p1'")
    story.when(kill(1, by="bob"), once=False)
    story.then(("job.kill_requested.v1", {"pilot_id": "p1", "requested_by": "bob"}), ("job.kill.v1.reply", {}))


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("Done", "a job that is Done cannot become Killed"),
        ("Failed", "a job that is Failed cannot become Killed"),
        ("Deleted", "a job that is Deleted cannot become Killed"),
        ("Submitting", "a job that is Submitting is not confirmed yet"),
    ],
)
def test_an_illegal_move_is_refused_with_its_reason(story: Story, state: str, reason: str) -> None:
    waiting(story).sql("UPDATE job.jobs SET state = %s", state).when(kill(1), once=False)
    refusals = [{"reason": reason, "count": 1, "first_job_id": 1}]
    story.then(("job.kill.v1.reply", {"refusals": refusals}))
    assert state_of(story)[0] == state


def test_a_group_is_killed_in_one_request_and_told_as_a_range(story: Story) -> None:
    many(many(story, 150), 5, "Running", pilot_id="p1")
    many(many(story, 3, "Done"), 7, job_group="round17")
    story.when(kill(job_group="round16"), once=False)
    orders = [("job.kill_requested.v1", job_id) for job_id in range(151, 156)]
    assert facts(story) == [("bulk.killed.v1", [[1, 150]]), *orders]
    assert counts(story) == {"killed": 150, "requested": 5}
    told = story.answers[0]
    assert (told.data["count"], told.data["requested_by"], told.owner, told.vo) == (150, "ada", "ada", "local")
    states = story.rows("SELECT state, count(*) FROM job.jobs GROUP BY 1 ORDER BY 1")
    assert states == [("Done", 3), ("Killed", 150), ("Running", 5), ("Waiting", 7)]
    assert story.rows("SELECT count(*) FROM job.history WHERE state = 'Killed' AND number = 2") == [(150,)]
    assert counts(story.when(kill(job_group="round16"), once=False)) == {"already": 150, "requested": 5}


def test_a_selection_without_names_of_others_is_ones_own(story: Story) -> None:
    communities(story, ada=["bes_user"], max=["bes_admin"])
    waiting(story, JobGroup="round16")
    assert counts(story.when(kill(job_group="round16", by="max"), once=False)) == {}
    assert counts(story.when(kill(job_group="round16", owner="ada", by="max"), once=False)) == {"killed": 1}


def test_ranges_filters_and_submissions_choose(story: Story) -> None:
    waiting(waiting(story, 4), 3, JobName="x")
    assert counts(story.when(kill(ranges=[[2, 3], [3, 4]]), once=False)) == {"killed": 3}
    ((submission,),) = story.rows("SELECT submission::text FROM job.jobs WHERE job_id = 5")
    assert counts(story.when(kill(submission=submission, states=["Waiting"]), once=False)) == {"killed": 3}
    assert counts(story.when(kill(ranges=[[1, 9]]), once=False)) == {"killed": 1, "already": 6, "refused": 2}
    assert story.answers[-1].data["refusals"] == [{"reason": "you have no such job", "count": 2, "first_job_id": 8}]


@pytest.mark.parametrize(
    ("asked", "says"),
    [({}, "name the jobs"), ({"ranges": [[5, 2]]}, "5-2 is no range"), ({"ranges": [[1, 2_000_000]]}, "more than 1000000")],
)
def test_what_names_no_jobs_is_refused_whole(story: Story, asked: dict[str, Any], says: str) -> None:
    waiting(story).when(kill(**asked), once=False)
    (refusal,) = story.answers
    assert (refusal.type, refusal.data["code"]) == ("request.refused.v1.reply", "invalid")
    assert says in refusal.data["reason"]
    assert state_of(story)[0] == "Waiting"


def test_pages_go_on_until_all_are_killed(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commanding, "PIECES", 2)
    many(story, 25_000)
    after, pages, killed = 0, 0, 0
    while True:
        story.when(kill(job_group="round16", after=after), once=False)
        reply = story.answers[-1].data
        after, pages, killed = reply["after"], pages + 1, killed + reply["counts"].get("killed", 0)
        if not reply["more"]:
            break
    assert (pages, killed) == (3, 25_000)
    assert story.rows("SELECT count(*) FROM job.jobs WHERE state <> 'Killed'") == [(0,)]


def test_a_request_ends_when_it_has_given_many_orders(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commanding, "MOST_ORDERS", 100)
    many(story, 6_000, "Running", pilot_id="p1")
    story.when(kill(ranges=[[1, 6_000]]), once=False)
    reply = story.answers[-1].data
    assert (reply["counts"]["requested"], reply["pending"], reply["after"], reply["more"]) == (5_000, [[1, 5_000]], 5_000, True)


def test_a_hundred_thousand_jobs_are_killed_by_one_request(story: Story) -> None:
    many(story, 100_001)
    story.when(kill(job_group="round16"), once=False)
    reply = story.answers[-1].data
    assert (reply["counts"]["killed"], reply["after"], reply["more"]) == (100_000, 100_000, True)
    assert facts(story) == [("bulk.killed.v1", [[1, 100_000]])]


@pytest.mark.parametrize("command", ["kill", "delete", "reschedule"])
def test_a_piece_takes_no_longer_while_the_planner_takes_the_table_for_empty(
    story: Story, found: dict[str, Handler], words: Words, test_dsn: str, command: str
) -> None:
    """It was looked at while a submission was just being stored. Held against each of the piece, every job costs minutes."""
    with psycopg.connect(test_dsn) as storing:
        many(Story(HANDLER, found, storing, words), 100_000, "Failed" if command == "reschedule" else "Waiting")
        story.sql("ANALYZE job.jobs")
    story.sql("SET statement_timeout = '10s'")
    story.given(f"job.{command}", event(f"job.{command}.v1", "_", {"ranges": [[1, 100_000]]}))
    assert story.rows("SELECT count(DISTINCT job_id) > 30000 FROM job.history") == [(True,)]


def test_two_kills_at_once_kill_each_job_once(story: Story, found: dict[str, Handler], words: Words, test_dsn: str) -> None:
    many(story, 4_000)

    def one(selection: dict[str, Any]) -> int:
        with psycopg.connect(test_dsn, autocommit=True) as own:
            applied, _ = apply(found[HANDLER], [kill(**selection)], own, words, once=False)
            return int(applied[0].answers[-1].data["counts"]["killed"])

    with ThreadPoolExecutor(2) as pool:
        killed = list(pool.map(one, ({"job_group": "round16"}, {"ranges": [[1, 4_000]]})))
    assert sum(killed) == 4_000
    assert story.rows("SELECT count(*), max(number) FROM job.history WHERE state = 'Killed'") == [(4_000, 2)]


def test_a_received_job_is_killed_and_its_check_changes_nothing(story: Story) -> None:
    submitted(story).when(kill(1), once=False)
    story.given("job.check", event("job.submitted.v1", 1, {"job_id": 1}))
    assert state_of(story)[0] == "Killed"
