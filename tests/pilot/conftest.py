"""What the pilot's tests start: its zip, its services, a store, a cable."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy.pilot_zip import build
from tests.pilot.counterpart import Cable, Services, Store

BOTH = pytest.mark.parametrize("scheme", ["amqps", "stomps"])
Spoken = Callable[[str], str]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def pilot_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pilot as it travels."""
    target = tmp_path_factory.mktemp("zip") / "pilot.pyz"
    build(target)
    return target


@pytest.fixture
def services(vhost: Any) -> Iterator[Services]:
    """The services' end of the test's virtual host."""
    made = Services(vhost.service_url, vhost.ca_file)
    yield made
    made.close()


@pytest.fixture
def store() -> Iterator[Store]:
    """A sandbox store that shows the stack's certificate."""
    made = Store(os.environ["PILOTBUS_TLS_CERT"], os.environ["PILOTBUS_TLS_KEY"])
    yield made
    made.close()


@pytest.fixture
def scheme() -> str:
    """How pilots speak with the broker; BOTH parametrises it."""
    return "amqps"


@pytest.fixture
def spoken(vhost: Any, scheme: str) -> Spoken:
    """The address of an account at the listener of the scheme."""
    return lambda url: str(vhost.over(scheme, url))


@pytest.fixture
def pilot_url(vhost: Any, spoken: Spoken) -> str:
    """The address of pilot p1, with its token."""
    return spoken(vhost.pilot_url)


@pytest.fixture
def cable(pilot_url: str) -> Iterator[Cable]:
    """A line to the broker that can be cut."""
    where = urlsplit(pilot_url)
    made = Cable(where.hostname or "", where.port or 0)
    yield made
    made.close()


@pytest.fixture
def start(vhost: Any, pilot_url: str, pilot_zip: Path, tmp_path: Path) -> Iterator[Start]:
    """Start a pilot from its zip; what still runs is ended after the test."""
    started: list[subprocess.Popen[str]] = []

    def run(*flags: str, url: str = "", python: str = sys.executable, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [python, str(pilot_zip), "--site", "LCG.Test.org", "--workdir", str(tmp_path), *flags],
            env={"PATH": os.environ["PATH"], "PILOTBUS_PILOT_AMQP_URL": url or pilot_url, "PILOTBUS_CA_FILE": vhost.ca_file}
            | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
