"""The broker is killed for a minute while twenty payloads run: all of them end well, and nothing of record is lost or doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bus.client import Client
from deploy import certificates, process, rabbitmq, stack
from deploy.accounts import VHOST, definitions, login_account
from deploy.local import invite
from handlers.token.issuer import Issuer
from tests.bus.test_life_of_an_event import until

PAYLOADS = 20
AWAY_S = 60
# they end one after another, from the outage's beginning to well after it
SCRIPT = "i=0; until [ $i = $((20 + 8 * %s)) ]; do i=$((i + 1)); echo line $i; sleep 0.5; done"
LONGEST_S = 10 + 4 * PAYLOADS


class Stack:
    """A stack of its own, whose broker may die."""

    def __init__(self, root: Path) -> None:
        self.name, self.root, self.directory = "away", root, root / "away"
        self.told = stack.start(self.name, root)
        self._started: list[subprocess.Popen[bytes]] = []

    def run(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """A process that is ended with the test."""
        own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(stack.__file__).parents[1])}
        started = subprocess.Popen(
            [sys.executable, *command], env=own | environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._started.append(started)
        return started

    def kill_broker(self) -> None:
        """It is gone in the middle of what it did."""
        pid = process.leader_of(self.directory, "rabbitmq")
        assert pid is not None
        os.killpg(pid, signal.SIGKILL)

    def start_broker(self) -> None:
        """It takes connections again."""
        files = certificates.ensure(self.directory / "certificates")
        at = stack.ports(self.name, self.root)
        issuer = Issuer(self.told["PILOTBUS_ISSUER_DIR"], self.told["PILOTBUS_DOOR_URL"], VHOST)
        keys = issuer.public_files(self.directory / "rabbitmq" / "keys")
        rabbitmq.launch(self.directory, at, files, definitions(login_account()), keys)
        rabbitmq.wait_until_ready(self.directory, at["amqp"], files)

    def close(self) -> None:
        """Nothing of it runs."""
        for one in self._started:
            one.kill()
            one.communicate()
        stack.stop(self.name, self.root)


@pytest.fixture
def own_stack(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Broker, database and services; pilots can be started."""
    for name in [name for name in os.environ if name.startswith("PILOTBUS_")]:
        monkeypatch.delenv(name)  # or the stack of the other tests would be taken
    root = tmp_path_factory.mktemp("stacks")
    for folder in (root, *root.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)  # PostgreSQL runs as another user
    made = Stack(root)
    services = made.run("-m", "deploy.main", "run", **made.told)
    assert services.stdout is not None
    assert services.stdout.readline() == b"ready\n"
    yield made
    made.close()


@pytest.mark.timeout(400)
def test_all_payloads_end_well_and_all_phases_arrive_exactly_once(own_stack: Stack, pilot_zip: Path, tmp_path: Path) -> None:
    told = own_stack.told
    known = {name: told[name] for name in ("PILOTBUS_PILOT_AMQP_URL", "PILOTBUS_DOOR_URL", "PILOTBUS_CA_FILE")}
    for pilot_id, secret in invite(told["PILOTBUS_CLIENT_AMQP_URL"], told["PILOTBUS_CA_FILE"], "LOCAL.laptop.org", PAYLOADS):
        flags = ("--workdir", str(tmp_path / pilot_id), "--isolation", "none", "--max-jobs", "1")
        own_stack.run(str(pilot_zip), *flags, PILOTBUS_PILOT_SECRET=secret, **known)
    description = {"Executable": "/bin/sh", "Arguments": f"-c '{SCRIPT}'", "CPUTime": 1000}
    description |= {"Parameters": PAYLOADS, "ParameterStart": 1, "ParameterStep": 1}
    with Client(told["PILOTBUS_CLIENT_AMQP_URL"], told["PILOTBUS_CA_FILE"]) as client:
        client.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": description})
    with psycopg.connect(told["PILOTBUS_DSN"], autocommit=True) as db:

        def count(condition: str) -> int:
            return int(db.execute(f"SELECT count(*) FROM job.jobs WHERE {condition}").fetchone()[0])  # type: ignore[index]

        until(lambda: count("minor_status = 'Application'") >= PAYLOADS - 2, 120)
        own_stack.kill_broker()
        killed_at = time.monotonic()
        done_before = count("state = 'Done'")
        time.sleep(AWAY_S)  # time is what is tested
        own_stack.start_broker()
        print(f"the broker was away for {time.monotonic() - killed_at:.0f} s; {done_before} of {PAYLOADS} had ended before")
        until(lambda: count("state = 'Done' AND attempt = 1") == PAYLOADS, 60 + LONGEST_S)
        until(lambda: db.execute("SELECT count(*) FROM pilot.pilots WHERE state = 'Done'").fetchone() == (PAYLOADS,), 60)
        phases = db.execute(
            "SELECT subject, array_agg((body->'data'->>'number')::int ORDER BY position) FROM bus.events"
            " WHERE type = 'pilot.reported.v1' GROUP BY subject"
        ).fetchall()
    assert len(phases) == PAYLOADS
    for pilot_id, numbers in phases:
        assert numbers == list(range(1, len(numbers) + 1)), f"the phases of pilot {pilot_id}"
    with Client(told["PILOTBUS_CLIENT_AMQP_URL"], told["PILOTBUS_CA_FILE"]) as client:
        gaps = {job_id: undeclared(lines_of(client, job_id), 20 + 8 * job_id) for job_id in range(1, PAYLOADS + 1)}
    assert gaps == dict.fromkeys(gaps, 0)


def lines_of(client: Client, job_id: int) -> list[dict[str, Any]]:
    """Every line of the job."""
    found: list[dict[str, Any]] = []
    after: dict[str, int] = {}
    while True:
        page = client.ask("log.read.v1", {"job_id": job_id, "after": after})
        found += page["lines"]
        after |= {f"{line['attempt']}/{line['stream']}": line["number"] for line in page["lines"]}
        if not page["more"]:
            return found


def undeclared(lines: list[dict[str, Any]], written: int) -> int:
    """How many of the lines that the payload wrote neither arrived nor were said to be dropped."""
    arrived = {line["text"] for line in lines if line["stream"] == "std.out"}
    declared = sum(int(line["text"].split()[0]) for line in lines if "were dropped here" in line["text"])
    return written - len(arrived) - declared
