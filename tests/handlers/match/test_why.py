"""match.why: why a job waits and why a pilot gets none, to whoever may know; of now, and of moments that are past."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

import pytest

from bus.event import Event
from handlers.match.told import OF_STATES, held, of_turn
from handlers.match.why import MOST_AHEAD, decide
from schemas.rules.explain import why_job, why_pilot
from schemas.rules.job_states import STATES
from schemas.rules.matching import requirements
from tests.fix_house import Story
from tests.handlers.bulks import waiting as bulk_waiting
from tests.handlers.people import communities, described, event, matched, report, waiting

HANDLER = "match.why"
NODE: dict[str, Any] = {
    "Site": "CLOUD.CNIC.cn", "CPUTime": 500_000, "NumberOfProcessors": 4, "MaxRAM": 16_384,
    "VirtualOrganization": ["local", "bes"],
}  # fmt: skip
NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(autouse=True)
def now_is_now() -> None:
    """A moment is told from when its test began, which may be long after it was read."""
    global NOW
    NOW = dt.datetime.now(dt.UTC)


def ago(seconds: float) -> str:
    """The moment so many seconds ago."""
    return (NOW - dt.timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def asked(story: Story, pilots: int = 1, seconds_ago: float = 5, **resource: Any) -> Story:
    """So many pilots of such a resource have asked for a job."""
    row = {"at": ago(seconds_ago), "resource": NODE | resource, "requests": pilots, "pilots": pilots}
    return story.sql("SELECT match.keep_offers(%s)", json.dumps([row]))


def empty(story: Story, pilot_id: str = "p1", seconds_ago: float = 5, **needs: Any) -> Story:
    """The pilot's request ended without a job, because the one that waited needs this."""
    queue = {"queue_id": 3, "requirements": requirements({"CPUTime": 300, **needs}, "ada", "local_user", "local"), "waiting": 2}
    row = {"pilot_id": pilot_id, "request_id": str(uuid.uuid4()), "at": ago(seconds_ago), "site": NODE["Site"], "resource": NODE}
    return story.sql("SELECT match.keep_empties(%s)", json.dumps([row | {"reasons": why_pilot(NODE, [queue])}]))


def why(story: Story, account: str = "ada", **data: Any) -> dict[str, Any]:
    """What the account is told."""
    story.when(event("match.why.v1", "_", data, authid=account), once=False, hands=("root",))
    found: dict[str, Any] = story.answers[0].data
    return found


def told(phase: str, number: int, seconds_ago: float = 60, **more: Any) -> Event:
    """Pilot p1 said where it was."""
    data = {"pilot_id": "p1", "site": "CLOUD.CNIC.cn", "phase": phase, "number": number} | more
    said = event("pilot.reported.v1", "p1", data, authid="pilot-p1")
    object.__setattr__(said, "time", ago(seconds_ago))
    return said


def test_what_nobody_has_is_named_with_the_nearest_who_misses_it(story: Story) -> None:
    asked(asked(waiting(story, MinRAM=64_000), 12), 3, Site="GRID.JINR.ru", MaxRAM=8000, CPUTime=100)
    found = why(story, job_id=1)
    assert found["headline"].startswith("job 1 is Waiting since 20")
    assert found["headline"].endswith(
        ": no pilot of the last hour has 64000 MB of memory; the nearest, 12 pilots at CLOUD.CNIC.cn, have 16384 MB of memory"
    )
    assert [(row["field"], row["resources"], row["pilots"]) for row in found["requirements"]] == [
        ("MaxRAM", 2, 15),
        ("CPUTime", 1, 3),
    ]
    assert (found["job"]["state"], found["resources"], found["pilots"], found["fitting_pilots"]) == ("Waiting", 2, 15, 0)
    assert (found["nearest"]["pilots"], found["nearest"]["fields"]) == (12, ["MaxRAM"])


def test_nobody_has_asked(story: Story) -> None:
    found = why(asked(waiting(story), seconds_ago=3700), job_id=1)
    assert found["headline"].endswith("no pilot has asked for a job in the last hour")
    assert found["requirements"] == []


def test_who_asked_in_both_hours_of_the_clock_is_one_pilot(story: Story) -> None:
    since_the_clock_struck_s = NOW.minute * 60 + NOW.second + 3600
    for seconds in (-600, 600):
        asked(story, 4, seconds_ago=since_the_clock_struck_s + seconds)
    waiting(story).sql("UPDATE job.history SET at = %s", ago(9000))
    asked(story, 2, seconds_ago=since_the_clock_struck_s - 1000, MaxRAM=1)
    assert why(story, job_id=1, at=ago(since_the_clock_struck_s - 900))["pilots"] == 4, "who asked later had not asked then"


