"""The house as it starts: every schema, every handler, a way to tell a story, and whole processes of it."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bus.administration import NoAdministration
from bus.apply import Words, answer, apply, serve
from bus.discover import Handler, handlers
from bus.event import Event
from bus.login import account_of
from bus.postgres import Direct
from bus.runner import Runner
from bus.settings import Settings
from deploy.house import found_handlers
from handlers.file.store._contract import Grant
from handlers.file.sweep import Hands as SweepHands
from handlers.proxy.authorities import Authorities
from handlers.proxy.hands import Hands
from handlers.proxy.vault import Vault, make
from handlers.share.hands import Hands as ShareHands
from handlers.token.issuer import Issuer
from schemas.rules.shares import HOUSE
from tests.fix_broker import Vhost
from tests.handlers.grid import Grid

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def words() -> Words:
    """Every schema of the house."""
    return Words()


@pytest.fixture(scope="session")
def found(words: Words) -> dict[str, Handler]:
    """Every handler of the house, by name."""
    return {handler.name: handler for handler in handlers(known=words.known)}


class Story:
    """given() are events of the past, when() applies one to the test's handler, then() are the events that came of it."""

    def __init__(self, name: str, found: dict[str, Handler], db: psycopg.Connection[Any], words: Words) -> None:
        self._handler, self._found, self._db, self._words = found[name], found, db, words
        self._answers: list[Event] = []

    def given(self, name: str, *events: Event, hands: Any = None) -> Story:
        """Another handler has applied these."""
        handler = self._found[name]
        if handler.verb in ("answer", "serve"):
            (serve if handler.verb == "serve" else answer)(handler, events, (), self._db, self._words)
        else:
            apply(handler, events, self._db, self._words, once=False, hands=hands)
        return self

    def sql(self, statement: str, *values: Any) -> Story:
        """Foreign rows are there."""
        self._db.execute(statement, values)
        return self

    def when(self, *events: Event, once: bool = True, hands: Any = None) -> Story:
        """The test's handler has applied these, in one batch."""
        applied, _ = apply(self._handler, events, self._db, self._words, once=once, hands=hands)
        self._answers = [event for outcome in applied for event in outcome.answers]
        return self

    def asked(self, *requests: Event, wakes: tuple[Event, ...] = ()) -> Story:
        """The test's `answer` handler was asked these."""
        ask = serve if self._handler.verb == "serve" else answer
        replies, stored = ask(self._handler, requests, wakes, self._db, self._words)
        self._answers = [*replies.values(), *(item.event for item in stored)]
        return self

    def acted(self, hands: Any, *events: Event) -> Story:
        """The test's `act` handler has acted on these, one after another, and concluded."""
        self._answers = []
        for event in events:
            found = list(self._handler.function(event, Direct(self._db, self._handler.sql), hands))
            applied, _ = apply(
                self._handler, [event], self._db, self._words, once=False, function=lambda _event, _db, found=found: found
            )
            self._answers += [answer for outcome in applied for answer in outcome.answers]
        return self

    @property
    def answers(self) -> list[Event]:
        """What came of the last events."""
        return self._answers

    def then(self, *wanted: tuple[str, dict[str, Any]]) -> Story:
        """These came of it, in this order, with at least these fields."""
        got = [(a.type, {k: a.data.get(k) for k in w[1]}) for a, w in zip(self._answers, wanted, strict=True)]
        assert got == list(wanted)
        return self

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows as they are now."""
        return self._db.execute(statement, values).fetchall()


@pytest.fixture
def story(request: pytest.FixtureRequest, found: dict[str, Handler], db: psycopg.Connection[Any], words: Words) -> Story:
    """A story of the handler that the test's module names in HANDLER."""
    return Story(request.module.HANDLER, found, db, words)


def example(words: Words, kind: str, **changes: Any) -> Event:
    """The schema's own example as an event of account ada, with changes."""
    data = words.known[kind]["examples"][0] | changes
    return Event(kind, "/ada/test", str(data.get("job_id", "_")), data, authid="ada")


class OneFile:
    """A sandbox store with nothing in it, for handlers that only want an address."""

    def grant(self, operation: str, digest: str, size_bytes: int | None, seconds: int) -> Grant:
        """An address that leads nowhere."""
        return Grant(f"https://127.0.0.1:1/sandbox/{digest}", {}, "2026-01-01T00:00:00Z")

    def size_of(self, digest: str) -> int | None:
        """Everything is one byte long."""
        return 1

    def remove(self, digest: str) -> None:
        """There is nothing to remove."""


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """A toy authority that the house trusts, for people with certificates."""
    return Grid(tmp_path_factory.mktemp("trusted"))


@pytest.fixture(scope="session")
def hands(grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each `act` handler reaches outside, by handler; all of it is real but the store."""
    key = tmp_path_factory.mktemp("vault") / "vault.key"
    make(key)
    kept = Hands(Vault(str(key)), Authorities(str(grid.folder)))
    issuer = Issuer(tmp_path_factory.mktemp("issuer"), "https://door.example.org", "pilotbus")
    minting = ("pilot.enrol", "pilot.invite", "token.renew", "token.job", "token.login")
    return {
        "file.grant": OneFile(),
        **{f"proxy.{verb}": kept for verb in ("delegate", "deposit", "fetch")},
        **dict.fromkeys(minting, issuer),
        "security.cut": NoAdministration(),
        "log.tidy": 30,
        "job.retire": dict.fromkeys(("Done", "Failed", "Killed", "Deleted"), -1),
        "file.sweep": SweepHands(OneFile(), -1),
        "share.query": ShareHands(HOUSE, ("root",)),
        "match.tidy": 7,
    }


def settings_for(vhost: Vhost, dsn: str) -> Settings:
    """Settings of a house on this virtual host and database."""
    return Settings(
        amqp_url=vhost.service_url,
        dsn=dsn,
        ca_file=vhost.ca_file,
        operators=f"ada,root,{account_of(vhost.client_url)}",
        events_vhost="pilotbus",
        management_url=vhost.management_url,
        issuer_dir=os.environ["PILOTBUS_ISSUER_DIR"],
        door_url=os.environ["PILOTBUS_DOOR_URL"],
    )


@pytest.fixture
def house_settings(vhost: Vhost, test_dsn: str) -> Settings:
    """Settings of a house on the test's own virtual host and database."""
    return settings_for(vhost, test_dsn)


@pytest.fixture
def house(house_settings: Settings, words: Words, hands: dict[str, Any]) -> Iterator[Runner]:
    """Every handler, the gate and the relay, running in this process."""
    reached = {**dict.fromkeys(("log.read", "match.why"), house_settings.operator_accounts), **hands}
    runner = Runner(house_settings, found_handlers(house_settings, words), words, reached).start()
    yield runner
    runner.stop()


Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def spawn(house_settings: Settings) -> Iterator[Spawn]:
    """Start the services as a process of their own, ready when this returns; what is still alive is ended after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def run(log: Any = None, **more: str) -> subprocess.Popen[bytes]:
        told = {f"PILOTBUS_{name.upper()}": value for name, value in dataclasses.asdict(house_settings).items() if value}
        environment = _plain_environment() | told | more
        command = [sys.executable, "-m", "deploy.main", "run"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        if process.stdout is not None:
            process.stdout.close()


def _plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PILOTBUS_")}
