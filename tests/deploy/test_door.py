"""The door: a secret for a token that the broker believes, a certificate for a person's, and one sentence for everything else."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import ssl
import stat
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import psycopg
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from bus.apply import Words
from bus.client import Client
from bus.errors import Unavailable
from bus.http import serve
from bus.runner import Runner
from bus.settings import Settings
from bus.standing import Rates
from deploy.door import Asker, Door, refuse
from handlers.proxy.authorities import Authorities
from handlers.proxy.x509 import proxy_pem
from tests.attacks.rows import attack
from tests.bus.test_life_of_an_event import until
from tests.fix_broker import Vhost
from tests.fix_house import ROOT
from tests.handlers.grid import ADA, Grid, Holder

PEOPLE = """
INSERT INTO registry.vos VALUES ('bes', '', now());
INSERT INTO registry.groups VALUES ('bes_user', 'bes', '{NormalUser}', 1, now());
INSERT INTO registry.users VALUES ('ada', ARRAY['CN=Ada Lovelace,OU=People,DC=toy,DC=org'], '', now());
INSERT INTO registry.members VALUES ('ada', 1, 'bes_user');
"""
KEY = "a-key-drawn-for-this-use"


@pytest.fixture
def hands(hands: dict[str, Any], vhost: Vhost) -> dict[str, Any]:
    """The issuer whose keys the test's broker knows."""
    minting = ("pilot.enrol", "token.renew", "token.job", "token.login")
    return hands | dict.fromkeys(minting, vhost.issuer)


@contextlib.contextmanager
def served(door: Door, people_from: Path | str = "", port: int = 0) -> Iterator[str]:
    """The address at which this door answers."""
    app = Starlette(routes=list(door.routes()), exception_handlers={HTTPException: refuse, Exception: refuse})
    server = serve(app, "127.0.0.1", port, os.environ["PILOTBUS_TLS_CERT"], os.environ["PILOTBUS_TLS_KEY"], people_from)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.port}"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def door(house: Runner, house_settings: Settings, vhost: Vhost, words: Words, grid: Grid) -> Iterator[str]:
    """The address of a door of the test's house."""
    asker = Asker(house_settings, words)
    with served(Door(asker.ask, vhost.issuer, Authorities(str(grid.folder))), grid.folder) as address:
        yield address
    asker.close()


def post(address: str, body: Any = None, shown: Path | None = None) -> tuple[int, Any]:
    """The status and the answer."""
    context = ssl.create_default_context(cafile=os.environ["PILOTBUS_CA_FILE"])
    if shown is not None:
        context.load_cert_chain(shown)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, raw, method="POST"), context=context, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, json.load(problem)


def invite(vhost: Vhost, **asked: Any) -> dict[str, Any]:
    """An operator invites a pilot."""
    with Client(vhost.client_url, vhost.ca_file) as operator:
        found: dict[str, Any] = operator.ask("pilot.invite.v1", {"site": "GRID.JINR.ru"} | asked)["pilots"][0]
        return found


def file_of(holder: Holder, folder: Path) -> Path:
    """The holder's certificate and key in one file, as proxies are kept."""
    path = folder / "shown.pem"
    path.write_text(proxy_pem(holder.chain, holder.key))
    return path


def test_a_secret_becomes_a_token_that_the_broker_believes(db: psycopg.Connection[Any], door: str, vhost: Vhost) -> None:
    pilot = invite(vhost)
    status, told = post(f"{door}/enrol", {"secret": pilot["secret"], "key": KEY, "version": "2026.1.0"})
    assert (status, told["pilot_id"], told["site"]) == (200, pilot["pilot_id"], "GRID.JINR.ru")
    with Client(vhost.as_account(f"pilot-{pilot['pilot_id']}", told["token"]), vhost.ca_file) as bus:
        renewed = bus.ask("token.renew.v1", {"pilot_id": pilot["pilot_id"]})["token"]
    assert renewed != told["token"]
    assert pilot["secret"] not in repr(db.execute("SELECT body::text FROM bus.events").fetchall())


