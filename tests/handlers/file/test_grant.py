"""file.grant: who may have a sandbox gets a signed address, and nobody else."""

from __future__ import annotations

import pytest

from bus.discover import Handler
from bus.event import Event
from bus.postgres import Direct
from handlers.file.grant import act, decide, stored
from tests.fix_house import OneFile, Story
from tests.handlers.bulks import SWEEP
from tests.handlers.bulks import stored as stored_bulk
from tests.handlers.people import communities, event, matched, put, submitted

HANDLER = "file.grant"
DIGEST = "ab" * 32
PUT = {"operation": "put", "digest": DIGEST, "size_bytes": 1}
GET = {"operation": "get", "job_id": 1, "which": "input"}
OWN = {"pilot_id": "p1", "attempt": 1}
BES_USER = [{"group": "bes_user", "vo": "bes", "properties": ["NormalUser"]}]
JOB = {
    "job_id": 1,
    "owner": "ada",
    "owner_group": "bes_user",
    "vo": "bes",
    "state": "Running",
    "pilot_id": "p1",
    "attempt": 1,
    "output_digest": None,
    "description": {"InputSandbox": [f"SB:{DIGEST}"]},
}


@pytest.mark.parametrize(
    ("asked", "account", "state", "granted"),
    [
        (GET, "ada", "Running", True),
        (GET, "bob", "Running", False),
        (GET | OWN, "pilot-p1", "Running", True),
        (GET | OWN, "pilot-p2", "Running", False),
        (GET | OWN, "pilot", "Running", False),
        (GET | OWN, "p1", "Running", False),
        (GET | OWN | {"pilot_id": "p2"}, "pilot-p1", "Running", False),
        (GET | OWN | {"pilot_id": "p2"}, "pilot-p2", "Running", False),
        (GET | {"attempt": 1}, "pilot-p1", "Running", False),
        (GET | OWN | {"attempt": 2}, "pilot-p1", "Running", False),
        (PUT | OWN | {"job_id": 1}, "pilot-p1", "Completing", True),
        (PUT | OWN | {"job_id": 1}, "pilot-p2", "Completing", False),
        (PUT | {"job_id": 1}, "ada", "Running", True),
        (PUT | {"job_id": 1}, "bob", "Running", False),
        *[(GET | OWN, "pilot-p1", state, False) for state in ("Done", "Completed", "Failed", "Killed", "Deleted")],
        (GET, "ada", "Done", True),
    ],
)
def test_only_the_owner_and_the_pilot_that_runs_the_attempt_get_an_address(
    asked: dict[str, object], account: str, state: str, granted: bool
) -> None:
    memberships = [] if account.startswith("p") else BES_USER
    assert (decide(asked, JOB | {"state": state}, account, memberships) is None) == granted


def test_the_digest_is_the_jobs_and_not_the_askers() -> None:
    assert stored(GET | {"digest": "cd" * 32}, JOB)[0] == DIGEST
    assert stored({"which": "output"}, JOB) == ("", "job 1 has no output yet")


def asked(story: Story, found: dict[str, Handler], body: dict[str, object], by: str = "ada") -> Event:
    """What this account is told."""
    (reply,) = act(event("sandbox.grant.v1", "_", body, authid=by), Direct(story._db, found[HANDLER].sql), OneFile())
    return reply


def test_a_put_must_name_what_is_put(story: Story, found: dict[str, Handler]) -> None:
    assert asked(story, found, {"operation": "put"}).data["code"] == "invalid"
    matched(story, InputSandbox=[f"SB:{DIGEST}"])
    assert DIGEST in asked(story, found, GET).data["url"]


def test_a_pilot_puts_only_for_the_job_that_it_has(story: Story, found: dict[str, Handler]) -> None:
    matched(story)
    assert "url" in asked(story, found, PUT | OWN | {"job_id": 1}, "pilot-p1").data
    for body in (PUT, PUT | OWN, PUT | OWN | {"job_id": 2}, PUT | OWN | {"job_id": 1, "attempt": 2}):
        assert asked(story, found, body, "pilot-p1").data["code"] == "denied"


def test_another_community_gets_and_puts_nothing_and_sharing_does(story: Story, found: dict[str, Handler]) -> None:
    communities(story, ada=["bes_shared"], bob=["bes_shared"], max=["bes_admin"], mona=["bes_watch"], eve=["juno_admin"], zoe=[])
    submitted(story, InputSandbox=[f"SB:{DIGEST}"])
    told = {name: asked(story, found, GET, name).data.get("code", "url") for name in ("ada", "bob", "max", "mona", "eve", "zoe")}
    assert told == {"ada": "url", "bob": "url", "max": "url", "mona": "not_found", "eve": "not_found", "zoe": "not_found"}
    assert asked(story, found, GET, "eve").data["reason"] == "there is no job 1"
    puts = {name: asked(story, found, PUT, name).data.get("code", "url") for name in ("ada", "max", "zoe")}
    assert puts == {"ada": "url", "max": "denied", "zoe": "denied"}


def test_a_job_of_a_template_has_the_sandbox_of_its_place(story: Story, found: dict[str, Handler]) -> None:
    communities(story, ada=["bes_user"])
    stored_bulk(put(story, "cd" * 32, DIGEST), description=SWEEP | {"InputSandbox": ["SB:%s"], "Parameters": ["cd" * 32, DIGEST]})
    assert asked(story, found, GET | {"job_id": 2}).data["digest"] == DIGEST
