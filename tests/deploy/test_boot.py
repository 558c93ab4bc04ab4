"""boot: a wrapper on a node where no pilot can run is seen all the same, by whatever the node can speak HTTPS with."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bus.client import Client
from deploy.pilot_wrapper import ReleaseKey, wrap
from tests.deploy.test_door import door, hands, invite, post  # noqa: F401 - fixtures
from tests.fix_broker import Vhost

TOOLS = "sh mktemp rm cat sed sort head cut grep date openssl uname tr wc".split()  # noqa: SIM905 - a list of words
ROW = "SELECT state, phase, number, details ->> 'reason', details ->> 'exit_code' FROM pilot.pilots WHERE pilot_id = %s"
NO_PYTHON = "there is no Python of version 3.9 or newer on this node"


def poor_node(folder: Path, *speaks: str) -> str:
    """A search path without Python, with these programs."""
    folder.mkdir()
    for name in (*TOOLS, *speaks):
        (folder / name).symlink_to(shutil.which(name) or pytest.skip(f"{name} is not installed"))
    return str(folder)


def start(tmp_path: Path, script: str, path: str) -> subprocess.CompletedProcess[str]:
    """The wrapper on a node without any Python at the usual places."""
    place = tmp_path / "wrapper"
    place.write_text(script.replace("/usr/bin/python3", "/nowhere/python3").replace("/usr/local/bin", "/nowhere"))
    told = {"PATH": path, "TMPDIR": str(tmp_path)}
    return subprocess.run(["/bin/sh", str(place)], env=told, capture_output=True, text=True, check=False, timeout=60)


def wrapper(tmp_path: Path, door: str, secret: str) -> str:  # noqa: F811
    ca = Path(os.environ["PILOTBUS_CA_FILE"]).read_text()
    return wrap(b"no zip at all", ReleaseKey(tmp_path / "release"), addresses={"--door": door}, ca=ca, secret=secret)


@pytest.mark.parametrize("speaks", [("curl",), ("wget",), ("timeout",)], ids=["curl", "wget", "openssl"])
def test_a_node_without_python_is_seen(
    db: psycopg.Connection[Any],
    door: str,  # noqa: F811
    vhost: Vhost,
    tmp_path: Path,
    speaks: tuple[str, ...],
) -> None:
    pilot = invite(vhost)
    done = start(tmp_path, wrapper(tmp_path, door, pilot["secret"]), poor_node(tmp_path / "bin", *speaks))
    assert (done.returncode, NO_PYTHON in done.stderr) == (26, True)
    assert db.execute(ROW, (pilot["pilot_id"],)).fetchall() == [("Failed", "wrapper_failed", 0, NO_PYTHON, "26")]
    with Client(vhost.client_url, vhost.ca_file) as operator:
        (seen,) = operator.ask("pilot.query.v1", {})["pilots"]
    assert (seen["state"], seen["reason"]) == ("Failed", NO_PYTHON)
    assert post(f"{door}/enrol", {"secret": pilot["secret"], "key": "a-key-drawn-for-this-use"})[0] == 200, "it is unused"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "release", "wrapper"], "it cleans up after itself"


def test_a_node_that_can_not_speak_or_a_door_that_is_not_there_changes_no_exit_code(tmp_path: Path) -> None:
    secret = f"pbs1.p1.{'s' * 43}"
    script = wrap(b"no zip", ReleaseKey(tmp_path / "release"), addresses={"--door": "https://127.0.0.1:1"}, secret=secret)
    assert start(tmp_path, script, poor_node(tmp_path / "bin", "curl")).returncode == 26
    assert start(tmp_path, script, poor_node(tmp_path / "mute")).returncode == 26


def test_the_secret_itself_is_not_what_is_said(tmp_path: Path) -> None:
    secret = f"pbs1.p1.{'s' * 43}"
    script = wrap(b"no zip", ReleaseKey(tmp_path / "release"), addresses={"--door": "https://127.0.0.1:1"}, secret=secret)
    heard = tmp_path / "bin" / "curl"
    path = poor_node(tmp_path / "bin")
    heard.write_text(f'#!/bin/sh\nfor word; do case $word in @*) cat "${{word#@}}" ;; esac; done >>{tmp_path}/heard\n')
    heard.chmod(0o755)
    start(tmp_path, script, path)
    said = (tmp_path / "heard").read_text()
    assert '"phase": "wrapper_failed"' in said
    assert secret not in said


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"proof": "0" * 64}, 403),
        ({"pilot_id": "nobody"}, 403),
        ({"proof": "x"}, 400),
        ({"pilot_id": 7}, 400),
        ({"phase": "asking"}, 400),
        ({"reason": "<script>"}, 400),
        ({"exit_code": 999}, 400),
    ],
)
def test_a_forged_word_changes_nothing(
    db: psycopg.Connection[Any],
    door: str,  # noqa: F811
    vhost: Vhost,
    change: dict[str, Any],
    status: int,
) -> None:
    pilot = invite(vhost)
    told = {"pilot_id": pilot["pilot_id"], "proof": "0" * 64, "phase": "wrapper_failed", "reason": "x", "exit_code": 1}
    assert post(f"{door}/boot", told | change)[0] == status
    assert db.execute("SELECT count(*) FROM pilot.pilots").fetchall() == [(0,)]
