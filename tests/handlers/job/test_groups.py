"""job.groups: exact counts of jobs by group and state, whatever changed them, for whoever may see them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from tests.fix_house import Story
from tests.handlers.job.test_kill import many
from tests.handlers.people import GROUPS, communities, described, event, matched, report, submitted, waiting

HANDLER = "job.groups"


def groups(story: Story, by: str = "ada", **asked: Any) -> list[dict[str, Any]]:
    """What this account is told."""
    story.when(event("job.groups.v1", "_", asked, authid=by), once=False)
    reply = story.answers[0].data
    assert not reply["more"]
    return list(reply["groups"])


def counts(story: Story, **asked: Any) -> dict[str, dict[str, int]]:
    """The counts of ada's groups by name."""
    return {group["job_group"]: group["counts"] for group in groups(story, **asked)}


def test_counts_follow_every_move(story: Story) -> None:
    waiting(story, 3, JobGroup="round16")
    assert counts(story) == {"round16": {"Waiting": 3}}
    matched(story).given("job.report", report("Running"))
    assert counts(story) == {"NoGroup": {"Waiting": 1}, "round16": {"Running": 1, "Waiting": 2}}
    story.given("job.kill", event("job.kill.v1", "_", {"job_group": "round16"}))
    assert counts(story, job_group="round16") == {"round16": {"Killed": 2, "Running": 1}}
    story.sql("DELETE FROM job.jobs WHERE job_id = 2")
    assert counts(story, job_group="round16") == {"round16": {"Killed": 1, "Running": 1}}


def test_counts_are_the_same_folded_or_not(story: Story) -> None:
    many(many(story, 500), 20, "Done").sql("UPDATE job.jobs SET state = 'Killed' WHERE job_id <= 100")
    before = groups(story)
    assert before[0]["jobs"] == 520
    story.sql("SELECT job.fold_groups()")
    assert groups(story) == before
    assert story.rows("SELECT count(*) FROM job.group_deltas") == [(0,)]
    story.sql("DELETE FROM job.jobs").sql("SELECT job.fold_groups()")
    assert groups(story) == []
    assert story.rows("SELECT count(*) FROM job.group_counts") == [(0,)]


def test_counts_are_exact_when_many_write_and_fold_at_once(story: Story, test_dsn: str) -> None:
    many(story, 400)

    def work(number: int) -> None:
        with psycopg.connect(test_dsn, autocommit=True) as own:
            for job_id in range(number, 400, 4):
                own.execute("UPDATE job.jobs SET state = 'Killed' WHERE job_id = %s", (job_id + 1,))
                if job_id % 40 == number:
                    own.execute("SELECT job.fold_groups()")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert counts(story) == {"round16": {"Killed": 400}}


def test_a_statement_that_changes_no_state_notes_nothing(story: Story) -> None:
    many(story, 5).sql("SELECT job.fold_groups()").sql("UPDATE job.jobs SET priority = 2")
    assert story.rows("SELECT count(*) FROM job.group_deltas") == [(0,)]


def test_others_groups_are_shown_to_who_asks_and_may(story: Story) -> None:
    communities(story, ada=["bes_shared"], bob=["bes_shared"], mona=["bes_watch"], eve=["juno_admin"])
    submitted(story, 2, JobGroup="round16")
    told = {"job_group": "round16", "owner": "ada", "owner_group": "bes_shared", "vo": "bes", "jobs": 2}
    told |= {"counts": {"Received": 2}}
    assert groups(story, "bob") == []
    assert [groups(story, name, everybody=True) for name in ("ada", "bob", "mona", "eve")] == [[told], [told], [told], []]
    assert groups(story, "mona", owner_group="bes_shared") == [told]


def test_a_group_that_moves_to_another_community_does_not_take_its_counts_there(story: Story) -> None:
    communities(story, ada=["bes_shared"], bob=["bes_shared"])
    submitted(story, 2, JobGroup="round16")
    assert len(groups(story, "bob", everybody=True)) == 1
    described(story, ("group", {"group": "bes_shared", "vo": "juno", "properties": GROUPS["shared"]}), at="2026-11-21T00:00:00Z")
    assert groups(story, "bob", everybody=True) == []


def test_pages_follow_each_other(story: Story) -> None:
    for number in range(150):
        many(story, 1, job_group=f"g{number:03}")
    story.when(event("job.groups.v1", "_", {}), once=False)
    first = story.answers[0].data
    last = first["groups"][-1]
    after = [last[name] for name in ("vo", "owner_group", "owner", "job_group")]
    story.when(event("job.groups.v1", "_", {"after": after}), once=False)
    second = story.answers[0].data
    assert [first["more"], second["more"]] == [True, False]
    names = [group["job_group"] for group in first["groups"] + second["groups"]]
    assert names == [f"g{number:03}" for number in range(150)]
