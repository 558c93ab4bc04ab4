"""A whole house for user's programs: services with a sandbox store, and a pilot that runs what is submitted."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bus.session import Session
from deploy.pilot_zip import build
from tests.fix_broker import Vhost
from tests.fix_house import Spawn

SITE = "CLOUD.CNIC.cn"


@dataclass(frozen=True, slots=True)
class Stand:
    """Where the house is, and what a client of it is told."""

    vhost: Vhost
    services: subprocess.Popen[bytes]
    folder: Path

    def told(self, account: str = "ada") -> dict[str, str]:
        """The settings of this person's programs."""
        return {"PILOTBUS_CLIENT_AMQP_URL": self.vhost.person(account), "PILOTBUS_CA_FILE": self.vhost.ca_file}

    def session(self, account: str = "ada", **more: Any) -> Session:
        """A session of this person."""
        return Session(self.vhost.person(account), self.vhost.ca_file, **more)


@pytest.fixture
def stand(vhost: Vhost, spawn: Spawn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Services with their store, and one pilot at SITE; both end with the test."""
    place = tmp_path_factory.mktemp("stand")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        bind = f"127.0.0.1:{holder.getsockname()[1]}"
    services = spawn(
        PILOTBUS_HTTP_BIND=bind,
        PILOTBUS_TLS_CERT=os.environ["PILOTBUS_TLS_CERT"],
        PILOTBUS_TLS_KEY=os.environ["PILOTBUS_TLS_KEY"],
        PILOTBUS_SANDBOX_DIR=str(place / "sandboxes"),
        PILOTBUS_SANDBOX_URL=f"https://{bind}",
        PILOTBUS_SANDBOX_SECRET=secrets.token_hex(16),
    )
    build(place / "pilot.pyz")
    (place / "work").mkdir()
    pilot = subprocess.Popen(
        [sys.executable, str(place / "pilot.pyz"), "--site", SITE, "--workdir", str(place / "work"), "--isolation", "none"],
        env={"PATH": os.environ["PATH"], "PILOTBUS_PILOT_AMQP_URL": vhost.pilot_url, "PILOTBUS_CA_FILE": vhost.ca_file},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Stand(vhost, services, place / "sandboxes")
    finally:
        pilot.terminate()
        pilot.wait(timeout=60)
