"""match.release: what a claim counted is free again when its attempt is over, once; and counters are never wrong."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest

from bus.apply import Words, apply
from bus.discover import Handler
from bus.event import Event
from handlers.match.release import decide
from tests.fix_house import Story
from tests.handlers.claims import claim, differing, job
from tests.handlers.people import event

HANDLER = "match.release"
ENDS = ("job.done.v1", "job.failed.v1", "job.killed.v1")
LIMIT = "INSERT INTO match.limits (site, ce, attribute, value, most, running, delay_s, burst, tokens, at)"


def over(job_id: int, kind: str = "job.done.v1", attempt: int = 1) -> Event:
    """A job's attempt is over; of a job that is rescheduled, the new attempt is named."""
    return event(kind, job_id, {"job_id": job_id, "attempt": attempt, "minor_status": "Execution Complete"})


def limited(story: Story, most: int | None = 1, *, site: str = "A.ch", ce: str = "", by: str = "*", value: str = "*") -> Story:
    """So many may run there."""
    return story.sql(f"{LIMIT} VALUES (%s, %s, %s, %s, %s, 0, NULL, 1, 1, now())", site, ce, by, value, most)


def running(story: Story) -> list[int]:
    """The counter of each limit."""
    return [count for (count,) in story.rows("SELECT running FROM match.limits ORDER BY limit_id")]


def used(story: Story) -> list[tuple[Any, ...]]:
    """The processors of each user."""
    return story.rows("SELECT owner_group, owner, processors FROM share.usage ORDER BY 1, 2")


@pytest.mark.parametrize("kind", ENDS)
def test_an_end_frees_what_the_claim_counted_once_however_often_it_is_told(story: Story, kind: str) -> None:
    limited(story, 2).sql('SELECT share.use(\'[{"owner_group": "bes_user", "owner": "ada", "processors": 8}]\')')
    assert claim(story._db, [(1, "A.ch", "", job()), (2, "A.ch", "", job())], processors=4) == [1, 2]
    story.when(over(1, kind)).then(("match.released.v1", {"site": "A.ch", "ce": None}))
    assert (running(story), used(story)) == ([1], [("bes_user", "ada", 4)])
    story.when(over(1, kind)).then()
    story.when(over(1, "job.killed.v1"), over(1, "job.failed.v1")).then()
    assert (running(story), used(story)) == ([1], [("bes_user", "ada", 4)])
    assert story.rows("SELECT job_id FROM match.claims WHERE released_at IS NULL") == [(2,)]


def test_a_job_that_never_was_matched_frees_nothing(story: Story) -> None:
    limited(story)
    claim(story._db, [(1, "A.ch", "", job())])
    story.when(over(2, "job.killed.v1"), over(3, "job.failed.v1")).then()
    assert (running(story), used(story)) == ([1], [])


def test_a_reschedule_ends_the_attempts_before_and_not_the_new_one(story: Story) -> None:
    assert (decide("job.rescheduled.v1", 3), decide("job.failed.v1", 3)) == (2, 3)
    limited(story, 5)
    claim(story._db, [(1, "A.ch", "", job())], attempt=1)
    claim(story._db, [(1, "A.ch", "", job())], attempt=2)
    story.when(over(1, "job.rescheduled.v1", 2))
    assert story.rows("SELECT attempt FROM match.claims WHERE released_at IS NULL") == [(2,)]
    assert running(story) == [1]
    story.when(over(1, "job.done.v1", 1))
    assert running(story) == [1], "late news of the first attempt"
    claim(story._db, [(1, "A.ch", "", job())], attempt=3)
    story.when(over(1, "job.done.v1", 3))
    assert running(story) == [0], "no attempt outlives a later one"


def test_every_limit_that_concerns_the_job_counts_and_no_other(story: Story) -> None:
    limited(story).sql("UPDATE match.limits SET most = 9")
    about = {"Owner": "ada", "OwnerGroup": "bes_user", "VO": "bes", "JobType": "User", "JobGroup": "NoGroup"}
    for by, value in about.items():
        limited(story, 9, by=by, value=value)
        limited(story, 9, by=by, value="else")
    limited(story, 9, ce="ce1")
    limited(story, 9, ce="ce2")
    limited(story, 9, site="B.ch")
    claim(story._db, [(1, "A.ch", "ce1", job())])
    assert running(story) == [1, *[1, 0] * 5, 1, 0, 0]
    assert differing(story._db) == []
    story.when(over(1)).then()
    assert running(story) == [0] * 14


