"""job.query: an owner sees own jobs, a page at a time, with their history if wanted."""

from __future__ import annotations

from tests.fix_house import Story
from tests.handlers.people import event, matched, submitted

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


def test_a_history_longer_than_a_reply_shows_its_end(story: Story) -> None:
    submitted(story).sql(
        """INSERT INTO job.history SELECT 1, n, now(), 'Running', 'step ' || n, repeat('\u00e9', 300), 1, 'x', NULL
        FROM generate_series(2, 400) n"""
    )
    story.when(event("job.query.v1", "_", {"job_ids": [1], "history": True}), once=False)
    (job,) = story._answers[0].data["jobs"]
    assert job["history"][-1]["minor_status"] == "step 400"
