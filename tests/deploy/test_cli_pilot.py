"""`pilotbus pilot run`: a person's pilot, alone or let in at the real door, working as its site's operator wants it to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from bus.client import Client
from deploy.verbs.pilot import value_of
from tests.bus.test_life_of_an_event import until
from tests.deploy.test_cli_bad_input import pilotbus, refused
from tests.deploy.test_door import door, hands  # noqa: F401 - fixtures
from tests.fix_broker import Vhost

SITE = "GRID.JINR.ru"


@pytest.fixture
def operator(vhost: Vhost, door: str) -> dict[str, str]:  # noqa: F811
    """What an operator's terminal has set."""
    where = urlsplit(vhost.service_url)
    return {
        "PILOTBUS_CLIENT_AMQP_URL": vhost.client_url,
        "PILOTBUS_PILOT_AMQP_URL": f"amqps://{where.hostname}:{where.port}{where.path}",
        "PILOTBUS_DOOR_URL": door,
        "PILOTBUS_CA_FILE": vhost.ca_file,
    }


def test_a_node_is_checked_without_a_broker(tmp_path: Path) -> None:
    done = pilotbus(tmp_path, {}, "pilot", "run", "--plan", "check", "--site", SITE, "--workdir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Site"] == SITE
    assert "described Platform=Linux_" in done.stderr
    assert "launch_agent" in pilotbus(tmp_path, {}, "pilot", "run", "--list-commands").stdout


def test_its_exit_code_is_the_pilots(tmp_path: Path) -> None:
    assert pilotbus(tmp_path, {}, "pilot", "run", "--plan", "nonsense").returncode == 2
    (tmp_path / "pilot.json").write_text(json.dumps({"least": {"free_mb": 1 << 60}}))
    done = pilotbus(tmp_path, {}, "pilot", "run", "--plan=check", "--config", str(tmp_path / "pilot.json"))
    assert done.returncode == 3


def test_an_operators_pilot_is_let_in_and_works_by_its_sites_plan(
    operator: dict[str, str], vhost: Vhost, db: psycopg.Connection[Any], tmp_path: Path
) -> None:
    told = {"plan": "own", "plans": [{"plan": "own", "commands": ["register_pilot", "configure_site"]}]}
    with Client(vhost.client_url, vhost.ca_file) as bus:
        bus.say("site.described.v1", {"site": SITE, "status": "active", "pilot": told})
    until(lambda: db.execute("SELECT pilot <> '{}' FROM site.sites").fetchall() == [(True,)])
    done = pilotbus(tmp_path, operator, "pilot", "run", "--site", SITE, "--workdir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    words = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("20")]
    assert [word for word in words if word in ("booted", "command_failed", "leaving")] == ["booted", "leaving"]
    until(lambda: db.execute("SELECT state, phase FROM pilot.pilots").fetchall() == [("Done", "leaving")])


def test_a_plan_that_no_pilot_can_follow_is_said_by_the_pilot(
    operator: dict[str, str], vhost: Vhost, db: psycopg.Connection[Any], tmp_path: Path
) -> None:
    with Client(vhost.client_url, vhost.ca_file) as bus:
        bus.say("site.described.v1", {"site": SITE, "status": "active", "pilot": {"plan": "bes_special"}})
    until(lambda: db.execute("SELECT pilot <> '{}' FROM site.sites").fetchall() == [(True,)])
    done = pilotbus(tmp_path, operator, "pilot", "run", "--site", SITE, "--workdir", str(tmp_path))
    assert done.returncode == 2
    until(lambda: db.execute("SELECT state, phase FROM pilot.pilots").fetchall() == [("Failed", "leaving")])
    ((reason,),) = db.execute("SELECT details ->> 'reason' FROM pilot.pilots").fetchall()
    assert "no command 'bes_special'" in reason


def test_who_is_no_operator_needs_a_secret(operator: dict[str, str], vhost: Vhost, tmp_path: Path) -> None:
    mallory = operator | {"PILOTBUS_CLIENT_AMQP_URL": vhost.person("mallory")}
    refused(pilotbus(tmp_path, mallory, "pilot", "run", "--site", SITE), 4, "give --secret-file")


def test_flags_are_read_as_the_pilot_reads_them() -> None:
    assert value_of(["--plan", "a", "--plan=b"], "--plan") == "b"
    assert value_of(["--planet", "x"], "--plan") == ""


def test_an_operator_makes_the_wrapper_of_a_private_pilot(
    operator: dict[str, str], db: psycopg.Connection[Any], tmp_path: Path
) -> None:
    known = operator | {"PILOTBUS_RELEASE_DIR": str(tmp_path / "release")}
    bound = ("--ce", "ce1.jinr.ru", "--vo", "bes", "--owner", "ada", "--owner-group", "bes_user")
    made = ("pilot-wrapper", "--out", str(tmp_path / "wrapper"))
    refused(pilotbus(tmp_path, known, *made, *bound), 2, "give --site")
    done = pilotbus(tmp_path, known, *made, "--site", SITE, *bound)
    assert done.returncode == 0, done.stderr
    rows = db.execute("SELECT site, ce, vo, owner, owner_group FROM trust.enrolments WHERE ce <> ''").fetchall()
    assert rows == [(SITE, "ce1.jinr.ru", "bes", "ada", "bes_user")]