def test_it_wakes_only_where_a_limit_was_reached_and_says_nothing_of_whose_job_it_was(story: Story) -> None:
    limited(story, 2)
    limited(story, 1, ce="ce1")
    limited(story, 1, site="B.ch")
    claim(story._db, [(1, "A.ch", "ce1", job()), (2, "B.ch", "", job()), (3, "C.ch", "", job())])
    story.when(over(3)).then()
    story.when(over(1).of("ada", "bes"), over(2).of("ada", "bes"))
    story.then(("match.released.v1", {"site": "A.ch", "ce": "ce1"}), ("match.released.v1", {"site": "B.ch", "ce": None}))
    assert {(answer.owner, answer.vo) for answer in story.answers} == {(None, None)}
    assert [answer.subject for answer in story.answers] == ["A_ch", "B_ch"]


def test_a_limit_that_was_lowered_wakes_nobody_before_there_is_room(story: Story) -> None:
    limited(story, 3)
    claim(story._db, [(n, "A.ch", "", job()) for n in (1, 2, 3)])
    story.sql("UPDATE match.limits SET most = 1")
    story.when(over(1)).then()
    story.when(over(2)).then()
    story.when(over(3)).then(("match.released.v1", {"site": "A.ch"}))


def test_what_a_transaction_has_noted_is_forgotten_when_it_fails(story: Story) -> None:
    limited(story)
    claim(story._db, [(1, "A.ch", "", job())])
    with pytest.raises(ZeroDivisionError), story._db.transaction():
        story._db.execute("SELECT match.note_over(1, 1)")
        raise ZeroDivisionError
    assert story.rows("SELECT * FROM match.release()") == []
    assert running(story) == [1]


def test_a_claim_of_before_the_limits_ends_like_any_other(story: Story) -> None:
    limited(story, 1)
    bare = "INSERT INTO match.claims (pilot_id, request_id, job_id, attempt, claimed_at)"
    story.sql(f"{bare} VALUES ('p1', gen_random_uuid(), 7, 1, now())")
    story.when(over(7)).then()
    assert (running(story), used(story), story.rows("SELECT * FROM match.claims WHERE released_at IS NULL")) == ([0], [], [])


@pytest.mark.parametrize("at_once", [1, 100])
def test_old_claims_are_forgotten_faster_than_new_ones_end(story: Story, at_once: int) -> None:
    old, ends = 4000, 2000
    story.sql(
        f"""INSERT INTO match.claims (pilot_id, request_id, job_id, attempt, claimed_at, released_at)
        SELECT 'p1', gen_random_uuid(), n, 1, now() - interval '40 days', CASE WHEN n <= {old} THEN now() - interval '31 days' END
        FROM generate_series(1, {old + ends}) n"""
    )
    for first in range(old + 1, old + ends + 1, at_once):
        with story._db.transaction():
            for job_id in range(first, first + at_once):
                story._db.execute("SELECT match.note_over(%s, 1)", (job_id,))
            story._db.execute("SELECT match.release()")
    assert story.rows("SELECT count(*), min(job_id) FROM match.claims") == [(ends, old + 1)]


def test_limits_are_locked_in_one_order_by_matchers_and_releases(
    story: Story, found: dict[str, Handler], words: Words, test_dsn: str
) -> None:
    limited(story, 5)
    limited(story, 5, site="B.ch")
    claim(story._db, [(1, "A.ch", "", job()), (2, "B.ch", "", job())])

    def release(connection: psycopg.Connection[Any], _: random.Random) -> None:
        apply(found[HANDLER], [over(2), over(1)], connection, words)

    def match(connection: psycopg.Connection[Any], _: random.Random) -> None:
        claim(connection, [(3, "B.ch", "", job()), (4, "A.ch", "", job())])

    with story._db.transaction():
        first, second = "SELECT FROM match.limits WHERE site = 'A.ch'", "SELECT FROM match.limits WHERE site = 'B.ch'"
        story._db.execute(f"{first} FOR UPDATE")
        others = threading.Thread(target=at_once, args=(test_dsn, [release, match]))
        others.start()
        others.join(0.5)
        assert others.is_alive()
        story._db.execute(f"{second} FOR UPDATE NOWAIT")  # whoever waits for the first does not have the second
    others.join(20)
    assert running(story) == [1, 1]


