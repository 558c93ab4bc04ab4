"""log.read: the owner of a job reads its lines, a page at a time, and nobody else does."""

from __future__ import annotations

from bus.event import LARGEST_PAGE_BYTES
from handlers.log.read import decide
from tests.fix_house import Story
from tests.handlers.people import communities, event, matched, submitted

HANDLER = "log.read"


def written(story: Story, stream: str, first: int, *texts: str) -> None:
    """The payload of job 1 wrote lines."""
    lines = [{"at": "2026-01-01T00:00:00Z", "text": text} for text in texts]
    data = {"pilot_id": "p1", "job_id": 1, "attempt": 1, "stream": stream, "first_number": first, "lines": lines}
    story.given("log.store", event("log.written.v1", 1, data, authid="pilot-p1"))


def running(story: Story) -> None:
    """Job 1 is ada's and runs on pilot p1."""
    submitted(story).sql("UPDATE job.jobs SET state = 'Running', pilot_id = 'p1'")


def test_a_page_never_outgrows_a_reply() -> None:
    rows = [{"text": "x" * 2000} for _ in range(100)]
    shown, more = decide(rows, 100)
    assert sum(len(row["text"]) for row in shown) <= LARGEST_PAGE_BYTES
    assert more


def test_only_what_follows_is_given(story: Story) -> None:
    matched(story)
    written(story, "std.out", 1, "one", "two", "three")
    written(story, "std.err", 1, "oops")
    story.when(event("log.read.v1", 1, {"job_id": 1, "after": {"1/std.out": 2}}), once=False)
    assert {(line["stream"], line["text"]) for line in story._answers[0].data["lines"]} == {
        ("std.out", "three"),
        ("std.err", "oops"),
    }


def test_a_stranger_is_told_that_there_is_no_such_job(story: Story) -> None:
    submitted(story).when(event("log.read.v1", 1, {"job_id": 1}, authid="bob"), once=False)
    story.then(("request.refused.v1.reply", {"code": "not_found"}))


def test_lines_are_read_by_right_and_never_from_another_community(story: Story) -> None:
    communities(story, ada=["bes_shared"], bob=["bes_shared"], mona=["bes_watch"], nina=["bes_user"], eve=["juno_admin"])
    running(story)
    written(story, "std.out", 1, "one")
    told = {}
    for name in ("ada", "bob", "mona", "nina", "eve"):
        story.when(event("log.read.v1", 1, {"job_id": 1}, authid=name), once=False)
        told[name] = story._answers[0].data.get("code") or len(story._answers[0].data["lines"])
    assert told == {"ada": 1, "bob": 1, "mona": 1, "nina": "not_found", "eve": "not_found"}