def test_a_job_that_fits_waits_for_its_turn_behind_those_before_it(story: Story) -> None:
    found = why(asked(waiting(story, 3), 2), job_id=3)
    assert found["headline"].endswith(
        "2 of the 2 pilots of the last hour fit: it waits for its turn, and 2 jobs of its task queue come before it"
    )
    assert why(story, job_id=1)["headline"].endswith("fit: it waits for its turn")
    assert of_turn("x", MOST_AHEAD, MOST_AHEAD).endswith("and 1000 jobs or more of its task queue come before it")


def test_what_holds_it_whatever_pilots_there_are_comes_first() -> None:
    fitting = {"fitting_resources": 1, "headline": "1 of the 1 pilots fit"}
    assert decide(["banned", None], fitting, 0) == ["banned", "1 of the 1 pilots fit"]
    assert decide([None], fitting, 0) == ["1 of the 1 pilots fit: it waits for its turn"]
    assert decide([None], {"fitting_resources": 0, "headline": "nobody"}, 5) == ["nobody"]


def test_limits_that_are_reached_are_a_requirement_where_they_hold() -> None:
    limit = {"site": "A.B", "ce": "", "attribute": "OwnerGroup", "value": "bes_user", "most": 5, "running": 5}
    of_ce = limit | {"ce": "ce2", "attribute": "*", "value": "*"}
    needs = requirements({"CPUTime": 300}, "ada", "local_user", "local")
    places: tuple[dict[str, Any], ...] = ({"Site": "A.B", "GridCE": "ce1"}, {"Site": "C.D", "GridCE": "ce2"})
    offers = [{"resource": NODE | place, "pilots": 2} for place in places]
    assert why_job(needs, held(offers, [limit | {"site": "X.Y"}]))["fitting_pilots"] == 4
    found = why_job(needs, held(offers, [limit]))
    assert (found["fitting_pilots"], found["requirements"][0]["pilots"]) == (2, 2)
    assert found["nearest"]["reasons"] == ["RunningLimit: 5 of at most 5 jobs of OwnerGroup bes_user run at A.B"]
    assert why_job(needs, held(offers, [limit, of_ce | {"site": "C.D"}]))["headline"] == (
        "no pilot of the last hour has room below the running limits of its site; "
        "the nearest, 2 pilots at A.B, have a running limit that is reached"
    )
    assert held(offers, [of_ce | {"site": "C.D"}])[1]["held"] == ["RunningLimit: 5 of at most 5 jobs run at C.D, CE ce2"]


def test_a_limit_that_is_reached_now_is_told(story: Story) -> None:
    asked(waiting(story), 3)
    limit = """INSERT INTO match.limits (site, ce, attribute, value, most, running, burst, tokens, at)
    VALUES (%s, '', %s, %s, 2, %s, 1, 1, now())"""
    story.sql(limit, "CLOUD.CNIC.cn", "Owner", "bob", 2).sql(limit, "CLOUD.CNIC.cn", "JobType", "User", 1)
    assert "waits for its turn" in why(story, job_id=1)["headline"]
    story.sql("UPDATE match.limits SET running = 2")
    assert why(story, job_id=1)["nearest"]["reasons"] == [
        "RunningLimit: 2 of at most 2 jobs of JobType User run at CLOUD.CNIC.cn"
    ]
    story.sql("UPDATE job.history SET at = %s", ago(100))
    assert why(story, job_id=1, at=ago(0))["fitting_pilots"] == 3, "how limits stood then is not known"


def test_the_jobs_of_who_is_banned_wait(story: Story) -> None:
    asked(waiting(story)).sql(
        "INSERT INTO trust.bans VALUES ('user', 'ada', 'a stolen key', 'root', now() - interval '1 minute')"
    )
    found = why(story, job_id=1)
    assert found["headline"].endswith(": user ada is banned: a stolen key")
    assert found["also"] == ["1 of the 1 pilots of the last hour fit"]
    story.sql("UPDATE job.history SET at = %s", ago(100))
    assert "banned" not in why(story, job_id=1, at=ago(90))["headline"]


def test_a_job_whose_every_site_is_banned_says_so(story: Story) -> None:
    waiting(story, Site=["CLOUD.CNIC.cn"]).sql("UPDATE site.sites SET status = 'banned'")
    assert "every site the job could run at is banned: CLOUD.CNIC.cn" in why(story, job_id=1)["headline"]


