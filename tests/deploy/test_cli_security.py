"""Ban, unban, watch and trace at the command line, on the real bus and the real broker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bus.administration import Administration
from bus.event import now
from bus.runner import Runner
from deploy.verbs.security import moment, row
from tests.deploy.test_cli_bad_input import PLAIN, ROOT, pilotbus, refused
from tests.fix_broker import Vhost

JOB = """
INSERT INTO bus.events (event_id, type, subject, body, recorded_at)
SELECT gen_random_uuid(), type, '1', body, now() - interval '1 hour' FROM (VALUES
    ('pilot.enrolled.v1', '{"data": {"pilot_id": "p1", "peer": "192.0.2.7"}}'::json),
    ('job.matched.v1', '{"owner": "ada", "vo": "bes",
      "data": {"job_id": 17, "attempt": 1, "pilot_id": "p1", "site": "CLOUD.CNIC.cn"}}')
) v (type, body)"""


@pytest.fixture
def hands(hands: dict[str, Any], vhost: Vhost) -> Iterator[dict[str, Any]]:
    """The real administration; what the test has shut out is let in again, because the broker is everybody's."""
    real = Administration(vhost.management_url, vhost.ca_file, lambda: vhost.issuer.management().text)
    yield hands | {"security.cut": real}
    real.let_in(["mallory", "pilot-p9"])


@pytest.fixture
def operator(vhost: Vhost, house: Runner) -> dict[str, str]:
    """The settings of an operator's client of a house at work."""
    assert house
    return {"PILOTBUS_CLIENT_AMQP_URL": vhost.client_url, "PILOTBUS_CA_FILE": vhost.ca_file}


def test_ban_watch_and_unban(operator: dict[str, str], vhost: Vhost, tmp_path: Path) -> None:
    done = pilotbus(tmp_path, operator, "ban", "user", "mallory", "--reason", "a stolen key", "--hours", "0.5")
    assert "user mallory is banned until " in done.stderr
    assert "no such user is known" in " ".join(done.stderr.split())
    told = json.loads(pilotbus(tmp_path, operator, "ban", "pilot", "p9", "--reason", "x", "--json").stdout)
    assert told == {"kind": "pilot", "name": "p9", "known": True, "killed": 0}
    refused(pilotbus(tmp_path, operator, "ban", "pilot", "p9", "--reason", "x", "--hours", "1"), 2, "revoked for good")
    refused(pilotbus(tmp_path, operator, "ban", "site", "A.B", "--reason", "x", "--kill-jobs"), 2, "only a person")
    refused(pilotbus(tmp_path, operator, "ban", "pilot", "nobody", "--reason", "x"), 3, "there is no pilot nobody")
    refused(pilotbus(tmp_path, operator, "ban", "planet", "earth", "--reason", "x"), 2, "planet")
    assert pilotbus(tmp_path, operator, "ban", "user", "mallory", "--reason", "x", "--hours", "0").returncode == 2

    shown = json.loads(pilotbus(tmp_path, operator, "security", "--since", "1h", "--json").stdout)
    assert [event["type"] for event in shown] == ["security.banned.v1", "security.banned.v1", "pilot.revoked.v1"], "newest last"
    table = pilotbus(tmp_path, operator, "security", "--account", "mallory").stdout
    assert [word in table for word in ("user mallory", "a stolen key", "p9")] == [True, True, False]
    refused(pilotbus(tmp_path, operator, "security", "--since", "yesterday"), 2, "--since yesterday: write 30m")

    assert "is not banned any more" in pilotbus(tmp_path, operator, "unban", "user", "mallory").stderr
    refused(pilotbus(tmp_path, operator, "unban", "user", "mallory"), 3, "is not banned")
    refused(pilotbus(tmp_path, operator, "unban", "pilot", "p9"), 7, "stays so")

    person = operator | {"PILOTBUS_CLIENT_AMQP_URL": vhost.person("carl")}
    for words in (["ban", "user", "ada", "--reason", "x"], ["unban", "user", "ada"], ["security"], ["who-ran", "x", now()]):
        refused(pilotbus(tmp_path, person, *words), 4)
    refused(pilotbus(tmp_path, person, "security", "-f"), 4, "operators")


def test_what_happens_is_followed_line_by_line(operator: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.main", "security", "-f"]
    environment = PLAIN | {"PYTHONPATH": str(ROOT)} | operator
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as follower:
        try:
            assert follower.stdout is not None
            assert follower.stdout.readline().split() == ["At", "What", "Who", "Why"], "from here on it follows"
            pilotbus(tmp_path, operator, "ban", "user", "mallory", "--reason", "stolen\x1b[2J")
            words = follower.stdout.readline().split()
            assert words[1:] == ["security.banned", "user", "mallory", "stolen\\x1b[2J"], "a terminal obeys nothing of it"
        finally:
            follower.terminate()


def test_whose_job_ran_on_a_node(operator: dict[str, str], db: psycopg.Connection[Any], tmp_path: Path) -> None:
    db.execute(JOB)
    (job,) = json.loads(pilotbus(tmp_path, operator, "who-ran", "192.0.2.7", now(), "--json").stdout)
    assert (job["job_id"], job["owner"], job["vo"], job["pilot_id"]) == (17, "ada", "bes", "p1")
    assert "CLOUD.CNIC.cn" in pilotbus(tmp_path, operator, "who-ran", "192.0.2.7", now()).stdout
    assert pilotbus(tmp_path, operator, "who-ran", "192.0.2.8", now()).returncode == 3
    refused(pilotbus(tmp_path, operator, "who-ran", "192.0.2.7", "noon"), 2, "'noon' is no moment")


def test_a_row_says_when_what_who_and_why() -> None:
    reused = {"type": "security.secret_reused.v1", "at": "T", "told": {"pilot_id": "p1", "site": "A.B", "peer": "192.0.2.66"}}
    assert row(reused) == ("T", "security.secret_reused", "p1", "site A.B, peer 192.0.2.66")
    lifted = {"type": "security.ban_lifted.v1", "at": "T", "told": {"kind": "site", "name": "A.B"}}
    assert row(lifted)[2:] == ("site A.B", "")
    ago = datetime.now(UTC) - datetime.fromisoformat(moment("2h"))
    assert 7199 < ago.total_seconds() < 7202
