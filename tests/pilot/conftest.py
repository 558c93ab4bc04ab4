"""What the pilot's tests start: its zip, its services, a store, a cable."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy.pilot_zip import build
from pilot.wire.lines import Lines
from pilot.wire.link import Link
from pilot.wire.login import login
from pilot.wire.outbox import Outbox
from pilot.wire.spool import Spool
from tests.fix_house import Spawn
from tests.pilot.counterpart import Cable, Services, Store

BOTH = pytest.mark.parametrize("scheme", ["amqps", "stomps"])
Spoken = Callable[[str], str]
PROXY = Path(__file__).with_name("connect_proxy.py")
Start = Callable[..., "subprocess.Popen[str]"]
Make = Callable[..., Link]


class Proxy:
    """An HTTP proxy in a process of its own."""

    def __init__(self, *pair: str) -> None:
        self.process = subprocess.Popen([sys.executable, str(PROXY), *pair], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = f"127.0.0.1:{self.process.stdout.readline().strip()}"

    def asked(self) -> set[str]:
        """The places that it was asked for; it has ended."""
        self.process.terminate()
        return set(self.process.communicate(timeout=10)[0].split("\n")) - {""}


Proxies = Callable[..., Proxy]


def through(url: str, cable: Cable) -> str:
    """The URL with the cable's end as its port."""
    return re.sub(r":\d+/", f":{cable.port}/", url)


def report(number: int) -> dict[str, Any]:
    return {"pilot_id": "p1", "site": "LCG.Test.org", "phase": "asking", "number": number}


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


@pytest.fixture
def make(vhost: Any, pilot_url: str, tmp_path: Path) -> Iterator[Make]:
    made: list[Link] = []

    def link(url: str = pilot_url, ca_file: str = vhost.ca_file) -> Link:
        outbox = Outbox("/pilot-p1/p1", "p1", Spool(tmp_path / f"spool-{len(made)}"), Lines())
        made.append(Link(login(url, ca_file=ca_file), outbox, lambda _text: None))
        return made[-1]

    yield link
    for each in made:
        each.close()


@pytest.fixture
def door(spawn: Spawn, vhost: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the door and the sandbox store of the real services, which run until the test ends."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        bind = f"127.0.0.1:{holder.getsockname()[1]}"
    spawn(
        PILOTBUS_HTTP_BIND=bind,
        PILOTBUS_TLS_CERT=os.environ["PILOTBUS_TLS_CERT"],
        PILOTBUS_TLS_KEY=os.environ["PILOTBUS_TLS_KEY"],
        PILOTBUS_SANDBOX_DIR=str(tmp_path_factory.mktemp("sandboxes")),
        PILOTBUS_SANDBOX_URL=f"https://{bind}",
        PILOTBUS_SANDBOX_SECRET="only-for-this-test",
    )
    return f"https://{bind}"


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    """Start an HTTP proxy, for those who show this user and password if they are given."""
    made: list[Proxy] = []

    def run(*pair: str) -> Proxy:
        made.append(Proxy(*pair))
        return made[-1]

    yield run
    for each in made:
        each.asked()