Work = Callable[[psycopg.Connection[Any], random.Random], None]


def at_once(dsn: str, works: Sequence[Work]) -> None:
    """Each goes on with a connection of its own, and all come to their end."""
    failed: list[BaseException] = []

    def go(number: int, work: Work) -> None:
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                work(connection, random.Random(number))
        except BaseException as problem:
            failed.append(problem)

    threads = [threading.Thread(target=go, args=one) for one in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failed == []
    assert not any(thread.is_alive() for thread in threads)


def test_many_matchers_at_once_never_pass_a_limit_and_count_as_counting_would(
    story: Story, found: dict[str, Handler], words: Words, test_dsn: str
) -> None:
    owners, sites = ("ada", "bob"), ("A.ch", "B.ch", "C.ch")
    for site in sites[:2]:
        limited(story, 5, site=site)
        limited(story, 2, site=site, ce="ce1")
        limited(story, 3, site=site, by="Owner", value="ada")
    # the database itself refuses whoever passes a limit
    story.sql("ALTER TABLE match.limits ADD CHECK (running BETWEEN 0 AND most)")
    alive: list[int] = []
    refused = 0

    def match(connection: psycopg.Connection[Any], chance: random.Random) -> None:
        nonlocal refused
        first = chance.randrange(10**9) * 1000
        for number in range(25):
            wishes = [
                (first + number * 10 + n, chance.choice(sites), chance.choice(("", "ce1")), job(owner=chance.choice(owners)))
                for n in range(chance.randint(1, 4))
            ]
            given = claim(connection, wishes)
            refused += len(wishes) - len(given)
            alive.extend(given)

    def end(connection: psycopg.Connection[Any], chance: random.Random) -> None:
        for _ in range(40):
            chosen = chance.sample(alive, min(len(alive), 6))
            ends = [over(job_id, chance.choice(ENDS)) for job_id in [*chosen, *chosen[:1]]]
            apply(found[HANDLER], ends, connection, words)
            time.sleep(0.005)

    def describe(connection: psycopg.Connection[Any], chance: random.Random) -> None:
        for number in range(15):
            limits = [{"attribute": "Owner", "value": owner, "most": 1_000_000} for owner in chance.sample(owners, 1)]
            told = {"site": "C.ch", "status": "active", "running_limits": limits}
            apply(found["site.describe"], [event("site.described.v1", f"C_ch{number}", told)], connection, words)
            time.sleep(0.01)

    at_once(test_dsn, [match, match, match, end, end, describe])
    assert refused > 0, "the limits were reached"
    assert differing(story._db) == []
    assert story.rows("SELECT site FROM match.limits WHERE site = 'C.ch'") == [("C.ch",)]
    apply(found[HANDLER], [over(job_id) for job_id in alive], story._db, words)
    assert set(running(story)) == {0}
    assert story.rows("SELECT count(*) FROM match.claims WHERE released_at IS NULL") == [(0,)]


def test_many_matchers_at_once_keep_to_a_rate(story: Story, test_dsn: str) -> None:
    delay_s, burst = 0.05, 3
    story.sql(f"{LIMIT} VALUES ('A.ch', '', 'VO', 'bes', NULL, 0, %s, %s, %s, now())", delay_s, burst, burst)

    def match(connection: psycopg.Connection[Any], chance: random.Random) -> None:
        until, first = time.monotonic() + 0.6, chance.randrange(10**9) * 10_000
        for job_id in range(first, first + 10_000):
            claim(connection, [(job_id, "A.ch", "", job())])
            if time.monotonic() > until:
                return

    at_once(test_dsn, [match] * 3)
    moments = [float(at) for (at,) in story.rows("SELECT extract(epoch FROM claimed_at) FROM match.claims ORDER BY 1")]
    assert len(moments) > burst + 3, "and what may be matched is"
    for first, begin in enumerate(moments):
        for last, end in enumerate(moments[first:], first):
            assert last - first + 1 <= burst + (end - begin) / delay_s + 1e-3
