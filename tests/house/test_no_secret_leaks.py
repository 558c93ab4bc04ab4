"""Canaries: secrets that are planted where a secret may be, and looked for in every sink."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bus.apply import Words
from bus.client import Client
from bus.errors import Refused
from schemas import HOME, catalogue
from tests.attacks.rows import attack
from tests.bus.test_life_of_an_event import until
from tests.fix_broker import Vhost
from tests.fix_house import ROOT, Spawn

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5"
PEM = "-----BEGIN EC PRIVATE KEY-----\nY2FuYXJ5LWtleQ\n-----END EC PRIVATE KEY-----"
SECRET = f"pbs1.p1.{'C4na' * 10}rys"
URL = "amqps://somebody:canary-in-url@host/v"
CANARIES = (JWT, "Y2FuYXJ5LWtleQ", SECRET, "canary-in-url")
SONG = f"{JWT} {SECRET} {URL}\n{PEM}"

LOG = "import structlog; from bus.log import configure; configure()"
BAD = f'''"""Fail on a request with secrets in hand."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from bus import Db, Event

CONSUMES = ("canary.sing.v1",)
EMITS = ()


def handle(event: Event, db: Db) -> Iterable[Event]:
    structlog.get_logger().warning("canary.sings", song={SONG!r}, nested={{"a": [{JWT!r}]}})
    raise RuntimeError({SONG!r})
'''


def silent(text: str) -> None:
    """No canary is in the text."""
    assert [canary for canary in CANARIES if canary in text] == []


@pytest.fixture
def cage(tmp_path: Path) -> Path:
    """An extension whose handler fails with secrets in its exception."""
    word: dict[str, Any] = {"title": "Sing", "description": "Sing.", "type": "object", "properties": {}, "examples": [{}]}
    for kind, name, by in (("requests", "canary.sing.v1", "client"), ("replies", "canary.sing.v1.reply", "canary.sing")):
        path = tmp_path / "cage" / "schemas" / kind / "canary" / "sing.v1.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"$id": name, "x-emitted-by": [by], **word}))
    handler = tmp_path / "cage" / "handlers" / "canary" / "sing.py"
    handler.parent.mkdir(parents=True)
    handler.write_text(BAD)
    return tmp_path / "cage"


@attack("extension handler", "tells secrets in an exception and in its log")
def test_a_handler_that_fails_with_secrets_leaks_none(
    spawn: Spawn, vhost: Vhost, db: psycopg.Connection[Any], cage: Path
) -> None:
    """Sinks: the log of a real service, what is parked, what is refused, events and every other row."""
    told = cage / "log"
    with told.open("wb") as file:
        process = spawn(file, PILOTBUS_EXTENSIONS=str(cage))
    words = Words(catalogue(HOME, cage / "schemas"))
    with Client(vhost.client_url, vhost.ca_file, words=words) as client, pytest.raises(Refused) as refused:
        client.ask("canary.sing.v1", {})
    silent(str(refused.value))
    parked = until(lambda: db.execute("SELECT detail FROM bus.parked").fetchall())
    assert "RuntimeError" in parked[0][0], "the traceback is there"
    process.terminate()
    process.wait(timeout=30)
    log = told.read_text()
    assert "canary.sings" in log, "the log has the line"
    silent(log)
    tables = db.execute("SELECT schemaname || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname = 'bus'").fetchall()
    silent(repr([db.execute(f"SELECT * FROM {table}").fetchall() for (table,) in tables]))


def test_the_structlog_of_this_house_drops_secrets() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{LOG}; structlog.get_logger().info('x', y={SONG!r})"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert '"event": "x"' in done.stderr
    silent(done.stderr)


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_the_command_line_tells_no_secret_when_it_fails(flags: list[str]) -> None:
    told = {"PILOTBUS_CLIENT_AMQP_URL": "amqps://ada:canary-in-url@127.0.0.1:1/v", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "deploy.main", "status", "1", *flags],
        cwd=ROOT,
        env=told,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert "127.0.0.1:1" in done.stderr
    silent(done.stderr + done.stdout)
