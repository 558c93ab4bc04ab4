"""job.submit: a submission gets all its jobs and consecutive ids, or a reason and none."""

from __future__ import annotations

import dataclasses

import pytest

from bus.event import Event
from handlers.job.submit import MOST_JOBS, decide
from schemas.rules.attributes import DescriptionError
from schemas.rules.submission import Owner
from tests.fix_house import Story
from tests.handlers.people import communities

HANDLER = "job.submit"
KEY = "7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01"
ADA = Owner("ada", "bes_user", "bes")
SITE = {"site": "CLOUD.CNIC.cn", "status": "active", "max_processors": 8, "max_ram_mb": None, "max_cpu_time_s": None, "tags": []}


def request(key: str = KEY, owner: str = "ada", **description: object) -> Event:
    """ada submits."""
    data = {"submission": key, "description": {"Executable": "/bin/ls"} | description}
    return Event("job.submit.v1", f"/{owner}/submit", key, data, authid=owner)


def test_an_unknown_site_is_named() -> None:
    with pytest.raises(DescriptionError, match="CLOUD"):
        decide({"Executable": "/bin/ls", "Site": "CLOUD.CNIC.ch"}, ADA, [SITE])


def test_a_requirement_that_no_site_can_ever_meet_is_refused() -> None:
    with pytest.raises(DescriptionError, match="64"):
        decide({"Executable": "/bin/ls", "NumberOfProcessors": 64}, ADA, [SITE])


def test_a_sweep_of_too_many_jobs_is_refused_whole(story: Story) -> None:
    story.sql("INSERT INTO site.sites VALUES ('A.B.ch', '', 'active', NULL, NULL, NULL, '{}', now())")
    story.when(request(Parameters=MOST_JOBS + 1), once=False)
    assert [event.type for event in story._answers] == ["request.refused.v1.reply"]
    assert story.rows("SELECT count(*) FROM job.jobs") == [(0,)]


def test_ids_are_consecutive_and_the_same_key_gets_the_same_ids(story: Story) -> None:
    story.sql("INSERT INTO site.sites VALUES ('A.B.ch', '', 'active', NULL, NULL, NULL, '{}', now())")
    story.when(request(Parameters=3), once=False)
    story.when(request(Parameters=3), once=False).then(("job.submit.v1.reply", {"first_job_id": 1, "count": 3}))
    assert story.rows("SELECT job_id, state, owner FROM job.jobs ORDER BY 1") == [(n, "Received", "ada") for n in (1, 2, 3)]
    assert story.rows("SELECT count(*) FROM job.history") == [(3,)]


def test_an_input_that_was_never_put_or_is_swept_is_refused(story: Story) -> None:
    story.sql("INSERT INTO site.sites VALUES ('A.B.ch', '', 'active', NULL, NULL, NULL, '{}', now())")
    digest = "ab" * 32
    asked = request(InputSandbox=[f"SB:{digest}", "LFN:/bes/x"])
    reason = f"the sandbox store does not have {digest}, or not any more: upload it before this"
    story.when(asked, once=False).then(("request.refused.v1.reply", {"code": "not_found", "reason": reason}))
    story.sql("INSERT INTO file.sandboxes VALUES (%s, 1, now(), now())", digest)
    story.when(asked, once=False).then(("request.refused.v1.reply", {"code": "not_found"}))
    story.sql("UPDATE file.sandboxes SET removing_at = NULL").when(asked, once=False)
    assert story.rows("SELECT holder, digest FROM file.uses") == [(f"submission/{KEY}", digest)]


def test_a_key_used_for_something_else_or_by_somebody_else_is_a_conflict(story: Story) -> None:
    story.sql("INSERT INTO site.sites VALUES ('A.B.ch', '', 'active', NULL, NULL, NULL, '{}', now())")
    story.when(request(), once=False)
    for other in (request(Arguments="-l"), request(owner="bob")):
        story.when(other, once=False).then(("request.refused.v1.reply", {"code": "conflict"}))


def test_a_hundred_submissions_in_one_batch_get_a_hundred_different_ids(story: Story) -> None:
    story.sql("INSERT INTO site.sites VALUES ('A.B.ch', '', 'active', NULL, NULL, NULL, '{}', now())")
    keys = [f"7d3f0f6e-2c37-4f0e-9a53-{n:012x}" for n in range(100)]
    story.when(*[dataclasses.replace(request(key), id=key) for key in keys], once=False)
    assert story.rows("SELECT count(DISTINCT job_id), max(job_id) FROM job.jobs") == [(100, 100)]


def test_who_the_client_says_it_is_counts_for_nothing(story: Story) -> None:
    story.sql("INSERT INTO site.sites VALUES ('A.B.ch', '', 'active', NULL, NULL, NULL, '{}', now())")
    story.when(request(Owner="root", OwnerGroup="admin"), once=False)
    assert story.rows("SELECT owner, owner_group FROM job.jobs") == [("ada", "local_user")]


def in_group(group: str, key: str = KEY) -> Event:
    """ada submits in a group that she names."""
    return dataclasses.replace(request(key), data=request(key).data | {"owner_group": group})


def test_group_and_community_are_those_of_the_registry(story: Story) -> None:
    communities(story, ada=["bes_user", "juno_user"]).when(request(), once=False)
    assert [fact.vo for fact in story._answers if fact.type == "job.submitted.v1"] == ["bes"]
    story.when(in_group("juno_user", "7c9e6679-7425-40de-944b-e07fc1f90ae7"), once=False)
    assert story.rows("SELECT owner_group, vo FROM job.jobs ORDER BY job_id") == [("bes_user", "bes"), ("juno_user", "juno")]


def test_a_group_that_is_not_ones_own_is_refused(story: Story) -> None:
    communities(story, ada=["bes_user"]).when(in_group("juno_admin"), once=False)
    reason = "you may not submit: ada is not in group juno_admin"
    story.then(("request.refused.v1.reply", {"code": "denied", "reason": reason}))
    assert story.rows("SELECT count(*) FROM job.jobs") == [(0,)]


def test_who_is_in_no_group_or_in_one_that_may_not_submit_gets_no_job(story: Story) -> None:
    communities(story, ada=["bes_watch", "bes_user"], bob=[])
    story.when(request(), once=False).then(("request.refused.v1.reply", {"code": "denied"}))
    assert "group bes_watch may not submit" in story._answers[0].data["reason"]
    story.when(request(owner="bob"), once=False).then(("request.refused.v1.reply", {"code": "denied"}))
    assert story._answers[0].data["reason"] == "you may not submit: bob is in no group"


def test_a_pilot_belongs_to_no_community(story: Story) -> None:
    story.when(request(owner="pilot-p1"), once=False).then(("request.refused.v1.reply", {"code": "denied"}))


def test_the_same_key_in_another_group_is_a_conflict(story: Story) -> None:
    communities(story, ada=["bes_user", "bes_shared"]).when(in_group("bes_user"), once=False)
    story.when(in_group("bes_shared"), once=False).then(("request.refused.v1.reply", {"code": "conflict"}))


def test_a_group_described_away_takes_no_more_jobs_but_a_repeat_is_still_told_its_ids(story: Story) -> None:
    communities(story, ada=["bes_user"]).when(request(), once=False)
    story.sql("UPDATE registry.groups SET properties = '{}' WHERE \"group\" = 'bes_user'")
    story.when(request(), once=False).then(("job.submit.v1.reply", {"first_job_id": 1, "count": 1}))
    story.when(request("7c9e6679-7425-40de-944b-e07fc1f90ae7"), once=False).then(("request.refused.v1.reply", {"code": "denied"}))