def test_a_pilot_at_a_banned_site_takes_test_jobs_alone(story: Story) -> None:
    asked(waiting(story, 1), 3).sql("INSERT INTO site.sites VALUES ('A.B', '', 'active', 8, NULL, NULL, '{}', now())")
    assert why(story, job_id=1)["fitting_pilots"] == 3
    story.sql("UPDATE site.sites SET status = 'banned' WHERE site <> 'A.B'")
    assert why(story, job_id=1)["nearest"]["reasons"] == ["JobType: the resource has Test, the job wants User"]


def test_an_answer_stays_short_however_much_there_is_to_say(story: Story) -> None:
    asked(waiting(story), Tag=[f"{n:0>120}" for n in range(60)], RequiredTag=[f"{n:0>120}" for n in range(60)])
    story.sql("UPDATE site.sites SET status = 'banned'")
    story.sql("INSERT INTO site.sites SELECT 'S' || n, '', 'banned', 8, 1, 1, '{}', now() FROM generate_series(1, 2000) n")
    assert len(why(story, job_id=1)["headline"]) == 2000


def test_what_its_community_demands_is_a_requirement(story: Story) -> None:
    described(asked(waiting(story)), ("vo", {"vo": "local", "least_isolation": "apptainer"}))
    assert why(story, job_id=1)["nearest"]["fields"] == ["Isolation"]


def test_a_job_that_does_not_wait_says_what_it_does(story: Story) -> None:
    found = why(matched(story), job_id=1)
    assert found["headline"].endswith(": pilot p1 at CLOUD.CNIC.cn has it and is to start it")
    assert "requirements" not in found
    story.given("job.report", report("Running"))
    assert why(story, job_id=1)["headline"].endswith(": pilot p1 at CLOUD.CNIC.cn runs it")
    story.given("job.report", report("Failed", "Application Finished With Errors", application_status="it exited with 3"))
    assert why(story, job_id=1)["headline"].endswith("it is over: it exited with 3")


def test_a_job_of_a_bulk_says_since_when_it_waits(story: Story) -> None:
    found = why(bulk_waiting(story), job_id=3)
    ((since,),) = story.rows("SELECT at FROM job.history_ranges WHERE state = 'Waiting'")
    assert (found["job"]["state"], found["job"]["since"][:19]) == ("Waiting", since.isoformat()[:19])


def test_a_job_that_is_held_says_so(story: Story) -> None:
    waiting(story).sql("UPDATE job.jobs SET state = 'Failed'")
    story.given("job.reschedule", event("job.reschedule.v1", "_", {"job_ids": [1]}))
    said = "it is held before its next attempt may wait (On Hold: after rescheduling 1)"
    assert why(story, job_id=1)["headline"].endswith(said)


def test_every_state_has_its_sentence() -> None:
    assert set(OF_STATES) == set(STATES) - {"Waiting"}


def test_the_past_is_told_as_it_was(story: Story) -> None:
    matched(asked(story, 7, seconds_ago=7300, MaxRAM=100), MinRAM=1000)
    asked(story, 9)
    began, then, before = ago(7400), ago(7200), ago(9000)
    story.sql("UPDATE job.history SET at = %s WHERE state IN ('Received', 'Checking', 'Waiting')", began)
    found = why(story, job_id=1, at=then)
    assert found["headline"] == (
        f"at {then} job 1 was Waiting, since {began}: no pilot of the hour before {then} has 1000 MB of memory; "
        "the nearest, 7 pilots at CLOUD.CNIC.cn, have 100 MB of memory"
    )
    assert why(story, job_id=1)["job"]["state"] == "Matched"
    assert why(story, job_id=1, at=ago(-600))["job"]["state"] == "Matched", "what is still to come is now"
    assert why(story, job_id=1, at=before)["reason"] == f"there was no job 1 at {before}"


def test_a_job_is_explained_to_whoever_may_see_it(story: Story) -> None:
    communities(story, ada=["bes_shared"], bob=["bes_shared"], eve=["juno_admin"], ann=["bes_watch"])
    waiting(story, owner_group="bes_shared")
    assert [why(story, account, job_id=1).get("code") for account in ("ada", "bob", "ann", "eve", "root")] == [
        None, None, None, "not_found", "not_found",
    ]  # fmt: skip
    assert why(story, job_id=7)["code"] == "not_found"


def test_a_pilot_is_explained_to_operators(story: Story) -> None:
    described(story, ("vo", {"vo": "bes"}), ("group", {"group": "ops", "vo": "bes", "properties": ["SiteManager"]}))
    described(story, ("user", {"account": "sam", "groups": ["ops"]}))
    assert why(story, "ada", pilot_id="p1")["code"] == "denied"
    assert "headline" in why(story, "sam", pilot_id="p1")
    assert "headline" in why(story, "root", pilot_id="p1")
    assert why(story, "root", pilot_id="p99")["code"] == "not_found"
    for data in ({}, {"job_id": 1, "pilot_id": "p1"}):
        assert why(story, "root", **data)["code"] == "invalid"


