"""job.kill: a waiting job is killed at once, a running one by an order to its pilot, another's never."""

from __future__ import annotations

from tests.fix_house import Story
from tests.handlers.people import communities, event, matched, report, state_of, waiting

HANDLER = "job.kill"


def kill(*job_ids: int, by: str = "ada"):  # type: ignore[no-untyped-def]
    """The request."""
    return event("job.kill.v1", "_", {"job_ids": list(job_ids)}, authid=by)


def test_a_waiting_job_is_killed_and_no_pilot_gets_it(story: Story) -> None:
    waiting(story).when(kill(1), once=False)
    story.then(("job.killed.v1", {"job_id": 1}), ("job.kill.v1.reply", {"results": [{"job_id": 1, "outcome": "killed"}]}))
    assert state_of(story)[0] == "Killed"


def test_a_running_job_is_killed_by_its_pilot(story: Story) -> None:
    matched(story).given("job.report", report("Running"))
    story.when(kill(1), once=False).then(("job.kill_requested.v1", {"pilot_id": "p1"}), ("job.kill.v1.reply", {}))
    assert story.rows('SELECT pilot_id, "order", job_id, attempt FROM pilot.orders') == [("p1", "kill", 1, 1)]
    assert state_of(story)[0] == "Running"


def test_asking_twice_orders_once(story: Story) -> None:
    matched(story).when(kill(1), once=False)
    story.when(kill(1), once=False)
    assert story.rows("SELECT count(*) FROM pilot.orders") == [(1,)]


def test_anothers_job_and_an_unknown_one_are_the_same_refusal(story: Story) -> None:
    waiting(story).when(kill(1, 2, by="bob"), once=False)
    refused = [{"job_id": n, "outcome": "refused", "reason": "you have no such job"} for n in (1, 2)]
    story.then(("job.kill.v1.reply", {"results": refused}))
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
