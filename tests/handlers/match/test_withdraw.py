"""match.withdraw: a request that is taken back gets no job, whoever is faster; one that has got a job is told so."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from bus.apply import Words, apply, serve
from bus.client import Client
from bus.discover import Handler
from bus.event import Event
from bus.runner import Runner
from tests.bus.test_parked_requests import submit, wait_until_parked
from tests.fix_broker import Vhost
from tests.fix_house import Story
from tests.handlers.people import SITE, event, match_request, report, state_of, waiting

HANDLER = "match.withdraw"


def withdraw(request: Event) -> Event:
    data = {"pilot_id": request.data["pilot_id"], "request_id": request.data["request_id"]}
    return event("match.withdraw.v1", data["pilot_id"], data, authid=request.authid or "")


def test_a_withdrawn_request_gets_no_job_and_is_answered_with_nothing(story: Story, found: dict[str, Handler]) -> None:
    request = match_request()
    waiting(story, 2).when(withdraw(request)).then(("match.withdraw.v1.reply", {"withdrawn": True}))
    replies, _ = serve(found["match.request"], [request, match_request("p2")], (), story._db, story._words)
    assert [reply.data["job"] and reply.data["job"]["attempt"] for reply in replies.values()] == [None, 1]
    assert sorted(state for (state,) in story.rows("SELECT coalesce(pilot_id, state) FROM job.jobs")) == ["Waiting", "p2"]


def test_a_request_that_has_got_a_job_keeps_it_and_gets_it_again(story: Story, found: dict[str, Handler]) -> None:
    request = match_request()
    waiting(story, 2).given("match.request", request)
    story.when(withdraw(request)).then(("match.withdraw.v1.reply", {"withdrawn": False}))
    replies, _ = serve(found["match.request"], [request], (), story._db, story._words)
    assert [reply.data["job"]["job_id"] for reply in replies.values()] == [1], "its reply may have been lost"
    assert story.rows("SELECT count(*) FROM job.jobs WHERE state = 'Matched'") == [(1,)]


def test_no_copy_of_a_withdrawn_request_gets_a_second_job(story: Story, found: dict[str, Handler]) -> None:
    request = match_request()
    waiting(story, 2).given("match.request", request)
    story.when(withdraw(request))
    story.given("job.report", report("Running"), report("Done", "Execution Complete"))
    serve(found["match.request"], [request], (), story._db, story._words)
    assert story.rows("SELECT state FROM job.jobs ORDER BY job_id") == [("Done",), ("Waiting",)]


def test_a_repeat_says_the_same(story: Story) -> None:
    request = match_request()
    for _ in range(2):
        story.when(withdraw(request)).then(("match.withdraw.v1.reply", {"withdrawn": True}))
    assert story.rows("SELECT count(*) FROM match.withdrawals") == [(1,)]


def test_one_pilot_withdraws_nothing_of_another(story: Story, found: dict[str, Handler]) -> None:
    request = match_request("p1")
    other = match_request("p2", request.data["request_id"])
    waiting(story).when(withdraw(other))
    serve(found["match.request"], [request], (), story._db, story._words)
    assert state_of(story)[0] == "Matched"


def test_a_claim_and_a_withdrawal_at_once_agree(story: Story, found: dict[str, Handler], words: Words, test_dsn: str) -> None:
    """Whoever is first, the pilot is told what is: withdrawn and no job, or not withdrawn and a job."""
    rounds = 60
    waiting(story, rounds)
    seen = set()
    with psycopg.connect(test_dsn, autocommit=True) as one, psycopg.connect(test_dsn, autocommit=True) as two:
        for number in range(rounds):
            request, told, together = match_request(), list[Any](), threading.Barrier(2)

            def claim(request: Event = request, together: threading.Barrier = together) -> None:
                together.wait(10)
                serve(found["match.request"], [request], (), one, words)

            def take_back(
                request: Event = request,
                told: list[Any] = told,
                together: threading.Barrier = together,
                late: float = number / rounds,
            ) -> None:
                together.wait(10)
                threading.Event().wait(late * 0.006)  # so that both orders happen
                applied, _ = apply(found[HANDLER], [withdraw(request)], two, words, once=False)
                told.append(applied[0].answers[0].data["withdrawn"])

            threads = [threading.Thread(target=target) for target in (claim, take_back)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
            claims = story.rows("SELECT count(*) FROM match.claims WHERE request_id = %s", request.data["request_id"])
            assert claims == [(0,)] if told == [True] else claims == [(1,)]
            seen.add(told[0])
    assert seen == {True, False}


def test_a_withdrawal_waits_for_a_claim_that_is_being_made(
    story: Story, found: dict[str, Handler], words: Words, test_dsn: str
) -> None:
    request, told = match_request(), list[Any]()
    waiting(story)

    def take_back() -> None:
        with psycopg.connect(test_dsn, autocommit=True) as other:
            applied, _ = apply(found[HANDLER], [withdraw(request)], other, words, once=False)
            told.append(applied[0].answers[0].data["withdrawn"])

    with story._db.transaction():
        serve(found["match.request"], [request], (), story._db, words)
        thread = threading.Thread(target=take_back)
        thread.start()
        thread.join(0.5)
        assert told == [], "nothing is said while the claim is neither made nor undone"
    thread.join(10)
    assert told == [False]


@pytest.mark.parametrize("undone", [False, True])
def test_a_claim_waits_for_a_withdrawal(
    story: Story, found: dict[str, Handler], words: Words, test_dsn: str, *, undone: bool
) -> None:
    request = match_request()
    waiting(story)
    with psycopg.connect(test_dsn) as other:
        other.execute("SELECT match.withdraw(%s, %s)", (request.data["pilot_id"], request.data["request_id"]))
        thread = threading.Thread(target=lambda: serve(found["match.request"], [request], (), story._db, words))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        other.rollback() if undone else other.commit()
        thread.join(10)
    assert state_of(story)[0] == ("Matched" if undone else "Waiting")


def test_a_parked_request_that_is_withdrawn_leaves_the_job_to_others(
    db: psycopg.Connection[Any], house: Runner, vhost: Vhost
) -> None:
    db.execute(SITE)
    answers: list[Any] = []
    parked, later = wish(), wish()

    def wait() -> None:
        with Client(vhost.pilot_url, vhost.ca_file) as pilot:
            answers.append(pilot.ask("match.request.v1", parked, within_s=60))

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until_parked(vhost)
    with Client(vhost.pilot_url, vhost.ca_file) as pilot:
        taken_back = {"pilot_id": "p1", "request_id": parked["request_id"]}
        assert pilot.ask("match.withdraw.v1", taken_back) == {"withdrawn": True}
        job_id = submit(vhost)
        thread.join(20)
        assert answers == [{"job": None}], "the job that would have been its own tells it"
        assert pilot.ask("match.request.v1", later)["job"]["job_id"] == job_id


def wish() -> dict[str, Any]:
    """What a request says."""
    data: dict[str, Any] = match_request().data
    return data
