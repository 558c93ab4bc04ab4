"""What a matcher knows by heart: it gives what the database lets it give, forgets what did not happen, and says why not."""

from __future__ import annotations

import random
import threading
import uuid
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.apply import Words, memory_of, serve
from bus.discover import Handler
from handlers.match.memory import Memory
from handlers.match.parked import Parked
from handlers.match.waiting import Waiting
from schemas.rules.explain import why_pilot
from schemas.rules.shares import HOUSE, Policy, score
from tests.fix_house import Story
from tests.handlers.claims import differing
from tests.handlers.match.matcher import LIMIT, Matcher, wake
from tests.handlers.match.test_index import OWNERS, drawn
from tests.handlers.people import event, match_request, submitted, waiting
from tests.schemas.rules.test_matching import attributes, resources

HANDLER = "match.request"


def test_a_request_waits_until_it_is_told_of_a_job(story: Story, matcher: Matcher) -> None:
    assert matcher.asked(match_request("p1")) == {}
    waiting(story)
    assert matcher.asked() == {}, "nobody has said that there is one"
    assert matcher.asked(wakes=(wake(story, 1),)) == {"p1": 1}
    assert matcher.asked(wakes=(wake(story, 1),)) == {}


def test_the_smallest_pilot_that_will_do_is_woken_and_of_equal_ones_the_one_that_waits_longest(
    story: Story, matcher: Matcher
) -> None:
    submitted(story, 0)
    matcher.asked(match_request("p1", NumberOfProcessors=8), match_request("p2"), match_request("p3"))
    for pilot_id, job_id in (("p2", 1), ("p3", 2), ("p1", 3)):
        waiting(story)
        assert matcher.asked(wakes=(wake(story, job_id),)) == {pilot_id: job_id}


def test_a_job_of_a_queue_that_was_not_known_and_one_without_its_priority_are_found(story: Story, matcher: Matcher) -> None:
    assert matcher.asked(match_request("p1"), match_request("p2")) == {}
    waiting(story).sql("SELECT 1")
    waiting(story, CPUTime=400)
    old = wake(story, 2)
    told = {name: old.data[name] for name in ("job_id", "attempt", "queue_id")}
    assert matcher.asked(wakes=(event("job.waiting.v1", 2, told),)) == {"p1": 2}
    assert matcher.asked(wakes=(wake(story, 1),)) == {"p2": 1}


def test_what_was_not_committed_has_not_happened(story: Story, matcher: Matcher) -> None:
    waiting(story, 2)
    first, second = match_request("p1"), match_request("p2")
    story.sql("ALTER TABLE match.claims ADD CONSTRAINT never CHECK (pilot_id <> 'p2')")
    with pytest.raises(psycopg.errors.CheckViolation):
        matcher.asked(first, second)
    story.sql("ALTER TABLE match.claims DROP CONSTRAINT never")
    assert matcher.asked(second, first) == {"p2": 1, "p1": 2}
    assert matcher.memory.parked.asks == {}


def test_a_parked_request_whose_answer_was_not_committed_is_parked_as_before(story: Story, matcher: Matcher) -> None:
    matcher.asked(match_request("p1"))
    waiting(story)
    story.sql("ALTER TABLE match.claims ADD CONSTRAINT never CHECK (pilot_id <> 'p1')")
    with pytest.raises(psycopg.errors.CheckViolation):
        matcher.asked(wakes=(wake(story, 1),))
    story.sql("ALTER TABLE match.claims DROP CONSTRAINT never")
    assert matcher.asked() == {"p1": 1}


def test_a_job_that_somebody_else_took_is_replaced_by_the_next(story: Story, matcher: Matcher, found: Any, words: Words) -> None:
    waiting(story, 3)
    other = Matcher(story, found, words)
    assert other.asked() == {}, "it has read that three jobs wait"
    assert matcher.asked(match_request("p1"), match_request("p2")) == {"p1": 1, "p2": 2}
    assert other.asked(match_request("p3")) == {"p3": 3}


def test_a_pilot_that_is_not_there_any_more_gets_nothing(story: Story, matcher: Matcher) -> None:
    gone, there = match_request("p1"), match_request("p2")
    matcher.asked(gone, there)
    matcher.memory.is_there = lambda request_id: request_id != gone.id
    waiting(story)
    assert matcher.asked(wakes=(wake(story, 1),)) == {"p2": 1}
    assert matcher.memory.parked.asks == {}


def test_a_lost_wake_is_made_good_by_looking(story: Story, matcher: Matcher) -> None:
    waiting(story)
    matcher.asked(match_request("p1"))
    matcher.asked(match_request("p2"))
    waiting(story)
    for _ in range(2):
        matcher.memory.waiting.look_again()
        if given := matcher.asked():
            break
    assert given == {"p2": 2}


