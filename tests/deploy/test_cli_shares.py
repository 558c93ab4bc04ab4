"""`pilotbus shares` on the real bus: the order in which groups are served, beside their shares, for people and programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg

from bus.client import Client
from bus.runner import Runner
from deploy.verbs.shares import bar, rows
from tests.bus.test_life_of_an_event import until
from tests.deploy.test_cli_bad_input import pilotbus, refused
from tests.deploy.test_cli_registry import told
from tests.fix_broker import Vhost

USED = """[{"owner_group": "bes_user", "owner": "bob", "processors": 30},
           {"owner_group": "local_user", "owner": "ada", "processors": 10}]"""
WORDS: list[tuple[str, dict[str, Any]]] = [
    ("vo", {"vo": "bes"}),
    ("group", {"group": "bes_user", "vo": "bes", "properties": ["NormalUser"], "job_share": 3000}),
    ("user", {"account": "bob", "groups": ["bes_user"]}),
    ("share", {"half_life_s": 7200}),
]


def test_shares_are_shown_to_everybody_and_users_to_their_community(
    house: Runner, vhost: Vhost, db: psycopg.Connection[Any], tmp_path: Path
) -> None:
    with Client(vhost.client_url, vhost.ca_file) as operator:
        for kind, data in WORDS:
            operator.say(f"{kind}.described.v1", data)
    until(lambda: db.execute("SELECT FROM registry.users, share.settings WHERE half_life_s = 7200").fetchall())
    db.execute("SELECT share.use(%s::json)", (USED,))
    job = tmp_path / "job.jdl"
    job.write_text('Executable = "/bin/ls";', encoding="utf-8")
    bob, eve = (told(vhost, vhost.person(name)) for name in ("bob", "eve"))
    assert pilotbus(tmp_path, bob, "submit", str(job)).returncode == 0
    until(lambda: db.execute("SELECT FROM job.jobs WHERE state = 'Waiting'").fetchall())

    found = json.loads(pilotbus(tmp_path, eve, "shares", "--users", "--json").stdout)
    assert "every 7200 s" in found["formula"]
    assert (found["policy"], found["half_life_s"], found["horizon_s"]) == ("", 7200.0, 3600.0)
    first, second = found["groups"]
    assert (first["group"], first["place"], first["expected_percent"]) == ("bes_user", 1, 75.0)
    assert "users" not in first, "eve is not of bes"
    assert [user["owner"] for user in second["users"]] == ["ada"]

    shown = pilotbus(tmp_path, bob, "shares", "--users", "--vo", "bes")
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[0][:4] == ["Next", "Group", "VO", "Share"]
    assert [line[:4] for line in lines[1:]] == [["1", "bes_user", "bes", "3000"], ["1", "bob", "75.0", lines[2][3]]]
    assert "lowest first" in shown.stderr
    refused(pilotbus(tmp_path, bob, "shares", "--vo", "cms"), 3, "no such group")


def test_a_bar_shows_what_was_used_and_where_the_share_ends() -> None:
    assert bar(50.0, 25.0, 100.0) == "█████|█████··········"
    assert bar(0.0, 100.0, 100.0) == "····················|"
    assert bar(None, None, 1.0) == "·" * 20


def test_who_has_no_score_is_said_to_be_never_first() -> None:
    group = {"group": "g", "vo": "v", "share": 0, "sharing": True, "processors": 0, "core_s": 0.0, "waiting": True, "place": 2}
    (row,) = rows([group])
    assert (row[1], row[-1]) == ("g (one)", "never first")
