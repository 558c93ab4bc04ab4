"""match.request: a pilot gets a job that fits, once; or waits; and the same request gets the same job."""

from __future__ import annotations

import uuid
from typing import Any

from handlers.match.request import decide, offered
from schemas.rules.matching import requirements
from tests.fix_house import Story
from tests.handlers.people import described, event, match_request, matched, report, state_of, waiting

HANDLER = "match.request"
NEEDS = requirements({"Executable": "/bin/ls", "CPUTime": 300, "Priority": 1, "JobType": "User"}, "ada", "local_user", "local")


def test_higher_priority_comes_first_and_then_the_longest_waiting() -> None:
    queues = [
        {"queue_id": n, "requirements": NEEDS, "priority": priority, "job_id": job_id}
        for n, priority, job_id in ((1, 1, 7), (2, 5, 9), (3, 1, 3))
    ]
    node = {"Site": "CLOUD.CNIC.cn", "CPUTime": 500_000, "NumberOfProcessors": 1, "VirtualOrganization": "local"}
    assert decide(node, queues) == [2, 3, 1]


def test_of_equal_priority_the_largest_that_fits_comes_first() -> None:
    sizes: dict[int, dict[str, Any]] = {
        1: {},
        2: {"NumberOfProcessors": 4},
        3: {"MinNumberOfProcessors": 2},
        4: {"NumberOfProcessors": 16},
        5: {"WholeNode": True},
    }
    queues = [
        {"queue_id": n, "requirements": requirements({"CPUTime": 300, **size}, "ada", "g", "local"), "priority": 1, "job_id": n}
        for n, size in sizes.items()
    ]
    node = {"Site": "S", "CPUTime": 500_000, "NumberOfProcessors": 8, "WholeNode": True, "VirtualOrganization": "local"}
    assert decide(node, queues) == [5, 2, 3, 1]
    urgent = {**queues[0], "queue_id": 6, "priority": 2}
    assert decide(node, [*queues, urgent]) == [6, 5, 2, 3, 1]


def test_what_a_pilot_was_enrolled_with_does_not_make_a_node_whole_that_runs_something() -> None:
    pilot = {"site": "S", "ce": "", "vo": "local", "tags": ["WholeNode", "CVMFS"]}
    node = {"Site": "S", "CPUTime": 500_000, "NumberOfProcessors": 8}
    assert offered(node, pilot, ())["Tag"] == ["WholeNode", "CVMFS"]
    assert offered({**node, "WholeNode": False, "Tag": ["WholeNode"]}, pilot, ())["Tag"] == ["CVMFS"]


def test_a_pilot_that_does_not_fit_gets_nothing(story: Story) -> None:
    waiting(story, NumberOfProcessors=8).asked(match_request(NumberOfProcessors=1)).then()
    assert state_of(story)[0] == "Waiting"


def test_two_pilots_never_get_the_same_job(story: Story) -> None:
    waiting(story, 2).asked(match_request("p1"), match_request("p2"), match_request("p3"))
    given = [answer.data["job"]["job_id"] for answer in story._answers if answer.type == "match.request.v1.reply"]
    assert sorted(given) == [1, 2]
    assert story.rows("SELECT job_id, pilot_id, site, state FROM job.jobs ORDER BY 1") == [
        (1, "p1", "CLOUD.CNIC.cn", "Matched"),
        (2, "p2", "CLOUD.CNIC.cn", "Matched"),
    ]


def test_a_lost_reply_and_a_retry_give_the_same_job(story: Story) -> None:
    request_id = str(uuid.uuid4())
    waiting(story, 2).asked(match_request("p1", request_id))
    story.asked(match_request("p1", request_id)).then(("match.request.v1.reply", {}))
    assert story._answers[0].data["job"]["job_id"] == 1
    assert story.rows("SELECT count(*) FROM job.jobs WHERE state = 'Matched'") == [(1,)]


def test_a_claim_of_a_job_that_has_ended_is_not_given_again(story: Story) -> None:
    request_id = str(uuid.uuid4())
    waiting(story).asked(match_request("p1", request_id))
    story.given("job.report", report("Running"), report("Done", "Execution Complete"))
    story.asked(match_request("p1", request_id)).then()


def test_a_wake_gives_the_parked_pilot_the_job_of_that_queue(story: Story) -> None:
    waiting(story)
    wake = event("job.waiting.v1", 1, {"job_id": 1, "attempt": 1, "queue_id": 1})
    story.asked(match_request("p1"), match_request("p2"), wakes=(wake,))
    assert len(story._answers) == 2
    assert state_of(story)[0] == "Matched"


def test_the_vo_that_a_node_claims_counts_for_nothing(story: Story) -> None:
    waiting(story).asked(match_request(VirtualOrganization="lhcb"))
    assert state_of(story)[0] == "Matched"


def test_a_killed_job_is_not_matched(story: Story) -> None:
    waiting(story).given("job.kill", event("job.kill.v1", "_", {"job_ids": [1]}))
    story.asked(match_request()).then()


def test_the_input_sandbox_travels_by_digest(story: Story) -> None:
    digest = "ab" * 32
    matched(story, InputSandbox=[f"SB:{digest}"])
    story.rows("SELECT 1")
    waiting(story, InputSandbox=[f"SB:{digest}"]).asked(match_request("p9"))
    assert story._answers[0].data["job"]["input"] == {"digest": digest}


def test_a_job_goes_only_to_pilots_that_keep_it_apart_as_its_community_demands(story: Story) -> None:
    waiting(story)
    described(story, ("vo", {"vo": "local", "least_isolation": "bubblewrap"}))
    story.asked(match_request("p1")).then()
    story.asked(match_request("p2", Isolation="userns")).then()
    assert state_of(story)[0] == "Waiting"
    story.asked(match_request("p3", Isolation="apptainer"))
    assert story._answers[0].data["job"]["least_isolation"] == "bubblewrap"
    assert state_of(story)[0] == "Matched"


def test_a_community_that_demands_less_again_is_served_by_all(story: Story) -> None:
    waiting(story)
    described(story, ("vo", {"vo": "local", "least_isolation": "bubblewrap"}))
    described(story, ("vo", {"vo": "local"}), at="2026-11-20T00:00:01Z")
    story.asked(match_request("p1"))
    assert story._answers[0].data["job"]["least_isolation"] == "none"