def test_queues_that_have_no_job_any_more_are_forgotten_and_found_again(
    story: Story, matcher: Matcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handlers.match.waiting.MOST_EMPTY", 3)
    for cpu_time_s in (100, 1000, 3000, 20_000, 40_000):
        waiting(story, CPUTime=cpu_time_s)
    assert sorted(matcher.asked(*(match_request(f"p{n}") for n in range(1, 5))).values()) == [1, 2, 3, 4]
    assert len(matcher.memory.waiting.index) == 5
    matcher.asked(match_request("p5", CPUTime=1000))
    matcher.memory.waiting.look_again()
    matcher.asked()
    assert len(matcher.memory.waiting.index) == 1
    waiting(story, CPUTime=1000)
    assert matcher.asked(match_request("p6"), wakes=(wake(story, 6),)) == {"p6": 5}
    waiting(story, CPUTime=100)
    assert matcher.asked(wakes=(wake(story, 7),)) == {"p5": 7}


def test_a_queue_that_lacks_what_a_matcher_asks_for_keeps_nobody_from_being_served(story: Story, matcher: Matcher) -> None:
    waiting(story, 2)
    story.sql("UPDATE job.jobs SET queue_id = 99 WHERE job_id = 1")
    story.sql(
        "INSERT INTO match.queues (queue_id, digest, requirements) OVERRIDING SYSTEM VALUE VALUES (99, 'x', '{\"VO\": \"bes\"}')"
    )
    assert matcher.asked(match_request("p1"), match_request("p2")) == {"p1": 2}


def test_usage_is_counted_with_the_claim(story: Story, matcher: Matcher) -> None:
    waiting(story, 2, NumberOfProcessors=2)
    matcher.asked(match_request("p1"), match_request("p2"))
    assert story.rows("SELECT owner_group, owner, processors FROM share.usage") == [("local_user", "ada", 4)]
    assert story.rows("SELECT sum(processors) FROM match.claims WHERE released_at IS NULL") == [(4,)]


def test_a_shadow_says_whom_it_would_have_served(story: Story, found: dict[str, Handler], words: Words) -> None:
    shadow = Policy("backwards", lambda processors, core_s, share: -score(processors, core_s, share))
    matcher = Matcher(story, found, words, Memory((HOUSE, shadow)))
    waiting(story)
    matcher.asked(match_request("p1"))
    (told,) = [said for said in matcher.said if said.type == "match.shadowed.v1"]
    assert told.data["policy"] == "backwards"
    assert told.data["chosen"] == told.data["shadow"] == {"owner_group": "local_user", "owner": "ada", "queue_id": 1}


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(OWNERS, attributes), max_size=8), resources)
def test_the_reasons_are_those_of_looking_at_each_queue(wanted: list[Any], offer: dict[str, Any]) -> None:
    known, queues = Waiting([score]), drawn(wanted)
    for number, need in enumerate(queues):
        slot = known.know(100 + number, need)
        known.heads.keep(slot, [(-1, number, "g")], 5)
    profile = Parked().profile(offer)
    ours = known.reasons(profile, 0)
    theirs = why_pilot(profile.resource, [{"queue_id": 100 + number, "requirements": need} for number, need in enumerate(queues)])
    assert {name: ours[name] for name in ("queues", "fits", "fails")} == {
        name: theirs[name] for name in ("queues", "fits", "fails")
    }
    if "nearest" in theirs:
        assert len(ours["nearest"]["fields"]) == len(theirs["nearest"]["fields"])


def test_matchers_side_by_side_never_give_a_job_twice_and_never_leave_one(
    story: Story, found: dict[str, Handler], words: Words, test_dsn: str
) -> None:
    jobs, matchers = 300, 3
    for cpu_time_s in (300, 4000, 30_000):
        waiting(story, jobs // 3, CPUTime=cpu_time_s)
    story.sql(f"{LIMIT} VALUES ('CLOUD.CNIC.cn', '', '*', '*', 280, 0, NULL, 1, 1, now())")
    given: list[int] = []
    failed: list[BaseException] = []

    def match(number: int) -> None:
        chance = random.Random(number)
        handler, memory = found[HANDLER], memory_of(found[HANDLER])
        try:
            with psycopg.connect(test_dsn, autocommit=True) as own:
                while chance.random() > 0.02 or len(given) < 280:
                    requests = [match_request(f"p{chance.randint(1, 9)}") for _ in range(chance.randint(1, 12))]
                    try:
                        with own.transaction(force_rollback=chance.random() < 0.2):
                            replies, _ = serve(handler, requests, (), own, words, memory)
                            if chance.random() < 0.1:
                                raise ZeroDivisionError
                    except ZeroDivisionError:
                        memory = memory_of(handler)  # it died, and another comes
                        continue
                    memory_jobs = [reply.data["job"]["job_id"] for reply in replies.values() if reply.data.get("job")]
                    found_here = own.execute("SELECT job_id FROM match.claims WHERE job_id = ANY(%s)", (memory_jobs,)).fetchall()
                    given.extend(job_id for (job_id,) in found_here)
                    if len(found_here) < len(memory_jobs):
                        memory = memory_of(handler)
        except BaseException as problem:
            failed.append(problem)

    threads = [threading.Thread(target=match, args=(number,)) for number in range(matchers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert failed == []
    assert sorted(given) == sorted(set(given))
    assert len(given) == 280
    assert differing(story._db) == []
    assert story.rows("SELECT count(*) FROM job.jobs WHERE state = 'Matched'") == [(280,)]
    assert story.rows("SELECT sum(processors) FROM share.usage") == story.rows("SELECT sum(processors) FROM match.claims")
    assert uuid.UUID(story.rows("SELECT request_id::text FROM match.claims LIMIT 1")[0][0])
