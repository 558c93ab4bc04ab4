"""Submissions in two steps, as tests make them: requests, a store with rows, and how far each handler has come."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from bus.event import Event
from tests.fix_house import Story
from tests.handlers.people import SITE, SUBMISSION, event

SWEEP = {"Executable": "/bin/echo", "Arguments": "%s", "JobGroup": "round16", "Parameters": 5, "ParameterStep": 2}
EXPIRED = event("bulk.expired.v1", SUBMISSION, {"submission": SUBMISSION}, authid="pilotbus")


class Shelf:
    """A sandbox store that holds these texts."""

    def __init__(self, *texts: bytes) -> None:
        self._texts = {sha256(text).hexdigest(): text for text in texts}

    def size_of(self, digest: str) -> int | None:
        """How large it is, if it is there."""
        return len(self._texts[digest]) if digest in self._texts else None

    def pieces(self, digest: str) -> Iterator[bytes]:
        """Its bytes, few at a time."""
        text = self._texts[digest]
        return (text[at : at + 100] for at in range(0, len(text), 100))


def submit(authid: str = "ada", submission: str = SUBMISSION, **asked: Any) -> Event:
    """ada hands in the sweep, or what else is said."""
    data = {"submission": submission} | (asked if {"description", "dataref"} & set(asked) else {"description": SWEEP} | asked)
    return event("bulk.submit.v1", submission, data, authid=authid)


def ref(text: bytes, kind: str = "jsonl") -> dict[str, Any]:
    """Where the rows are."""
    return {"digest": sha256(text).hexdigest(), "size_bytes": len(text), "format": kind}


def confirm(count: int = 5, first_job_id: int = 1, authid: str = "ada", submission: str = SUBMISSION) -> Event:
    """ada confirms the sweep, or what else is said."""
    told = {"submission": submission, "first_job_id": first_job_id, "count": count}
    return event("bulk.confirm.v1", submission, told, authid=authid)


def stored(story: Story, **asked: Any) -> Story:
    """ada's jobs are Submitting."""
    return story.sql(SITE + " ON CONFLICT DO NOTHING").given("bulk.submit", submit(**asked))


def confirmed(story: Story, count: int = 5, **asked: Any) -> Story:
    """ada's jobs are Received."""
    return stored(story, **asked).given("bulk.confirm", confirm(count))


def checked(first: int = 1, last: int = 5) -> Event:
    """The part has passed its checks."""
    return event("bulk.checked.v1", SUBMISSION, {"submission": SUBMISSION, "first_job_id": first, "last_job_id": last})


def waiting(story: Story, count: int = 5, **asked: Any) -> Story:
    """ada's jobs are Waiting."""
    confirmed(story, count, **asked).given("bulk.check", event("bulk.confirmed.v1", SUBMISSION, {"submission": SUBMISSION}))
    return story.given("bulk.schedule", checked(last=count))


def states(story: Story) -> list[tuple[Any, ...]]:
    """How many jobs are how."""
    return story.rows("SELECT state, count(*) FROM job.jobs GROUP BY 1 ORDER BY 1")
