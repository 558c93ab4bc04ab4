"""Bad input at the command line: one clear sentence naming the thing and the place, the documented exit code, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bus.runner import Runner
from bus.transport import Transport
from deploy.main import VERBS
from tests.fix_broker import Vhost
from tests.handlers.people import SITE

ROOT = Path(__file__).resolve().parents[2]
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("PILOTBUS_")}


def pilotbus(folder: Path, told: dict[str, str], *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """The real command, in a folder of its own."""
    command = [sys.executable, "-m", "deploy.main", *words]
    environment = PLAIN | {"PYTHONPATH": str(ROOT)} | told
    return subprocess.run(
        command, cwd=folder, env=environment, input=text, capture_output=True, text=True, timeout=60, check=False
    )


def refused(done: subprocess.CompletedProcess[str], code: int, *says: str) -> None:
    """It was refused as it must be."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in says:
        assert word in done.stderr


@pytest.fixture
def told(vhost: Vhost) -> dict[str, str]:
    """The settings of a client on the test's virtual host."""
    return {"PILOTBUS_CLIENT_AMQP_URL": vhost.client_url, "PILOTBUS_CA_FILE": vhost.ca_file}


NO_BUS = {"PILOTBUS_CLIENT_AMQP_URL": "amqp://ada:x@127.0.0.1:1/"}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("bad.jdl", '[ Executable = "/bin/ls" \n Arguments = "x"; ]', ["bad.jdl", "line 1, column 25"]),
        ("open.jdl", '[ Executable = "/bin/ls', ["open.jdl", "line 1"]),
        ("typo.jdl", 'Exectuable = "/bin/ls";', ["Exectuable", "Executable"]),
        ("none.jdl", 'Arguments = "x";', ["Executable"]),
        ("bounds.jdl", 'Executable = "a"; CPUTime = 5;', ["CPUTime"]),
        ("bad.json", '{"Executable": ', ["bad.json", "line 1"]),
        ("bad.yaml", "Executable: [a\nb: }", ["bad.yaml", "line 2"]),
        ("list.yaml", "- a\n", ["list.yaml"]),
        ("file.jdl", 'Executable = "a"; InputSandbox = "nowhere.txt";', ["nowhere.txt"]),
    ],
)
def test_a_description_that_is_wrong_is_refused_with_its_place(
    tmp_path: Path, told: dict[str, str], name: str, text: str, says: list[str]
) -> None:
    (tmp_path / name).write_text(text)
    refused(pilotbus(tmp_path, told, "submit", name), 2, *says)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("submit", "absent.jdl"), 3, ["absent.jdl"]),
        (("submit", "."), 5, ["directory"]),
        (("status", "seventeen"), 2, ["seventeen"]),
        (("status", "9-3"), 2, ["9-3"]),
        (("wait", "-"), 2, ["there are no job ids on standard input"]),
        (("logs", "-"), 2, ["there are no job ids on standard input"]),
        (("logs", "17-18"), 2, ["17-18 is more than one job"]),
        (("publish-event", "job.sumbitted.v1", "{}"), 2, ["job.sumbitted.v1", "did you mean job.submitted.v1"]),
        (("publish-event", "site.described.v1", "{"), 2, ["column"]),
        (("publish-event", "site.described.v1", "--dry-run", '{"site": "A"}'), 2, ["lacks status"]),
        (("status",), 5, ["127.0.0.1:1"]),
    ],
)
def test_a_command_that_can_not_be_carried_out_says_why(
    tmp_path: Path, words: tuple[str, ...], code: int, says: list[str]
) -> None:
    refused(pilotbus(tmp_path, NO_BUS, *words), code, *says)


def test_a_wrong_token_and_a_wrong_authority_are_told_apart_from_a_dead_broker(
    tmp_path: Path, vhost: Vhost, told: dict[str, str]
) -> None:
    wrong = vhost.as_account("ada", "wrong")
    refused(pilotbus(tmp_path, told | {"PILOTBUS_CLIENT_AMQP_URL": wrong}, "status"), 5, "refuses the account")
    (tmp_path / "none.pem").write_text("")
    assert pilotbus(tmp_path, told | {"PILOTBUS_CA_FILE": str(tmp_path / "none.pem")}, "status").returncode == 5


def test_what_the_services_refuse_is_one_sentence_with_its_code(
    tmp_path: Path, told: dict[str, str], house: Runner, db: psycopg.Connection[Any]
) -> None:
    db.execute(SITE)
    (tmp_path / "site.jdl").write_text('Executable = "a"; Site = "CLOUD.CNIC.ch";')
    (tmp_path / "cores.jdl").write_text('Executable = "a"; NumberOfProcessors = 512;')
    (tmp_path / "good.jdl").write_text('Executable = "a";')
    refused(pilotbus(tmp_path, told, "submit", "site.jdl"), 2, "CLOUD.CNIC.ch", "CLOUD.CNIC.cn")
    refused(pilotbus(tmp_path, told, "submit", "cores.jdl"), 2, "512")
    refused(pilotbus(tmp_path, told, "status", "99"), 3, "99")
    refused(pilotbus(tmp_path, told, "logs", "99"), 3, "99")
    refused(pilotbus(tmp_path, told, "drain", "nobody"), 3, "nobody")
    refused(
        pilotbus(tmp_path, told, "publish-event", "job.done.v1", '{"job_id": 1, "attempt": 1, "minor_status": "x"}'),
        2,
        "outsider",
    )
    key = str(uuid.uuid4())
    first = pilotbus(tmp_path, told, "submit", "good.jdl", "--key", key)
    again = pilotbus(tmp_path, told, "submit", "good.jdl", "--key", key)
    assert (first.stdout, first.returncode) == (again.stdout, 0)
    refused(pilotbus(tmp_path, told, "submit", "cores.jdl", "--key", key), 7, key)
    killed = pilotbus(tmp_path, told, "kill", first.stdout.strip())
    assert killed.returncode == 0
    waited = pilotbus(tmp_path, told, "wait", first.stdout.strip(), "--timeout", "20")
    assert waited.returncode == 1
    assert "Killed" in waited.stderr


def test_a_bus_without_services_is_told_in_one_sentence(tmp_path: Path, vhost: Vhost, told: dict[str, str]) -> None:
    with Transport(vhost.service_url, vhost.ca_file).closing() as service:
        service.delete("job.query")
    refused(pilotbus(tmp_path, told, "status"), 2, "job.query.v1")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(tmp_path: Path, verb: str) -> None:
    done = pilotbus(tmp_path, {}, verb.replace("_", "-"), "-h")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_missing_arguments_are_usage_errors(tmp_path: Path) -> None:
    done = pilotbus(tmp_path, NO_BUS, "wait")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
