"""`logs` and `pilots` at the command line: lines that a real pilot's line to the real broker carried, through the real house."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bus.runner import Runner
from deploy.verbs.pilots import rows_of, seconds
from pilot.wire.line_spool import LineSpool
from pilot.wire.lines import Lines, Stream
from pilot.wire.link import Link
from pilot.wire.login import login
from pilot.wire.outbox import Outbox
from pilot.wire.spool import Spool
from tests.deploy.test_cli_bad_input import PLAIN, ROOT, pilotbus, refused
from tests.fix_broker import Vhost

OUT, ERR, OF_JOB, OWN = Stream(1, 1, "std.out"), Stream(1, 1, "std.err"), Stream(1, 1, "pilot"), Stream(None, None, "pilot")
JOB = """
INSERT INTO job.submissions VALUES ('7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', 'ada', '', 1, 1, now());
INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, state, minor_status, priority, description,
                      pilot_id, attempt, submitted_at, changed_at)
VALUES (1, '7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', 'ada', 'local_user', 'local', 'n', 'g', 'Running', 'Application', 1, '{}',
        'p1', 1, now(), now());
"""


@pytest.fixture
def person(vhost: Vhost, house: Runner, db: psycopg.Connection[Any]) -> dict[str, str]:
    """The settings of ada's client; her job 1 runs on pilot p1, in a house at work."""
    assert house
    db.execute(JOB)
    return {"PILOTBUS_CLIENT_AMQP_URL": vhost.person("ada"), "PILOTBUS_CA_FILE": vhost.ca_file}


@pytest.fixture
def pilot(vhost: Vhost, tmp_path: Path) -> Iterator[Callable[[Lines], Link]]:
    """Pilot p1's line to the broker, for these lines."""
    made: list[Link] = []

    def link(lines: Lines) -> Link:
        outbox = Outbox("/pilot-p1/p1", "p1", Spool(tmp_path / f"spool-{len(made)}"), lines)
        made.append(Link(login(vhost.pilot_url, ca_file=vhost.ca_file), outbox, lambda _text: None))
        return made[-1]

    yield link
    for each in made:
        each.close()


def done(link: Link) -> None:
    """The job is over."""
    told = {"job_id": 1, "attempt": 1, "pilot_id": "p1", "state": "Done", "minor_status": "Execution Complete", "exit_code": 0}
    assert link.settle(30, only_lines=True)
    link.record("job.reported.v1", told)
    assert link.settle(30)


def phase(link: Link, number: int, name: str, **more: Any) -> None:
    """The pilot says where it is."""
    link.record("pilot.reported.v1", {"pilot_id": "p1", "site": "CLOUD.CNIC.cn", "phase": name, "number": number, **more})


def test_the_live_tail_begins_with_history_and_goes_on_without_hole_or_double(
    person: dict[str, str], pilot: Callable[[Lines], Link], tmp_path: Path
) -> None:
    link = pilot(Lines(LineSpool(tmp_path / "lines", 64 << 20)))
    link.start(20)
    link.lines(OUT, [f"line {number}" for number in range(1, 1001)])
    assert link.settle(30)
    command = [sys.executable, "-m", "deploy.main", "logs", "-f", "1", "--json"]
    environment = PLAIN | {"PYTHONPATH": str(ROOT)} | person
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        found = []
        for number in range(1001, 9001, 400):
            link.lines(OUT, [f"line {one}" for one in range(number, number + 400)])
            link.lines(ERR, [f"error {number}"])
            found.append(json.loads(follower.stdout.readline()))
        done(link)
        found += [json.loads(line) for line in follower.stdout]
        assert follower.wait(30) == 0
    assert [line["text"] for line in found if line["stream"] == "std.out"] == [f"line {number}" for number in range(1, 9001)]
    assert [line["number"] for line in found if line["stream"] == "std.err"] == list(range(1, 21))


