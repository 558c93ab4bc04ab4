"""job.query: an owner sees own jobs, a page at a time, with their history if wanted."""

from __future__ import annotations

from tests.fix_house import Story
from tests.handlers.bulks import waiting as bulk_waiting
from tests.handlers.people import communities, described, event, match_request, matched, report, submitted

HANDLER = "job.query"


def test_others_jobs_are_not_shown(story: Story) -> None:
    submitted(story).when(event("job.query.v1", "_", {"job_ids": [1]}, authid="bob"), once=False)
    story.then(("job.query.v1.reply", {"jobs": [], "more": False}))


def test_pages_follow_each_other(story: Story) -> None:
    submitted(story, 5)
    seen = []
    for after in (0, 2, 4):
        story.when(event("job.query.v1", "_", {"after": after, "limit": 2}), once=False)
        reply = story._answers[0].data
        seen.append(([job["job_id"] for job in reply["jobs"]], reply["more"]))
    assert seen == [([1, 2], True), ([3, 4], True), ([5], False)]


def test_history_tells_every_step(story: Story) -> None:
    matched(story).when(event("job.query.v1", "_", {"job_ids": [1], "history": True}), once=False)
    (job,) = story._answers[0].data["jobs"]
    assert [step["state"] for step in job["history"]] == ["Received", "Checking", "Waiting", "Matched"]
    assert job["site"] == "CLOUD.CNIC.cn"


def test_history_tells_of_steps_that_many_jobs_took_at_once(story: Story) -> None:
    bulk_waiting(story).given("match.request", match_request())
    story.when(event("job.query.v1", "_", {"job_ids": [1, 2], "history": True}), once=False)
    first, second = (job["history"] for job in story.answers[0].data["jobs"])
    steps = ["Submitting", "Received", "Checking", "Waiting"]
    assert [step["state"] for step in first] == [*steps, "Matched"]
    assert [step["state"] for step in second] == steps
    assert [step["source"] for step in second] == ["bulk.submit", "bulk.confirm", "bulk.check", "bulk.schedule"]


def test_a_history_longer_than_a_reply_shows_its_end(story: Story) -> None:
    submitted(story).sql(
        """INSERT INTO job.history SELECT 1, n, now(), 'Running', 'step ' || n, repeat('\u00e9', 300), 1, 'x', NULL
        FROM generate_series(2, 400) n"""
    )
    story.when(event("job.query.v1", "_", {"job_ids": [1], "history": True}), once=False)
    (job,) = story._answers[0].data["jobs"]
    assert job["history"][-1]["minor_status"] == "step 400"


def seen(story: Story, by: str, **asked: object) -> list[int]:
    """The ids that this account is shown."""
    story.when(event("job.query.v1", "_", asked, authid=by), once=False)
    return [job["job_id"] for job in story._answers[0].data["jobs"]]


def shared(story: Story) -> Story:
    """ada has job 1 in bes_shared and job 2 in bes_user; bob and the others are in one group each."""
    communities(
        story,
        ada=["bes_shared", "bes_user"],
        bob=["bes_shared"],
        eve=["juno_admin", "juno_shared"],
        max=["bes_admin"],
        mona=["bes_watch"],
        nina=["bes_user"],
        zoe=["bes_nothing"],
    )
    return submitted(submitted(story), owner_group="bes_user")


def test_who_sees_what_follows_from_properties_and_never_leaves_the_community(story: Story) -> None:
    shared(story)
    everything = {"ada": [1, 2], "bob": [1], "eve": [], "max": [1, 2], "mona": [1, 2], "nina": [], "zoe": []}
    assert {name: seen(story, name, job_ids=[1, 2]) for name in everything} == everything
    assert {name: seen(story, name, owner="ada") for name in everything} == everything
    assert {name: seen(story, name, owner="ada", newest=True) for name in everything} == {
        name: ids[::-1] for name, ids in everything.items()
    }


def test_a_digest_is_told_to_who_may_have_the_sandbox_alone(story: Story) -> None:
    shared(story).sql("UPDATE job.jobs SET output_digest = %s, output_bytes = 3", "ab" * 32)
    told = {}
    for name in ("ada", "bob", "max", "mona"):
        story.when(event("job.query.v1", "_", {"job_ids": [1]}, authid=name), once=False)
        told[name] = "output" in story.answers[0].data["jobs"][0]
    assert told == {"ada": True, "bob": True, "max": True, "mona": False}, "whoever knows a digest may name it as an input"


def test_a_deleted_job_is_shown_to_who_names_it_or_its_state_alone(story: Story) -> None:
    submitted(story, 2).sql("UPDATE job.jobs SET state = 'Deleted' WHERE job_id = 1")
    assert [seen(story, "ada"), seen(story, "ada", states=["Deleted"]), seen(story, "ada", job_ids=[1])] == [[2], [1], [1]]


def test_others_jobs_are_shown_only_to_who_asks_for_them(story: Story) -> None:
    shared(story)
    assert [seen(story, "max"), seen(story, "max", newest=True), seen(story, "ada")] == [[], [], [1, 2]]
    assert [seen(story, "max", owner_group="bes_user"), seen(story, "max", owner="nina")] == [[2], []]


def test_a_job_tells_its_group_and_community(story: Story) -> None:
    shared(story).when(event("job.query.v1", "_", {"job_ids": [2]}), once=False)
    (job,) = story._answers[0].data["jobs"]
    assert (job["owner_group"], job["vo"]) == ("bes_user", "bes")


def test_what_a_group_gave_ends_when_it_is_described_away(story: Story) -> None:
    shared(story)
    for name in ("bes_shared", "bes_user"):
        described(story, ("group", {"group": name, "vo": "bes", "properties": []}), at="2026-11-21T00:00:00Z")
    assert [seen(story, name, job_ids=[1, 2]) for name in ("ada", "bob")] == [[1, 2], []]


def test_a_group_that_moves_to_another_community_does_not_take_its_jobs_there(story: Story) -> None:
    shared(story)
    moved = {"group": "bes_shared", "vo": "juno", "properties": ["NormalUser", "JobSharing"]}
    described(story, ("group", moved), at="2026-11-21T00:00:00Z")
    assert [seen(story, name, job_ids=[1, 2]) for name in ("bob", "eve", "max")] == [[], [], [1, 2]]


def test_a_person_without_groups_is_shown_nothing_not_even_own_jobs(story: Story) -> None:
    shared(story)
    described(story, ("user", {"account": "ada", "groups": []}), at="2026-11-21T00:00:00Z")
    assert [seen(story, "ada"), seen(story, "ada", newest=True), seen(story, "ada", job_ids=[1])] == [[], [], []]


def test_a_job_shows_how_it_was_kept_apart_once_it_has_started(story: Story) -> None:
    matched(story).when(event("job.query.v1", "_", {"job_ids": [1]}), once=False)
    assert "isolation" not in story._answers[0].data["jobs"][0]
    story.given("job.report", report("Running", isolation="bubblewrap"))
    story.when(event("job.query.v1", "_", {"job_ids": [1]}), once=False)
    assert story._answers[0].data["jobs"][0]["isolation"] == "bubblewrap"