@attack("thief of a secret", "uses an enrolment secret a second time", alarm=True)
def test_a_second_use_revokes_and_is_told(db: psycopg.Connection[Any], door: str, vhost: Vhost) -> None:
    pilot = invite(vhost)
    assert post(f"{door}/enrol", {"secret": pilot["secret"], "key": KEY})[0] == 200
    status, told = post(f"{door}/enrol", {"secret": pilot["secret"], "key": "another-key-of-a-thief"})
    assert (status, told["reason"]) == (403, "this secret was used before; whoever it let in is revoked")
    until(lambda: db.execute("SELECT 1 FROM bus.events WHERE type = 'security.secret_reused.v1'").fetchone())


@attack("thief of a token", "renews what is no pilot's token at the door")
def test_a_token_that_has_ended_is_renewed_at_the_door_and_only_a_pilots(door: str, vhost: Vhost) -> None:
    assert post(f"{door}/renew", {"token": vhost.issuer.pilot("p1").text})[0] == 200
    assert post(f"{door}/renew", {"token": vhost.issuer.pilot("nobody").text})[0] == 403
    assert post(f"{door}/renew", {"token": vhost.issuer.person("ada", operates=False).text})[0] == 403
    assert post(f"{door}/renew", {"token": vhost.issuer.job("p1", 1, 1, "ada", "g", "v").text})[0] == 403
    assert post(f"{door}/renew", {"token": "e30.e30.x"})[0] == 403


@attack("nobody", "sends nonsense to the door")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"\xff", 400),
        (b"[" * 4000, 400),
        (b"x" * 5000, 413),
        (b"{}", 400),
        ({"secret": "pbs1.p1.short", "key": KEY}, 400),
        ({"secret": f"pbs1.p1.{'x' * 43}", "key": "short"}, 400),
        ({"secret": f"pbs1.p1.{'x' * 43}", "key": KEY, "version": "1\r\nX: y"}, 400),
        ({"secret": f"pbs1.p1.{'x' * 43}", "key": KEY}, 403),
    ],
)
def test_everything_else_is_one_sentence(door: str, body: Any, status: int) -> None:
    found, told = post(f"{door}/enrol", body)
    assert found == status
    assert told["reason"]
    assert "x" * 43 not in told["reason"]


def test_a_person_logs_in_with_a_certificate_or_a_proxy_and_asks(
    db: psycopg.Connection[Any], door: str, vhost: Vhost, grid: Grid, tmp_path: Path
) -> None:
    db.execute(PEOPLE)
    person = grid.person(ADA)
    for holder in (person, person.proxy(), person.proxy().proxy()):
        status, told = post(f"{door}/login", b"", file_of(holder, tmp_path))
        assert (status, told.get("account")) == (200, "ada"), told
        with Client(vhost.as_account("ada", told["token"]), vhost.ca_file) as bus:
            assert bus.ask("registry.query.v1", {})["accounts"][0]["account"] == "ada"


@attack("payload", "logs in with the limited proxy of its owner")
def test_who_shows_nothing_a_limited_proxy_or_an_unknown_name_gets_nothing(
    db: psycopg.Connection[Any], door: str, grid: Grid, tmp_path: Path
) -> None:
    db.execute(PEOPLE)
    assert post(f"{door}/login", b"")[0] == 401
    status, told = post(f"{door}/login", b"", file_of(grid.person(ADA).proxy(limited=True), tmp_path))
    assert (status, told["reason"]) == (403, "a limited proxy is a payload's, and does not log in")
    status, told = post(f"{door}/login", b"", file_of(grid.person("CN=Eve,DC=toy,DC=org"), tmp_path))
    assert status == 403
    assert "nobody is registered" in told["reason"]


