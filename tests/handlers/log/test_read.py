"""log.read: the owner of a job reads its lines, a page at a time, and nobody else does; pilots' own words are for operators."""

from __future__ import annotations

from typing import Any

from bus.event import LARGEST_PAGE_BYTES
from handlers.log.chunks import merged, packed
from handlers.log.read import decide
from tests.fix_house import Story
from tests.handlers.people import communities, described, event, matched, submitted

HANDLER = "log.read"


def written(story: Story, stream: str, first: int, *texts: str) -> None:
    """The payload of job 1 wrote lines."""
    lines = [{"at": "2026-01-01T00:00:00Z", "text": text} for text in texts]
    data = {"pilot_id": "p1", "job_id": 1, "attempt": 1, "stream": stream, "first_number": first, "lines": lines}
    story.given("log.store", event("log.written.v1", 1, data, authid="pilot-p1"))


def running(story: Story) -> None:
    """Job 1 is ada's and runs on pilot p1."""
    submitted(story).sql("UPDATE job.jobs SET state = 'Running', pilot_id = 'p1'")


def asked(story: Story, authid: str = "ada", **more: Any) -> dict[str, Any]:
    """What the account is told of job 1."""
    story.when(event("log.read.v1", 1, {"job_id": 1, **more}, authid=authid), hands=(), once=False)
    found: dict[str, Any] = story._answers[0].data
    return found


def test_a_page_never_outgrows_a_reply() -> None:
    lines = [{"text": "x" * 2000} for _ in range(100)]
    shown, more = decide(lines, 100, unread=False)
    assert sum(len(line["text"]) for line in shown) <= LARGEST_PAGE_BYTES
    assert more


def test_only_what_follows_is_given(story: Story) -> None:
    matched(story)
    written(story, "std.out", 1, "one", "two", "three")
    written(story, "std.err", 1, "oops")
    found = asked(story, after={"1/std.out": 2})["lines"]
    assert {(line["stream"], line["text"]) for line in found} == {("std.out", "three"), ("std.err", "oops")}


def test_only_the_stream_and_the_attempt_that_are_wanted_are_given(story: Story) -> None:
    matched(story)
    written(story, "std.out", 1, "one")
    written(story, "std.err", 1, "oops")
    assert [line["text"] for line in asked(story, stream="std.err")["lines"]] == ["oops"]
    assert asked(story, attempt=2)["lines"] == []


