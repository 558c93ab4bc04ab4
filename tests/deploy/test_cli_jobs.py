"""Groups of jobs at the command line: found, counted, watched, killed, rescheduled and deleted, through the real house."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bus.errors import Invalid
from bus.runner import Runner
from deploy.verbs._selection import selection
from deploy.verbs.common import job_ranges
from deploy.verbs.jobs import ordered
from tests.bus.test_life_of_an_event import until
from tests.deploy.test_cli_bad_input import NO_BUS, PLAIN, ROOT, pilotbus, refused
from tests.fix_broker import Vhost
from tests.handlers.people import SITE

VERBS = ("kill", "reschedule", "delete", "output")


@pytest.fixture
def person(vhost: Vhost, house: Runner, db: psycopg.Connection[Any], tmp_path: Path) -> dict[str, str]:
    """What somebody's terminal has set, whose jobs 1-120 of group round16 and 121 of none wait."""
    assert house
    db.execute(SITE)
    told = {"PILOTBUS_CLIENT_AMQP_URL": vhost.client_url, "PILOTBUS_CA_FILE": vhost.ca_file}
    (tmp_path / "many.jdl").write_text('Executable = "a"; JobGroup = "round16"; Parameters = 120;')
    (tmp_path / "one.jdl").write_text('Executable = "a"; Arguments = "hello";')
    assert pilotbus(tmp_path, told, "submit", "many.jdl").stdout == "1-120\n"
    assert pilotbus(tmp_path, told, "submit", "one.jdl").stdout == "121\n"
    until(lambda: db.execute("SELECT count(*) FROM job.jobs WHERE state = 'Waiting'").fetchall() == [(121,)], 60)
    return told


