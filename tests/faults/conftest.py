"""A whole house with real pilots: services in a process of their own, pilots from their zip, and the rows they leave."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from bus.client import Client
from tests.bus.test_life_of_an_event import until
from tests.fix_broker import Vhost
from tests.fix_house import Spawn
from tests.pilot.conftest import cable, pilot_url, pilot_zip, scheme, spoken
from tests.pilot.counterpart import Cable

__all__ = ["cable", "house_with_pilots", "pilot_url", "pilot_zip", "scheme", "spoken"]

SITE = "CLOUD.CNIC.cn"


class House:
    """What a test does with it."""

    def __init__(self, vhost: Vhost, db: psycopg.Connection[Any], zipped: Path, workdir: Path, client: Client) -> None:
        self.vhost, self.db, self.workdir = vhost, db, workdir
        self._zip = zipped
        self._pilots: list[subprocess.Popen[bytes]] = []
        self.client = client

    def site(self, **policy: Any) -> None:
        """The site is described with this policy."""
        self.client.say("site.described.v1", {"site": SITE, "status": "active", **policy}, subject=SITE.replace(".", "_"))
        until(lambda: self.rows("SELECT site FROM site.sites WHERE beat_s = %s", policy["beat_s"]))

    def pilot(self, pilot_id: str, *flags: str, through: Cable | None = None) -> subprocess.Popen[bytes]:
        """An enrolled pilot runs; through a cable, if there is one."""
        url = self.vhost.pilot(pilot_id)
        if through is not None:
            where = urlsplit(url)
            url = url.replace(f"@{where.hostname}:{where.port}", f"@127.0.0.1:{through.port}")
        words = ["--site", SITE, "--workdir", str(self.workdir), "--isolation", "none", *flags]
        environment = {"PATH": os.environ["PATH"], "PILOTBUS_PILOT_AMQP_URL": url, "PILOTBUS_CA_FILE": self.vhost.ca_file}
        pilot = subprocess.Popen([sys.executable, str(self._zip), *words], env=environment, stderr=subprocess.DEVNULL)
        self._pilots.append(pilot)
        return pilot

    def submit(self, script: str, count: int = 1) -> None:
        """So many jobs run this shell script."""
        description = {"Executable": "/bin/sh", "Arguments": f"-c '{script}'", "CPUTime": 1000} | (
            {"Parameters": count} if count > 1 else {}
        )
        self.client.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": description})

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database has now."""
        return self.db.execute(statement, values).fetchall()

    def events(self, kind: str) -> list[Any]:
        """The data of these events, in the order in which they were stored."""
        return [data for (data,) in self.rows("SELECT body->'data' FROM bus.events WHERE type = %s ORDER BY position", kind)]

    def state(self, job_id: int = 1) -> tuple[str, int, str]:
        """A job's state, attempt and pilot."""
        ((state, attempt, pilot_id),) = self.rows("SELECT state, attempt, pilot_id FROM job.jobs WHERE job_id = %s", job_id)
        return state, attempt, pilot_id

    def close(self) -> None:
        """No pilot lives."""
        for pilot in self._pilots:
            pilot.kill()
            pilot.wait()


@pytest.fixture
def house_with_pilots(
    vhost: Vhost, db: psycopg.Connection[Any], pilot_zip: Path, tmp_path: Path, spawn: Spawn
) -> Iterator[House]:
    """The services run, and pilots can be started."""
    spawn()
    with Client(vhost.client_url, vhost.ca_file) as client:
        made = House(vhost, db, pilot_zip, tmp_path, client)
        yield made
        made.close()