def test_a_pilots_last_answer_without_a_job_is_told_with_its_reasons(story: Story) -> None:
    empty(empty(story, seconds_ago=600, MinRAM=64_000, Platform=["x"]), "p2", NumberOfGPUs=1)
    empty(story, seconds_ago=30, MinRAM=64_000)
    found = why(story, "root", pilot_id="p1")
    assert found["headline"] == (
        f"pilot p1: it asked until {ago(30)} and got no job: "
        "none of 1 task queues fits; the nearest: MaxRAM: the resource has 16384, the job needs 64000"
    )
    assert found["requirements"] == [{"field": "MaxRAM", "has": "16384 MB of memory", "queues": 1}]
    assert (found["empty"]["queues"], found["empty"]["fits"], found["nearest"]["queue_id"]) == (1, 0, 3)
    before = why(story, "root", pilot_id="p1", at=ago(300))
    assert before["empty"]["at"] == ago(600)
    assert "empty" not in why(story, "root", pilot_id="p1", at=ago(601))


def test_a_pilot_says_where_it_is(story: Story) -> None:
    assert why(story, "root", pilot_id="p1")["headline"] == "pilot p1: it has told nothing of itself yet"
    story.given("pilot.report", told("booted", 1, 300))
    assert (
        why(story, "root", pilot_id="p1")["headline"]
        == f"pilot p1: it has not asked for a job yet: it is booted since {ago(300)}"
    )
    story.given("pilot.report", told("asking", 2, 200))
    assert "it wants a job since" in why(story, "root", pilot_id="p1")["headline"]
    story.given("pilot.report", told("leaving", 3, 100, details={"reason": "idle"}))
    found = why(story, "root", pilot_id="p1")
    assert found["headline"] == f"pilot p1: it left at {ago(100)}: idle"
    assert found["pilot"]["phase"] == "leaving"
    assert why(story, "root", pilot_id="p1", at=ago(250))["pilot"]["phase"] == "booted"
    assert why(story, "root", pilot_id="p1", at=ago(400))["headline"].startswith("pilot p1: it had told nothing of itself by")


def test_a_pilot_that_has_a_job_says_which_now_and_then(story: Story) -> None:
    matched(story).given("pilot.report", told("matched", 1, 0, job_id=1, attempt=1))
    found = why(story, "root", pilot_id="p1")
    assert (found["headline"], found["pilot"]["jobs"]) == ("pilot p1: it has job 1", [1])
    story.given("job.report", report("Running"), report("Done", "Execution Complete"))
    assert why(story, "root", pilot_id="p1")["pilot"]["jobs"] == []
    story.sql("UPDATE job.history SET at = at - interval '1 hour' WHERE state <> 'Done'")
    story.sql("UPDATE pilot.phases SET at = at - interval '1 hour'")
    assert why(story, "root", pilot_id="p1", at=ago(1800))["headline"] == "pilot p1: it had job 1"


def test_a_pilot_that_is_shut_out_says_so_first(story: Story) -> None:
    empty(story).sql("UPDATE trust.enrolments SET revoked_at = now(), revoked_because = 'stolen' WHERE pilot_id = 'p1'")
    assert why(story, "root", pilot_id="p1")["headline"] == "pilot p1: pilot p1 is revoked: stolen"
    story.sql("UPDATE trust.enrolments SET enrolled_at = NULL WHERE pilot_id = 'p2'")
    assert why(story, "root", pilot_id="p2")["headline"] == "pilot p2: pilot p2 has not enrolled"


def test_offers_of_an_hour_add_up_and_answers_are_kept_once(story: Story) -> None:
    row = {"at": ago(0), "resource": NODE, "requests": 3, "pilots": 2}
    for rows in ([row, row], [row | {"pilots": 0, "resource": dict(reversed(NODE.items()))}]):
        story.sql("SELECT match.keep_offers(%s)", json.dumps(rows))
    assert story.rows("SELECT requests, pilots FROM match.offers") == [(9, 4)]
    one = {"request_id": str(uuid.uuid4()), "at": ago(0), "site": "A.B", "resource": NODE, "reasons": {"queues": 0}}
    many = [one | {"pilot_id": f"p{n}"} for n in range(5)]
    for _ in range(2):
        story.sql("SELECT match.keep_empties(%s)", json.dumps([*many, *many]))
    assert story.rows("SELECT (SELECT count(*) FROM match.empties), (SELECT count(*) FROM match.reasons)") == [(5, 1)]
