"""`why` at the command line: of a job that waits and of a pilot that got none, through the real house."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bus.errors import Invalid
from bus.runner import Runner
from deploy.verbs.why import moment, nearest
from schemas.rules.explain import why_pilot
from schemas.rules.matching import requirements
from tests.bus.test_life_of_an_event import until
from tests.deploy.test_cli_bad_input import pilotbus, refused
from tests.fix_broker import Vhost
from tests.handlers.people import SITE

NODE = {"Site": "CLOUD.CNIC.cn", "CPUTime": 86_400, "MaxRAM": 16_384, "VirtualOrganization": ["local"]}


@pytest.fixture
def operator(vhost: Vhost, house: Runner, db: psycopg.Connection[Any]) -> dict[str, str]:
    """What an operator's terminal has set; twelve pilots have asked for a job, and p1 got none."""
    assert house
    at = dt.datetime.now(dt.UTC).isoformat()
    queue = {"queue_id": 1, "requirements": requirements({"CPUTime": 300, "MinRAM": 64_000}, "ada", "local_user", "local")}
    db.execute("SELECT match.keep_offers(%s)", (json.dumps([{"at": at, "resource": NODE, "requests": 12, "pilots": 12}]),))
    empty = {"pilot_id": "p1", "request_id": str(uuid.uuid4()), "at": at, "site": NODE["Site"], "resource": NODE}
    db.execute("SELECT match.keep_empties(%s)", (json.dumps([empty | {"reasons": why_pilot(NODE, [queue])}]),))
    db.execute(SITE)
    return {"PILOTBUS_CLIENT_AMQP_URL": vhost.client_url, "PILOTBUS_CA_FILE": vhost.ca_file}


def test_a_job_that_waits_is_explained_as_a_table(
    operator: dict[str, str], vhost: Vhost, db: psycopg.Connection[Any], tmp_path: Path
) -> None:
    (tmp_path / "large.jdl").write_text('Executable = "a"; MinRAM = 64000; CPUTime = 300;')
    job = pilotbus(tmp_path, operator, "submit", "large.jdl").stdout.strip()
    until(lambda: db.execute("SELECT state FROM job.jobs").fetchall() == [("Waiting",)])
    done = pilotbus(tmp_path, operator, "why", job)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    assert shown[0].endswith(
        ": no pilot of the last hour has 64000 MB of memory; the nearest, 12 pilots at CLOUD.CNIC.cn, have 16384 MB of memory"
    )
    assert re.split("  +", shown[2].strip()) == ["Requirement", "The job wants", "Pilots that fail it", "Best seen"]
    assert re.split("  +", shown[3].strip()) == ["MaxRAM", "64000 MB of memory", "12 of 12", "16384 MB of memory"]
    assert shown[5].startswith("The nearest miss, 12 of the pilots: Site CLOUD.CNIC.cn")
    told = json.loads(pilotbus(tmp_path, operator, "why", job, "--json").stdout)
    assert (told["job"]["state"], told["fitting_pilots"]) == ("Waiting", 0)
    refused(pilotbus(tmp_path, operator, "why", job, "--at", "7d"), 3, f"there was no job {job} at")
    mallory = operator | {"PILOTBUS_CLIENT_AMQP_URL": vhost.person("mallory")}
    refused(pilotbus(tmp_path, mallory, "why", job), 3, f"you have no job {job}")
    refused(pilotbus(tmp_path, mallory, "why", "--pilot", "p1"), 4, "mallory needs the property")


def test_a_pilot_that_got_none_is_explained(operator: dict[str, str], tmp_path: Path) -> None:
    done = pilotbus(tmp_path, operator, "why", "--pilot", "p1")
    assert done.returncode == 0, done.stderr
    assert "got no job: none of 1 task queues fits" in done.stdout
    assert re.search("MaxRAM +16384 MB of memory +1 of 1", done.stdout)
    assert "The nearest miss, task queue 1:\n  MaxRAM: the resource has 16384, the job needs 64000\n" in done.stdout
    refused(pilotbus(tmp_path, operator, "why", "--pilot", "p99"), 3, "there is no pilot p99")


def test_what_is_asked_amiss_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    for words, says in (
        ((), "name a job, or a pilot"),
        (("1", "--pilot", "p1"), "not both"),
        (("1-2",), "more than one job"),
        (("1", "--at", "yesterday"), "yesterday"),
    ):
        refused(pilotbus(tmp_path, {}, "why", *words), 2, says)


def test_a_moment_is_said_as_such_or_by_how_long_ago_it_is() -> None:
    assert moment("2026-11-21T12:00:00+01:00") == "2026-11-21T11:00:00Z"
    ago = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(moment("2h"))
    assert 7199 < ago.total_seconds() < 7260
    with pytest.raises(Invalid):
        moment("2 hours ago")
    assert list(nearest({"queue_id": 3, "waiting": 4, "reasons": []})) == ["The nearest miss, task queue 3, with 4 waiting:"]