def told_json(folder: Path, told: dict[str, str], *words: str, code: int = 0) -> Any:
    """The JSON that a command prints."""
    done = pilotbus(folder, told, *words, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def counts(folder: Path, told: dict[str, str]) -> dict[str, dict[str, int]]:
    """The counts of each group."""
    return {group["job_group"]: group["counts"] for group in told_json(folder, told, "groups")}


def test_a_group_lives_and_ends_by_single_commands(person: dict[str, str], db: psycopg.Connection[Any], tmp_path: Path) -> None:
    assert counts(tmp_path, person) == {"NoGroup": {"Waiting": 1}, "round16": {"Waiting": 120}}
    killed = told_json(tmp_path, person, "kill", "--group", "round16")
    assert killed["counts"] == {"killed": 120, "requested": 0, "acknowledged": 0, "already": 0, "refused": 0}
    again = pilotbus(tmp_path, person, "kill", "--group", "round16")
    assert (again.returncode, again.stdout.split()[-2:]) == (0, ["120", "already"])
    assert counts(tmp_path, person)["round16"] == {"Killed": 120}
    assert told_json(tmp_path, person, "wait", "--group", "round16", code=1)["counts"] == {"Killed": 120}
    refused(pilotbus(tmp_path, person, "wait", "--group", "nothing"), 3, "there are no such jobs")
    refused_all = pilotbus(tmp_path, person, "reschedule", "1-120")
    assert refused_all.returncode == 6
    assert "120 of 120 jobs were not rescheduled: a job that is Killed cannot become Rescheduled" in refused_all.stderr
    db.execute("UPDATE job.jobs SET state = 'Failed' WHERE job_id <= 110")
    again = told_json(tmp_path, person, "reschedule", "--group", "round16")
    assert again["counts"] == {"rescheduled": 110, "already": 0, "refused": 0}
    db.execute("UPDATE bus.timers SET due_at = now() WHERE type = 'job.hold_ended.v1'")
    until(lambda: counts(tmp_path, person)["round16"] == {"Killed": 10, "Waiting": 110}, 60)
    assert told_json(tmp_path, person, "delete", "--group", "round16", "--state", "Killed")["counts"]["deleted"] == 10
    assert len(told_json(tmp_path, person, "status", "--group", "round16")) == 100
    assert len(told_json(tmp_path, person, "jobs", "--group", "round16", "--limit", "1000")) == 110
    shown = pilotbus(tmp_path, person, "groups", "round16")
    assert shown.stdout.split() == [
        "JobGroup", "Owner", "Group", "VO", "Jobs", "Waiting", "Deleted",
        "round16", "root", "local_user", "local", "110", "110", "10",
    ]  # fmt: skip


def test_jobs_are_found_sorted_and_shown_as_wanted(person: dict[str, str], db: psycopg.Connection[Any], tmp_path: Path) -> None:
    db.execute("UPDATE job.jobs SET state = 'Running', site = 'CLOUD.CNIC.cn', pilot_id = 'p1' WHERE job_id IN (3, 5)")
    at_site = told_json(tmp_path, person, "jobs", "--site", "CLOUD.CNIC.cn", "--sort", "-job_id")
    assert [(job["job_id"], job["state"]) for job in at_site] == [(5, "Running"), (3, "Running")]
    shown = pilotbus(tmp_path, person, "jobs", "1-6", "--state", "Running", "--columns", "job_id,site").stdout
    assert shown.split() == ["job_id", "site", "3", "CLOUD.CNIC.cn", "5", "CLOUD.CNIC.cn"]
    assert told_json(tmp_path, person, "jobs", "--until", "1h") == []
    assert len(told_json(tmp_path, person, "jobs", "--since", "1h", "--limit", "121")) == 121
    key = db.execute("SELECT submission::text FROM job.jobs WHERE job_id = 121").fetchone()
    assert key is not None
    assert [job["job_id"] for job in told_json(tmp_path, person, "jobs", "--submission", key[0])] == [121]


def test_one_job_is_shown_whole(person: dict[str, str], db: psycopg.Connection[Any], tmp_path: Path) -> None:
    db.execute("UPDATE job.jobs SET state = 'Running', pilot_id = 'p1' WHERE job_id = 121")
    db.execute("""INSERT INTO job.usage VALUES (121, 1, now(), '{"wall_s": 12.5, "last_lines": ["line \\u001b one"]}')""")
    asked = told_json(tmp_path, person, "kill", "121", "--timeout", "0")
    assert asked["results"] == [{"job_id": 121, "outcome": "requested"}]
    late = told_json(tmp_path, person, "kill", "120-121", "--timeout", "1", code=5)
    assert [result["outcome"] for result in late["results"]] == ["killed", "requested"]
    job = told_json(tmp_path, person, "job", "121")
    assert (job["job_id"], job["state"], job["attributes"]["Arguments"]) == (121, "Running", "hello")
    assert [step["state"] for step in job["history"]][-2:] == ["Checking", "Waiting"]
    assert (job["parameters"]["wall_s"], job["orders"][0]["outcome"]) == (12.5, "requested")
    shown = pilotbus(tmp_path, person, "job", "121").stdout
    for words in ("Arguments", "hello", "wall_s", "12.5", "requested", "line \\x1b one"):
        assert words in shown
    refused(pilotbus(tmp_path, person, "job", "99999"), 3, "you have no job 99999")


def test_watching_shows_what_changes_as_it_changes(person: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.main", "jobs", "1-2", "--watch", "--json", "--timeout", "50"]
    environment = PLAIN | {"PYTHONPATH": str(ROOT)} | person
    watching = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert watching.stdout is not None
        first = [json.loads(watching.stdout.readline()) for _ in range(2)]
        assert [(job["job_id"], job["state"]) for job in first] == [(1, "Waiting"), (2, "Waiting")]
        assert pilotbus(tmp_path, person, "kill", "2").returncode == 0
        changed = json.loads(watching.stdout.readline())
        assert (changed["job_id"], changed["state"]) == (2, "Killed")
    finally:
        watching.terminate()
        watching.wait(20)
        if watching.stdout is not None:
            watching.stdout.close()


def test_kill_waits_until_pilots_have_ended_what_they_were_ordered_to(
    person: dict[str, str], db: psycopg.Connection[Any], tmp_path: Path
) -> None:
    db.execute("UPDATE job.jobs SET state = 'Running', pilot_id = 'p1' WHERE job_id IN (1, 2)")
    command = [sys.executable, "-m", "deploy.main", "kill", "1-3", "--json", "--timeout", "50"]
    environment = PLAIN | {"PYTHONPATH": str(ROOT)} | person
    killing = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: db.execute("SELECT count(*) FROM pilot.orders").fetchall() == [(2,)])
    db.execute("UPDATE job.jobs SET state = 'Killed' WHERE job_id = 1")
    db.execute("UPDATE job.jobs SET state = 'Done' WHERE job_id = 2")  # it was over before its pilot heard of the order
    shown, said = killing.communicate(timeout=60)
    told = json.loads(shown)
    assert told["counts"] == {"killed": 2, "requested": 0, "acknowledged": 0, "already": 0, "refused": 1}
    assert told["results"] == [
        {"job_id": 1, "outcome": "killed"},
        {"job_id": 2, "outcome": "refused", "reason": "it is Done"},
        {"job_id": 3, "outcome": "killed"},
    ]
    assert (killing.returncode, said) == (6, "pilotbus: 1 of 3 jobs were not killed: it is Done\n")


def test_outputs_of_a_group_are_those_that_there_are(person: dict[str, str], tmp_path: Path) -> None:
    assert told_json(tmp_path, person, "output", "--group", "round16") == {"fetched": {}, "refused": {}}
    without = pilotbus(tmp_path, person, "output", "5")
    assert (without.returncode, without.stderr.splitlines()[0]) == (3, "pilotbus: job 5 has no output yet")


def test_what_names_nothing_or_nonsense_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    for verb in VERBS:
        refused(pilotbus(tmp_path, NO_BUS, verb), 2, "name the jobs")
    for words, says in (
        (("kill", "--state", "Waitng"), "Waitng is no job state"),
        (("delete", "7-3"), "7-3"),
        (("jobs", "--sort", "size"), "'size' is no column"),
        (("jobs", "--columns", "job_id,size"), "'size' is no column"),
        (("jobs", "--since", "yesterday"), "yesterday"),
        (("job", "1-2"), "more than one job"),
    ):
        refused(pilotbus(tmp_path, NO_BUS, *words), 2, says)


def test_a_dead_broker_is_told(tmp_path: Path) -> None:
    for words in (("groups",), ("jobs",), ("job", "1"), ("kill", "1"), ("reschedule", "1"), ("delete", "--group", "x")):
        refused(pilotbus(tmp_path, NO_BUS, *words), 5, "127.0.0.1:1")


def test_ids_are_named_one_by_one_only_when_they_are_few() -> None:
    assert selection(["3", "1-2"]) == {"job_ids": [1, 2, 3]}
    assert selection(["1-500", "400-600"], states=["Done"]) == {"ranges": [[1, 600]], "states": ["Done"]}
    assert selection(None, group="x", since="2026-11-21T12:00:00Z") == {
        "job_group": "x",
        "submitted_after": "2026-11-21T12:00:00Z",
    }
    for word in ("x", "1-", "-5", "9-3", "0", "1-1000001", "٣", "9" * 5000):
        with pytest.raises(Invalid):
            job_ranges([word])


def test_sorting_keeps_ids_in_order_among_equals_and_what_is_lacking_first() -> None:
    jobs: list[dict[str, Any]] = [
        {"job_id": 1, "site": "B"},
        {"job_id": 2},
        {"job_id": 3, "site": "A"},
        {"job_id": 4, "site": "A"},
    ]
    assert [job["job_id"] for job in ordered(jobs, "site", down=False)] == [2, 3, 4, 1]
    assert [job["job_id"] for job in ordered(jobs, "job_id", down=True)] == [4, 3, 2, 1]