@attack("nobody", "logs in with a foreign or a revoked certificate")
def test_a_certificate_of_another_authority_and_a_revoked_one_are_refused(
    db: psycopg.Connection[Any], door: str, grid: Grid, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    db.execute(PEOPLE)
    foreign = Grid(tmp_path_factory.mktemp("foreign")).person(ADA)
    with pytest.raises(OSError):  # TLS's own: whoever is not vouched for never reaches the door
        post(f"{door}/login", b"", file_of(foreign, tmp_path))
    person = grid.person(ADA)
    grid.revoke(person)
    for holder in (person, person.proxy()):
        status, told = post(f"{door}/login", b"", file_of(holder, tmp_path))
        assert status == 403, told
        assert "revoked" in told["reason"]


def test_the_broker_learns_a_new_key_from_the_door_and_forgets_a_dropped_one(vhost: Vhost) -> None:
    """The stack's broker looks for keys that it does not know at the stack's own door, whose port is free in tests."""
    port = urlsplit(os.environ["PILOTBUS_DOOR_URL"]).port or 0
    url = vhost.pilot("p1")
    with served(Door(lambda _kind, _data: {}, vhost.issuer, Authorities("")), port=port):
        with Client(url, vhost.ca_file):
            pass
        new = vhost.issuer.rotate()
        assert jwt.get_unverified_header(vhost.issuer.pilot("p1").text)["kid"] == new
        with Client(vhost.pilot("p1"), vhost.ca_file), Client(url, vhost.ca_file):
            pass
        vhost.issuer.rotate(drop_old=True)
        with Client(vhost.pilot("p1"), vhost.ca_file), pytest.raises(Unavailable):
            Client(url, vhost.ca_file).__enter__()


def test_pilotbus_login_keeps_a_token_that_the_other_verbs_use(
    db: psycopg.Connection[Any], door: str, vhost: Vhost, grid: Grid, tmp_path: Path
) -> None:
    db.execute(PEOPLE)
    where = urlsplit(vhost.client_url)
    told = {
        "PILOTBUS_CLIENT_AMQP_URL": f"amqps://{where.hostname}:{where.port}{where.path}",
        "PILOTBUS_DOOR_URL": door,
        "PILOTBUS_CA_FILE": vhost.ca_file,
        "PILOTBUS_TOKEN_FILE": str(tmp_path / "token"),
        "PATH": os.environ["PATH"],
    }

    def verb(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deploy.main", *words], cwd=ROOT, env=told, capture_output=True, text=True, check=False
        )

    refused = verb("whoami")
    assert (refused.returncode, "you are not logged in" in refused.stderr) == (4, True)
    logged_in = verb("login", "--cert", str(file_of(grid.person(ADA).proxy(), tmp_path)), "--json")
    assert logged_in.returncode == 0, logged_in.stderr
    assert json.loads(logged_in.stdout)["account"] == "ada"
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    whoami = verb("whoami", "--json")
    assert '"bes_user"' in whoami.stdout, whoami.stderr
    stranger = verb("login", "--cert", str(file_of(grid.person("CN=Eve,DC=toy,DC=org"), tmp_path)))
    assert (stranger.returncode, "nobody is registered" in stranger.stderr) == (4, True)


@attack("nobody", "tries secrets at the door as fast as it can")
def test_an_address_that_asks_too_much_waits(vhost: Vhost) -> None:
    with served(Door(lambda _kind, _data: {}, vhost.issuer, Authorities(""), Rates(0.01, 3))) as address:
        assert [post(f"{address}/enrol", b"{}")[0] for _ in range(5)] == [400, 400, 400, 429, 429]


def test_a_door_without_services_says_so(house_settings: Settings, vhost: Vhost, words: Words) -> None:
    asker = Asker(dataclasses.replace(house_settings, amqp_url=vhost.service_url.replace("127.0.0.1", "127.0.0.2")), words)
    with pytest.raises(Unavailable):
        asker.ask("token.renew.v1", {"pilot_id": "p1"})
