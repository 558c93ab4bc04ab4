"""A virtual host per test, with the local stack's own accounts and rights."""

from __future__ import annotations

import contextlib
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
from bus.login import account_of
from bus.topology import topology
from bus.transport import Transport
from deploy.accounts import Kind, grants
from handlers.token.issuer import Issuer
from schemas.rules.identity import pilot_account


@dataclass(frozen=True, slots=True)
class Vhost:
    """A virtual host, the addresses of its accounts, and its administration."""

    name: str
    service_url: str
    client_url: str
    ca_file: str
    management_url: str
    issuer: Issuer

    @property
    def pilot_url(self) -> str:
        """The address of pilot p1, with its token."""
        return self.pilot("p1")

    def pilot(self, pilot_id: str) -> str:
        """The address of a pilot, with a token of its own."""
        return self.as_account(pilot_account(pilot_id), self.issuer.pilot(pilot_id).text)

    def person(self, account: str, *vos: str, operates: bool = False) -> str:
        """The address of a person who has logged in."""
        return self.as_account(account, self.issuer.person(account, operates=operates, vos=vos).text)

    def as_account(self, account: str, secret: str) -> str:
        """The address of anybody who has this secret, or says so."""
        where = urlsplit(self.service_url)
        return f"amqps://{account}:{secret}@{where.hostname}:{where.port}{where.path}"

    def over(self, scheme: str, url: str) -> str:
        """This address at the listener of another scheme, stomps or amqps."""
        where = urlsplit(os.environ["PILOTBUS_STOMP_URL"] if scheme == "stomps" else self.service_url)
        who = urlsplit(url)
        account = who.netloc.rpartition("@")[0]
        return urlunsplit(who._replace(scheme=scheme, netloc=f"{account}@{where.hostname}:{where.port}"))

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The broker's administration has answered."""
        auth = ("-", self.issuer.management().text)
        found = requests.request(
            method, f"{self.management_url}/api/{path}", json=body, auth=auth, verify=self.ca_file, timeout=10
        )
        found.raise_for_status()
        return found.json() if found.content else None

    def depth(self, queue: str) -> int:
        """How many messages a queue holds, by the broker's own count."""
        with Transport(self.service_url, self.ca_file).closing() as transport:
            return int(transport.depth(queue))


def _in(url: str, vhost: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(vhost, safe='')}"))


@contextlib.contextmanager
def fresh_vhost() -> Iterator[Vhost]:
    """A virtual host with every exchange and queue of the house, while the block lasts."""
    missing = [name for name in ("PILOTBUS_AMQP_URL", "PILOTBUS_MANAGEMENT_URL") if name not in os.environ]
    if missing:
        pytest.fail(f"{missing[0]} is not set; run the tests with `make test`")
    name = f"test-{uuid.uuid4().hex[:8]}"
    made = Vhost(
        name,
        _in(os.environ["PILOTBUS_AMQP_URL"], name),
        _in(os.environ["PILOTBUS_CLIENT_AMQP_URL"], name),
        os.environ.get("PILOTBUS_CA_FILE", ""),
        os.environ["PILOTBUS_MANAGEMENT_URL"],
        Issuer(os.environ["PILOTBUS_ISSUER_DIR"], os.environ["PILOTBUS_DOOR_URL"], name),
    )
    made.call("PUT", f"vhosts/{name}")
    kinds: tuple[Kind, ...] = ("service", "operator")
    for url, kind in zip((made.service_url, made.client_url), kinds, strict=True):
        permission, topics = grants(account_of(url), kind)
        made.call("PUT", f"permissions/{name}/{account_of(url)}", permission)
        for topic in topics:
            made.call("PUT", f"topic-permissions/{name}/{account_of(url)}", topic)
    words = Words()
    with Transport(made.service_url, made.ca_file).closing() as transport:
        transport.declare(topology(handlers(known=words.known), words.known))
    try:
        yield made
    finally:
        made.call("DELETE", f"vhosts/{name}")


@pytest.fixture
def vhost() -> Iterator[Vhost]:
    """A fresh virtual host with every exchange and queue of the house."""
    with fresh_vhost() as made:
        yield made
