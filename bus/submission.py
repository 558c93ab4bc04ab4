"""A submission: all its jobs are accepted or none is, and the same key gets the same ids, whatever was lost on the way.

Two steps: the bus stores all jobs and tells how many; only who counts as many confirms, and then all are Received.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bus.client import Client
from bus.errors import Invalid, Refused, Unavailable
from bus.event import LARGEST_PAGE_BYTES
from bus.sandbox import Packed
from bus.transfer import upload

STORE, CONFIRM, ONE_STEP = "bulk.submit.v1", "bulk.confirm.v1", "job.submit.v1"
PATIENCE_S = 600.0
REPLY_WITHIN_S = 180.0  # a million jobs take two minutes
LARGEST_DESCRIPTION_BYTES = LARGEST_PAGE_BYTES


@dataclass(frozen=True, slots=True)
class Submission:
    """Jobs that were accepted together."""

    key: str
    first_job_id: int
    count: int

    @property
    def job_ids(self) -> range:
        """The ids, one after the other."""
        return range(self.first_job_id, self.first_job_id + self.count)


def key_of(text: str = "") -> str:
    """The submission's key: the one that is given, or a new one. Raises Invalid for what is no uuid."""
    try:
        return str(uuid.UUID(text)) if text else str(uuid.uuid4())
    except ValueError as problem:
        raise Invalid(f"the key {text} is no uuid") from problem


def submit(bus: Client, asked: Mapping[str, Any], count: int, patience_s: float = PATIENCE_S) -> Submission:
    """Every job is Received, once: `asked` is the body of bulk.submit, and `count` says how many jobs it makes.

    What is lost is asked again under the same key, for so many seconds. Raises Refused with the reason, and Unavailable
    with the key under which it may be tried again, at any time, without a job too many.
    """
    exchange = _two_steps if bus.knows(STORE) else _one_step
    try:
        return exchange(bus, asked, count, time.monotonic() + patience_s)
    except Unavailable as problem:
        raise Unavailable(f"{problem}; the same key, {asked['submission']}, may be tried again at any time") from problem


def _two_steps(bus: Client, asked: Mapping[str, Any], count: int, until_s: float) -> Submission:
    stored = bus.insist(STORE, asked, until_s - time.monotonic(), REPLY_WITHIN_S)
    _judge(stored, asked, count)
    named = {name: stored[name] for name in ("submission", "first_job_id", "count")}
    sure = bus.insist(CONFIRM, named, until_s - time.monotonic(), REPLY_WITHIN_S)
    return Submission(asked["submission"], sure["first_job_id"], sure["count"])


def _one_step(bus: Client, asked: Mapping[str, Any], count: int, until_s: float) -> Submission:
    if "dataref" in asked:
        raise Invalid("this version of the bus takes one description at a time, with up to 1000 jobs, and no lists")
    stored = bus.insist(ONE_STEP, asked, until_s - time.monotonic(), REPLY_WITHIN_S)
    _judge(stored, asked, count)
    return Submission(asked["submission"], stored["first_job_id"], stored["count"])


def _judge(stored: Mapping[str, Any], asked: Mapping[str, Any], count: int) -> None:
    if stored["count"] != count:
        reason = f"the bus counts {stored['count']} jobs where {count} were meant, so submission {asked['submission']} was not"
        raise Refused("conflict", f"{reason} confirmed: none of them runs")


def put(bus: Client, packed: Packed, patience_s: float = PATIENCE_S) -> None:
    """The archive, or any file, is in the sandbox store. Raises SandboxError with the store's own reason."""
    about = {"operation": "put", "digest": packed.digest, "size_bytes": packed.size_bytes}
    grant = bus.insist("sandbox.grant.v1", about, patience_s)
    upload(grant["url"], grant["headers"], packed.path, ca_file=bus.ca_file)


def fits(description: Mapping[str, Any]) -> bool:
    """Whether a description is small enough to travel in the request itself."""
    return len(json.dumps(description)) <= LARGEST_DESCRIPTION_BYTES
