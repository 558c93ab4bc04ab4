"""Pilots over AMQP and over STOMP share the jobs of the real services: broker, door, store, matcher and all."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from bus.client import Client
from tests.bus.test_life_of_an_event import until
from tests.fix_broker import Vhost
from tests.pilot.conftest import BOTH, Proxies, Start

SITE = "CLOUD.CNIC.cn"
EACH = 50
RAN = """SELECT h.state, count(*) FROM job.history h WHERE h.state IN ('Matched', 'Done') OR h.minor_status = 'Application'
         GROUP BY h.job_id, h.state"""

ASKING = """SELECT 1 FROM bus.events
            WHERE type = 'pilot.reported.v1' AND subject = %s AND body->'data'->>'phase' = 'asking'"""


def bare(url: str) -> str:
    """The address without the account."""
    where = urlsplit(url)
    return urlunsplit(where._replace(netloc=f"{where.hostname}:{where.port}"))


def test_a_pilot_over_each_transport_runs_fifty_jobs_and_each_job_runs_once(
    vhost: Vhost, db: psycopg.Connection[Any], door: str, start: Start, proxies: Proxies, tmp_path: Path
) -> None:
    between = proxies()
    through = {"amqps": {}, "stomps": {"https_proxy": f"http://{between.address}"}}
    pilots: dict[str, tuple[str, subprocess.Popen[str]]] = {}
    with Client(vhost.client_url, vhost.ca_file) as operator:
        operator.say("site.described.v1", {"site": SITE, "status": "active"})
        invited = operator.ask("pilot.invite.v1", {"site": SITE, "count": 2})["pilots"]
        for (scheme, more), pilot in zip(through.items(), invited, strict=True):
            url = bare(vhost.over(scheme, vhost.pilot_url))
            told = {"PILOTBUS_DOOR_URL": door, "PILOTBUS_PILOT_SECRET": pilot["secret"], **more}
            flags = ("--site", SITE, "--max-jobs", str(EACH), "--idle-limit", "100", "--isolation", "none")
            pilots[scheme] = pilot["pilot_id"], start(*flags, url=url, **told)
        description = {
            "Executable": "/bin/sh",
            "Arguments": "-c 'echo job %s; echo %s >number.txt'",
            "OutputSandbox": ["std.out", "number.txt"],
            "Parameters": 2 * EACH,
            "CPUTime": 100,
        }
        operator.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": description})
    for _, process in pilots.values():
        _, said = process.communicate(timeout=150)
        assert process.returncode == 0, said[-2000:]
    until(lambda: db.execute("SELECT count(*) FROM job.jobs WHERE state = 'Done'").fetchone() == (2 * EACH,))
    ran = dict(db.execute("SELECT pilot_id, count(*) FROM job.jobs GROUP BY pilot_id").fetchall())
    assert ran == {pilot_id: EACH for pilot_id, _ in pilots.values()}
    assert Counter(db.execute(RAN).fetchall()) == {("Matched", 1): 2 * EACH, ("Running", 1): 2 * EACH, ("Done", 1): 2 * EACH}
    booted = """SELECT body->'data'->'details'->>'broker' FROM bus.events
                WHERE type = 'pilot.reported.v1' AND subject = %s AND body->'data'->>'phase' = 'booted'"""
    for scheme, (pilot_id, _) in pilots.items():
        ((named,),) = db.execute(booted, (pilot_id,)).fetchall()
        assert named.startswith(f"{scheme}://")
    broker = urlsplit(vhost.over("stomps", vhost.pilot_url))
    assert between.asked() == {f"127.0.0.1:{broker.port}", door.removeprefix("https://")}


@BOTH
def test_a_pilot_that_died_while_it_waited_gets_no_job(
    vhost: Vhost, db: psycopg.Connection[Any], door: str, start: Start, scheme: str
) -> None:
    flags = ("--site", SITE, "--max-jobs", "1", "--isolation", "none")
    url = bare(vhost.over(scheme, vhost.pilot_url))
    with Client(vhost.client_url, vhost.ca_file) as operator:
        operator.say("site.described.v1", {"site": SITE, "status": "active"})
        dead, alive = operator.ask("pilot.invite.v1", {"site": SITE, "count": 2})["pilots"]
        pilot = start(*flags, url=url, PILOTBUS_DOOR_URL=door, PILOTBUS_PILOT_SECRET=dead["secret"])
        until(lambda: db.execute(ASKING, (dead["pilot_id"],)).fetchone())
        time.sleep(1)  # the request that follows is parked, which shows nowhere
        pilot.kill()
        pilot.wait()
        description = {"Executable": "/bin/true", "CPUTime": 100}
        operator.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": description})
    until(lambda: db.execute("SELECT 1 FROM job.jobs WHERE state = 'Waiting'").fetchone())
    start(*flags, url=url, PILOTBUS_DOOR_URL=door, PILOTBUS_PILOT_SECRET=alive["secret"])
    until(lambda: db.execute("SELECT pilot_id FROM job.jobs WHERE state = 'Done'").fetchall() == [(alive["pilot_id"],)])
