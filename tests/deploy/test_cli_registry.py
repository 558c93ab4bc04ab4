"""Who is who at the command line: described on the real bus, in one breath, and shown to whoever may see it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from bus.client import Client
from bus.runner import Runner
from tests.deploy.test_cli_bad_input import pilotbus, refused
from tests.fix_broker import Vhost

WORDS: list[tuple[str, dict[str, Any]]] = [
    ("vo", {"vo": "bes"}),
    ("group", {"group": "bes_user", "vo": "bes", "properties": ["NormalUser"]}),
    ("group", {"group": "bes.keeper", "vo": "bes", "properties": ["UserManager"]}),
    ("user", {"account": "bob", "groups": ["bes.keeper", "bes_user"], "dns": ["/C=CN/CN=Bob"], "email": "bob@ihep.ac.cn"}),
    ("user", {"account": "eve", "groups": ["bes_user"]}),
    ("user", {"account": "zoe", "groups": []}),
    ("user", {"account": "max", "groups": ["bes_user"], "dns": ["CN=Bob,C=CN"]}),
]


@pytest.fixture
def refusals(house: Runner, vhost: Vhost) -> list[dict[str, Any]]:
    """What was refused when an operator described a community, its groups and its people, one right after the other."""
    found: list[dict[str, Any]] = []
    until = time.monotonic() + 60
    with Client(vhost.client_url, vhost.ca_file) as operator:
        operator.follow("user.refused.v1.#", "group.refused.v1.#")
        for kind, data in WORDS:
            operator.say(f"{kind}.described.v1", data)
        while not found and time.monotonic() < until:
            found += [event.data for event in operator.events()]
    return found


def told(vhost: Vhost, url: str) -> dict[str, str]:
    """The settings of somebody's client."""
    return {"PILOTBUS_CLIENT_AMQP_URL": url, "PILOTBUS_CA_FILE": vhost.ca_file}


def test_who_is_who_is_described_in_one_breath_and_shown_to_who_may_see_it(
    refusals: list[dict[str, Any]], vhost: Vhost, tmp_path: Path
) -> None:
    assert refusals == [{"account": "max", "reason": "CN=Bob,C=CN belongs to account bob"}]

    operator, bob, eve, zoe = (told(vhost, url) for url in (vhost.client_url, *map(vhost.person, ("bob", "eve", "zoe"))))
    for who in (operator, bob):
        listed = json.loads(pilotbus(tmp_path, who, "users", "--json").stdout)
        assert [user["account"] for user in listed] == ["bob", "eve", "zoe"]
    table = pilotbus(tmp_path, operator, "users", "bob")
    assert [word in table.stdout for word in ("bes.keeper, bes_user", "CN=Bob,C=CN", "eve")] == [True, True, False]
    refused(pilotbus(tmp_path, operator, "users", "max"), 3, "the registry has no account max")
    refused(pilotbus(tmp_path, eve, "users"), 4, "Operator or UserManager")
    refused(pilotbus(tmp_path, eve, "users", "bob"), 4, "Operator or UserManager")

    me = json.loads(pilotbus(tmp_path, bob, "whoami", "--json").stdout)
    assert (me["account"], me["default_group"]) == ("bob", "bes.keeper")
    assert "bes_user" in pilotbus(tmp_path, eve, "whoami").stdout
    assert "you may do nothing" in pilotbus(tmp_path, zoe, "whoami").stderr


def test_one_submits_in_ones_own_groups_alone(refusals: list[dict[str, Any]], vhost: Vhost, tmp_path: Path) -> None:
    job = tmp_path / "job.jdl"
    job.write_text('Executable = "/bin/ls";', encoding="utf-8")
    bob, eve, zoe = (told(vhost, vhost.person(name)) for name in ("bob", "eve", "zoe"))
    refused(pilotbus(tmp_path, bob, "submit", str(job)), 4, "group bes.keeper may not submit")
    refused(pilotbus(tmp_path, eve, "submit", str(job), "--owner-group", "bes.keeper"), 4, "eve is not in group bes.keeper")
    refused(pilotbus(tmp_path, zoe, "submit", str(job)), 4, "zoe is in no group")
    done = pilotbus(tmp_path, bob, "submit", str(job), "--owner-group", "bes_user")
    (shown,) = json.loads(pilotbus(tmp_path, bob, "status", done.stdout.strip(), "--json").stdout)
    assert (shown["owner"], shown["owner_group"], shown["vo"]) == ("bob", "bes_user", "bes")
    refused(pilotbus(tmp_path, eve, "status", done.stdout.strip()), 3, "you have no job")
    assert json.loads(pilotbus(tmp_path, eve, "status", "--owner", "bob", "--json").stdout) == []
