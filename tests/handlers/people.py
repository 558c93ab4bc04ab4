"""Rows and events that many handler tests begin with."""

from __future__ import annotations

import dataclasses
import uuid
from concurrent.futures import Future
from typing import Any

from bus.event import Event
from schemas.rules.inputs import inputs
from tests.fix_house import Story

SUBMISSION = "7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01"
GROUPS = {
    "user": ["NormalUser"],
    "shared": ["NormalUser", "JobSharing"],
    "admin": ["JobAdministrator"],
    "watch": ["JobMonitor"],
    "nothing": [],
}
SITE = "INSERT INTO site.sites VALUES ('CLOUD.CNIC.cn', '', 'active', 8, NULL, NULL, '{}', '2026-01-01T00:00:00Z')"


def event(kind: str, subject: object, data: dict[str, Any], authid: str = "ada") -> Event:
    """Any event, as the gate or a service would pass it on."""
    return Event(kind, f"/{authid}/test", str(subject), data, authid=authid)


def described(story: Story, *things: tuple[str, dict[str, Any]], at: str = "2026-11-20T00:00:00Z") -> Story:
    """An operator has described these: ("group", {"group": "bes_user", …}), …"""
    for kind, data in things:
        name = str(data.get("account") or data.get("group") or data["vo"]).replace(".", "_")
        told = dataclasses.replace(event(f"{kind}.described.v1", name, data, authid="root"), time=at)
        story.given("registry.describe", told)
    return story


def communities(story: Story, **people: list[str]) -> Story:
    """The communities bes and juno with a group for each property that opens jobs, and these people in their groups."""
    story = described(story, ("vo", {"vo": "bes"}), ("vo", {"vo": "juno"}))
    for vo in ("bes", "juno"):
        for word, properties in GROUPS.items():
            described(story, ("group", {"group": f"{vo}_{word}", "vo": vo, "properties": properties}))
    return described(story, *[("user", {"account": name, "groups": groups}) for name, groups in people.items()])


def put(story: Story, *digests: str) -> Story:
    """These sandboxes are in the store."""
    for digest in digests:
        story.sql("INSERT INTO file.sandboxes VALUES (%s, 1, now()) ON CONFLICT DO NOTHING", digest)
    return story


def submitted(story: Story, count: int = 1, owner_group: str = "", **description: Any) -> Story:
    """ada has put the inputs and submitted so many jobs, in her default group unless another is named; they are Received."""
    put(story.sql(SITE + " ON CONFLICT DO NOTHING"), *inputs(description))
    asked = {"submission": str(uuid.uuid4()), "description": {"Executable": "/bin/ls", "Parameters": count} | description}
    asked |= {"owner_group": owner_group} if owner_group else {}
    return story.given("job.submit", event("job.submit.v1", asked["submission"], asked))


def waiting(story: Story, count: int = 1, **description: Any) -> Story:
    """ada has submitted so many jobs; they are Waiting."""
    submitted(story, count, **description)
    for (job_id,) in story.rows("SELECT job_id FROM job.jobs WHERE state = 'Received' ORDER BY 1"):
        story.given("job.check", event("job.submitted.v1", job_id, {"job_id": job_id}))
        story.given("job.schedule", event("job.checked.v1", job_id, {"job_id": job_id, "attempt": 1}))
    return story


def until_locked(story: Story, work: Future[Any]) -> None:
    """The work waits for a lock that somebody else has."""
    while not story.rows("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"):
        assert not work.done(), work.result()


def match_request(pilot_id: str = "p1", request_id: str = "", **resource: Any) -> Event:
    """A pilot of site CLOUD.CNIC.cn asks for a job."""
    node = {"Site": "CLOUD.CNIC.cn", "CPUTime": 500_000, "NumberOfProcessors": 4, "MaxRAM": 4000} | resource
    data = {"request_id": request_id or str(uuid.uuid4()), "pilot_id": pilot_id, "wait_s": 60, "resource": node}
    return event("match.request.v1", pilot_id, data, authid=f"pilot-{pilot_id}")


def matched(story: Story, pilot_id: str = "p1", **description: Any) -> Story:
    """Job 1 is ada's and Matched to the pilot."""
    return waiting(story, **description).given("match.request", match_request(pilot_id))


def report(state: str, minor: str = "Application", attempt: int = 1, pilot_id: str = "p1", **more: Any) -> Event:
    """The pilot says how job 1 is."""
    data = {"job_id": 1, "attempt": attempt, "pilot_id": pilot_id, "state": state, "minor_status": minor} | more
    return event("job.reported.v1", 1, data, authid=f"pilot-{pilot_id}")


def state_of(story: Story) -> tuple[Any, ...]:
    """State, minor status and attempt of job 1."""
    (row,) = story.rows("SELECT state, minor_status, attempt FROM job.jobs WHERE job_id = 1")
    return row
