"""file.grant: who may have a sandbox gets a signed address, and nobody else."""

from __future__ import annotations

import pytest

from bus.postgres import Direct
from handlers.file.grant import act, decide
from tests.fix_house import OneFile, Story
from tests.handlers.people import event, matched

HANDLER = "file.grant"
DIGEST = "ab" * 32
JOB = {
    "job_id": 1,
    "owner": "ada",
    "pilot_id": "p1",
    "attempt": 1,
    "output_digest": None,
    "description": {"InputSandbox": [f"SB:{DIGEST}"]},
}


@pytest.mark.parametrize(
    ("asked", "account", "gets"),
    [
        ({"job_id": 1, "which": "input"}, "ada", DIGEST),
        ({"job_id": 1, "which": "input"}, "bob", ""),
        ({"job_id": 1, "which": "input", "pilot_id": "p1", "attempt": 1}, "pilot", DIGEST),
        ({"job_id": 1, "which": "input", "pilot_id": "p2", "attempt": 1}, "pilot", ""),
        ({"job_id": 1, "which": "input", "pilot_id": "p1", "attempt": 2}, "pilot", ""),
        ({"job_id": 1, "which": "output"}, "ada", ""),
    ],
)
def test_only_the_owner_and_the_pilot_that_runs_it_get_an_address(asked: dict[str, object], account: str, gets: str) -> None:
    assert decide(asked, JOB, account)[0] == gets


def test_a_put_must_name_what_is_put(story: Story, found) -> None:  # type: ignore[no-untyped-def]
    db = Direct(story._db, found[HANDLER].sql)
    (reply,) = act(event("sandbox.grant.v1", "_", {"operation": "put"}), db, OneFile())
    assert reply.data["code"] == "invalid"
    matched(story, InputSandbox=[f"SB:{DIGEST}"])
    (reply,) = act(event("sandbox.grant.v1", "_", {"operation": "get", "job_id": 1}), db, OneFile())
    assert DIGEST in reply.data["url"]