def test_what_is_missing_is_told(person: dict[str, str], vhost: Vhost, pilot: Callable[[Lines], Link], tmp_path: Path) -> None:
    lines = Lines(most_lines=50)
    lines.add_all(OUT, [f"line {number}" for number in range(1, 201)])
    lines.add_all(OUT, ["DEBUG 201", "line 202", "DEBUG 203", *[f"line {number}" for number in range(204, 252)]])
    link = pilot(lines)
    link.start(20)
    done(link)
    shown = pilotbus(tmp_path, person, "logs", "1")
    assert shown.stderr.count("are missing …") == 3
    assert shown.stdout.splitlines()[-1] == "line 251"
    assert "[pilot] 201 lines of std.out, 2 of them debug, were dropped here" in shown.stdout
    told = [
        json.loads(line) for line in pilotbus(tmp_path, person, "logs", "1", "--json", "--stream", "std.out").stdout.splitlines()
    ]
    assert sum(line.get("missing", 0) for line in told) == 201
    assert [line["stream"] for line in told if "text" not in line] == ["std.out"] * 3
    followed = pilotbus(tmp_path, person, "logs", "1", "-f")
    assert followed.stdout == shown.stdout
    assert pilotbus(tmp_path, person, "logs", "1", "--attempt", "2").stdout == ""
    refused(pilotbus(tmp_path, person, "logs", "1", "--stream", "std.in"), 2, "std.in is no stream")
    refused(pilotbus(tmp_path, person, "logs"), 2, "name a job")
    carl = person | {"PILOTBUS_CLIENT_AMQP_URL": vhost.person("carl")}
    refused(pilotbus(tmp_path, carl, "logs", "--pilot", "p1"), 4, "needs the property")


def test_the_life_and_the_words_of_a_pilot_are_shown_with_gaps(
    person: dict[str, str], vhost: Vhost, pilot: Callable[[Lines], Link], tmp_path: Path
) -> None:
    operator = person | {"PILOTBUS_CLIENT_AMQP_URL": vhost.client_url}
    lines = Lines(most_lines=2)
    lines.add_all(OWN, ["one", "two", "three"])
    link = pilot(lines)
    link.start(20)
    phase(link, 1, "booted")
    phase(link, 4, "matched", seconds=0.5, job_id=1, attempt=1)
    phase(link, 5, "payload_ended", seconds=20.0, job_id=1, attempt=1)
    assert link.settle(30)
    command = [sys.executable, "-m", "deploy.main", "logs", "-f", "--pilot", "p1", "--json"]
    environment = PLAIN | {"PYTHONPATH": str(ROOT)} | operator
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        found = [json.loads(follower.stdout.readline()) for _ in range(4)]
        link.line(OWN, "last words", "warning")
        phase(link, 6, "leaving", details={"reason": "check_worker_node: free_mb is 12", "failed": True})
        assert link.settle(30)
        found += [json.loads(line) for line in follower.stdout]
        assert follower.wait(30) == 0
    assert [line.get("missing") or line["text"] for line in found[:3]] == [1, "two", "three"]
    assert "1 lines of pilot were dropped" in found[3]["text"]
    assert (found[-1]["text"], found[-1]["level"]) == ("last words", "warning")

    shown = pilotbus(tmp_path, person, "pilots", "show", "p1").stdout
    assert [word in shown for word in ("2 phases are missing", "0.500", "free_mb is 12")] == [True] * 3
    assert [p["number"] for p in json.loads(pilotbus(tmp_path, person, "pilots", "show", "p1", "--json").stdout)] == [1, 4, 5, 6]
    told = json.loads(pilotbus(tmp_path, person, "pilots", "stats", "--since", "1h", "--site", "CLOUD.CNIC.cn", "--json").stdout)
    assert {p["phase"]: p.get("p50_s") for p in told["phases"]} == {
        "booted": None,
        "matched": 0.5,
        "payload_ended": 20.0,
        "leaving": None,
    }
    (left,) = told["leaving"]
    assert (left["failed"], left["count"]) == (True, 1)
    table = pilotbus(tmp_path, person, "pilots", "stats").stdout
    assert [word in table for word in ("payload_ended", "20", "failed", "free_mb is 12")] == [True] * 4
    assert json.loads(pilotbus(tmp_path, person, "pilots", "--json").stdout)[0]["state"] == "Failed"
    refused(pilotbus(tmp_path, person, "pilots", "stats", "--since", "yesterday"), 2, "'yesterday' is no time")
    refused(pilotbus(tmp_path, person, "pilots", "show", "nobody"), 3, "there is no pilot nobody")


def test_a_gap_in_the_phases_is_a_row_of_its_own() -> None:
    told = [{"number": number, "phase": "asking", "at": "T"} for number in (2, 3, 7)]
    assert [row[1] for row in rows_of(told)] == ["1 phases are missing", "asking", "asking", "3 phases are missing", "asking"]


def test_times_are_read() -> None:
    assert [seconds(text) for text in ("90s", "30m", "24h", "7d")] == [90, 1800, 86_400, 604_800]
