"""match.request: a pilot gets a job that fits, once; or waits; and the same request gets the same job."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from handlers.match.request import offered
from tests.fix_house import Story
from tests.handlers.people import described, event, match_request, matched, report, state_of, waiting

HANDLER = "match.request"
PILOT: dict[str, Any] = {"site": "S", "ce": "", "vo": "local", "tags": [], "owner": "", "owner_group": ""}


def test_what_a_pilot_was_enrolled_with_does_not_make_a_node_whole_that_runs_something() -> None:
    pilot = PILOT | {"tags": ["WholeNode", "CVMFS"]}
    node = {"Site": "S", "CPUTime": 500_000, "NumberOfProcessors": 8}
    assert offered(node, pilot, ())["Tag"] == ["WholeNode", "CVMFS"]
    assert offered({**node, "WholeNode": False, "Tag": ["WholeNode"]}, pilot, ())["Tag"] == ["CVMFS"]


@pytest.mark.parametrize(
    ("enrolled", "said", "at"),
    [
        ("ce1", "ce2", "ce1"),
        ("ce1", ["ce2", "ce3"], "ce1"),
        ("ce1", None, "ce1"),
        ("", ["ce2", "ce3"], "ce2"),
        ("", ["ANY", "ce3"], "ce3"),
        ("", '"any"', None),
        ("", [], None),
        ("", None, None),
    ],
)
def test_a_pilot_is_at_the_ce_of_its_enrolment_or_else_at_the_first_that_it_names(
    enrolled: str, said: Any, at: str | None
) -> None:
    node = {"Site": "S"} | ({} if said is None else {"GridCE": said})
    assert offered(node, PILOT | {"ce": enrolled}, ()).get("GridCE") == at


@pytest.mark.parametrize("enrolled", ["ce1", ""])
def test_no_pilot_evades_the_limit_of_its_ce_by_naming_several(story: Story, enrolled: str) -> None:
    waiting(story, 2)
    story.sql("UPDATE trust.enrolments SET ce = %s", enrolled)
    story.sql(
        """INSERT INTO match.limits (site, ce, attribute, value, most, running, delay_s, burst, tokens, at)
        VALUES ('CLOUD.CNIC.cn', 'ce1', '*', '*', 1, 0, NULL, 1, 1, now())"""
    )
    story.asked(match_request("p1", GridCE=["ce1", "ce2"]), match_request("p2", GridCE=["ce1", "ce2"]))
    assert story.rows("SELECT ce FROM match.claims") == [("ce1",)]
    assert story.rows("SELECT running FROM match.limits") == [(1,)]


@pytest.mark.parametrize(
    ("private", "given"),
    [
        ({"owner": "bob"}, [3, 4]),
        ({"owner_group": "bes_user"}, [1, 3]),
        ({"owner": "bob", "owner_group": "bes_user"}, [3]),
        ({"owner": "carl"}, []),
    ],
)
def test_a_private_pilot_gets_only_jobs_of_whom_it_was_enrolled_for(
    story: Story, private: dict[str, str], given: list[int]
) -> None:
    waiting(story, 4)
    for job_id, owner, group in (
        (1, "ada", "bes_user"),
        (2, "ada", "bes_other"),
        (3, "bob", "bes_user"),
        (4, "bob", "bes_other"),
    ):
        changed = json.dumps({"Owner": owner, "OwnerGroup": group})
        story.sql(
            """WITH made AS (INSERT INTO match.queues (digest, requirements)
                SELECT %s, requirements || %s::jsonb FROM match.queues WHERE queue_id = 1 RETURNING queue_id)
            UPDATE job.jobs SET owner = %s, owner_group = %s, queue_id = made.queue_id FROM made WHERE job_id = %s""",
            changed, changed, owner, group, job_id,
        )  # fmt: skip
    for column, value in private.items():
        story.sql(f"UPDATE trust.enrolments SET {column} = %s", value)
    said: dict[str, Any] = {"Owner": "ada", "OwnerGroup": ["bes_user", "bes_other"]}
    story.asked(*(match_request(f"p{number}", **said) for number in range(1, 6)))
    assert story.rows("SELECT job_id FROM match.claims ORDER BY 1") == [(job_id,) for job_id in given]


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
    story.asked(match_request("p1", request_id)).then(("match.request.v1.reply", {"job": None}))


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