def test_page_by_page_all_lines_come_once_and_in_the_order_of_time(story: Story) -> None:
    matched(story)
    wrote: list[tuple[str, list[str]]] = []
    for number in range(0, 900, 30):
        stream = "std.err" if number % 90 == 0 else "std.out"
        first = 1 + sum(len(lines) for name, lines in wrote if name == stream)
        lines = [f"{number + place:06d} {'x' * 50}" for place in range(30)]
        wrote.append((stream, lines))
        told = [{"at": f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}Z", "text": text} for text in lines]
        data = {"pilot_id": "p1", "job_id": 1, "attempt": 1, "stream": stream, "first_number": first, "lines": told}
        story.given("log.store", event("log.written.v1", 1, data, authid="pilot-p1"))
    found: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    pages = 0
    more = True
    while more:
        page = asked(story, after=seen, limit=100)
        assert len(page["lines"]) <= 100
        found += page["lines"]
        seen |= {f"1/{line['stream']}": line["number"] for line in page["lines"]}
        more, pages = page["more"], pages + 1
    assert [line["text"] for line in found] == [text for _, lines in wrote for text in lines]
    assert pages < 20


def test_attempts_come_one_after_another() -> None:
    rows = [chunk_row("std.out", 1, unread=False), chunk_row("std.err", 1, unread=False)]
    assert [line["stream"] for line in merged(rows)[0]] == ["std.err", "std.out"]


def test_a_stream_that_is_known_only_in_part_holds_the_others_back() -> None:
    early, late = chunk_row("std.err", 1, unread=True), chunk_row("std.out", 1, at="2026-01-01T00:00:09Z", unread=False)
    lines, unread = merged([early, late])
    assert [line["stream"] for line in lines] == ["std.err"]
    assert unread


def test_lines_of_overlapping_chunks_come_once_and_a_clock_that_went_back_turns_nothing_around() -> None:
    first, second = chunk_row("std.out", 1, 2, at="2026-01-01T00:00:09Z"), chunk_row("std.out", 2, 3, at="2026-01-01T00:00:01Z")
    assert [line["number"] for line in merged([first, second])[0]] == [1, 2, 3]


def chunk_row(stream: str, *numbers: int, at: str = "2026-01-01T00:00:00Z", unread: bool = False) -> dict[str, Any]:
    """A row as the statement gives it."""
    lines = packed([[number, at, "info", f"line {number}"] for number in numbers])
    return {"attempt": 1, "stream": stream, "seen": 0, "unread": unread, "lines": lines}


def test_plain_json_of_an_older_version_is_read(story: Story) -> None:
    submitted(story).sql(
        """INSERT INTO log.chunks VALUES ('1', 1, 'std.out', 1, now(), 1, 1, now(), now(),
        convert_to('[[1, "2026-01-01T00:00:00Z", "info", "old"]]', 'UTF8'))"""
    )
    assert [line["text"] for line in asked(story)["lines"]] == ["old"]


def test_what_a_pilot_says_of_itself_is_for_operators_and_site_managers(story: Story) -> None:
    described(
        story,
        ("vo", {"vo": "ops"}),
        *[
            ("group", {"group": f"ops_{word.lower()}", "vo": "ops", "properties": [word]})
            for word in ("Operator", "SiteManager", "NormalUser")
        ],
        ("user", {"account": "olga", "groups": ["ops_operator"]}),
        ("user", {"account": "sam", "groups": ["ops_sitemanager"]}),
        ("user", {"account": "nina", "groups": ["ops_normaluser"]}),
    )
    lines = [{"at": "2026-01-01T00:00:00Z", "text": text, "level": "warning"} for text in ("one", "two")]
    told = {"pilot_id": "p1", "stream": "pilot", "first_number": 1, "lines": lines}
    story.given("log.store", event("log.written.v1", "p1", told, authid="pilot-p1"))
    found = {}
    for name in ("root", "olga", "sam", "nina", "ada"):
        request = event("log.read_pilot.v1", "p1", {"pilot_id": "p1", "after": 1}, authid=name)
        story.when(request, hands=frozenset({"root"}), once=False)
        reply = story._answers[0].data
        found[name] = reply.get("code") or [(line["text"], line["level"]) for line in reply["lines"]]
    lines_told = [("two", "warning")]
    assert found == {"root": lines_told, "olga": lines_told, "sam": lines_told, "nina": "denied", "ada": "denied"}


def test_a_stranger_is_told_that_there_is_no_such_job(story: Story) -> None:
    submitted(story).when(event("log.read.v1", 1, {"job_id": 1}, authid="bob"), hands=(), once=False)
    story.then(("request.refused.v1.reply", {"code": "not_found"}))


def test_lines_are_read_by_right_and_never_from_another_community(story: Story) -> None:
    communities(story, ada=["bes_shared"], bob=["bes_shared"], mona=["bes_watch"], nina=["bes_user"], eve=["juno_admin"])
    running(story)
    written(story, "std.out", 1, "one")
    told = {}
    for name in ("ada", "bob", "mona", "nina", "eve"):
        story.when(event("log.read.v1", 1, {"job_id": 1}, authid=name), hands=(), once=False)
        told[name] = story._answers[0].data.get("code") or len(story._answers[0].data["lines"])
    assert told == {"ada": 1, "bob": 1, "mona": 1, "nina": "not_found", "eve": "not_found"}
