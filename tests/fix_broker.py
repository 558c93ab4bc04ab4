"""A virtual host per test, with the local stack's own accounts and rights."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
import requests

from bus.apply import Words
from bus.discover import handlers
from bus.settings import account_of
from bus.topology import topology
from bus.transport import Transport
from deploy.accounts import Kind, grants


@dataclass(frozen=True, slots=True)
class Vhost:
    """A virtual host, the addresses of its accounts, and its administration."""

    name: str
    service_url: str
    pilot_url: str
    client_url: str
    ca_file: str
    management_url: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The broker's administration has answered."""
        where = urlsplit(self.management_url)
        address = f"{where.scheme}://{where.hostname}:{where.port}/api/{path}"
        auth = (where.username or "", where.password or "")
        found = requests.request(method, address, json=body, auth=auth, verify=self.ca_file, timeout=10)
        found.raise_for_status()
        return found.json() if found.content else None

    def depth(self, queue: str) -> int:
        """How many messages a queue holds, by the broker's own count."""
        with Transport(self.service_url, self.ca_file).closing() as transport:
            return int(transport.depth(queue))


def _in(url: str, vhost: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(vhost, safe='')}"))


@pytest.fixture
def vhost() -> Iterator[Vhost]:
    """A fresh virtual host with every exchange and queue of the house."""
    missing = [name for name in ("PILOTBUS_AMQP_URL", "PILOTBUS_MANAGEMENT_URL") if name not in os.environ]
    if missing:
        pytest.fail(f"{missing[0]} is not set; run the tests with `make test`")
    name = f"test-{uuid.uuid4().hex[:8]}"
    urls = [_in(os.environ[f"PILOTBUS_{kind}AMQP_URL"], name) for kind in ("", "PILOT_", "CLIENT_")]
    made = Vhost(name, urls[0], urls[1], urls[2], os.environ.get("PILOTBUS_CA_FILE", ""), os.environ["PILOTBUS_MANAGEMENT_URL"])
    made.call("PUT", f"vhosts/{name}")
    kinds: tuple[Kind, ...] = ("service", "pilot", "user")
    for url, kind in zip(urls, kinds, strict=True):
        permission, topics = grants(account_of(url), kind)
        made.call("PUT", f"permissions/{name}/{account_of(url)}", permission)
        for topic in topics:
            made.call("PUT", f"topic-permissions/{name}/{account_of(url)}", topic)
    words = Words()
    with Transport(made.service_url, made.ca_file).closing() as transport:
        transport.declare(topology(handlers(known=words.known), words.known))
    yield made
    made.call("DELETE", f"vhosts/{name}")
