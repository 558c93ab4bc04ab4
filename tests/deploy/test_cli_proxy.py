"""`pilotbus proxy`, as a command against the running house: what is signed here is kept there, and nothing else is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from bus.runner import Runner
from handlers.proxy.x509 import chain_pem, proxy_pem
from tests.deploy.test_cli_bad_input import pilotbus, refused
from tests.fix_broker import Vhost
from tests.fix_house import Spawn
from tests.handlers.grid import ADA, Grid, Holder, registered


@pytest.fixture
def told(vhost: Vhost, tmp_path: Path) -> dict[str, str]:
    """A client on the test's virtual host, whose home is empty."""
    return {"PILOTBUS_CLIENT_AMQP_URL": vhost.client_url, "PILOTBUS_CA_FILE": vhost.ca_file, "HOME": str(tmp_path)}


def account_of(vhost: Vhost) -> str:
    """Who the client is."""
    return urlsplit(vhost.client_url).username or ""


def files(folder: Path, holder: Holder, password: bytes | None = None) -> tuple[Path, Path]:
    """A certificate and its key as grid tools keep them."""
    folder.mkdir(exist_ok=True)
    cert, key = folder / "usercert.pem", folder / "userkey.pem"
    cert.write_text(chain_pem(holder.chain))
    how = BestAvailableEncryption(password) if password else NoEncryption()
    key.write_bytes(holder.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    key.chmod(0o600)
    return cert, key


def proxy_file(folder: Path, holder: Holder) -> Path:
    """A proxy file as grid tools keep it."""
    path = folder / "x509up"
    path.write_text(proxy_pem(holder.chain, holder.key))
    path.chmod(0o600)
    return path


def done(run: subprocess.CompletedProcess[str]) -> Any:
    """The document that it has printed."""
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_a_proxy_is_uploaded_listed_and_destroyed(
    house: Runner, grid: Grid, db: psycopg.Connection[Any], vhost: Vhost, told: dict[str, str], tmp_path: Path
) -> None:
    registered(db, account_of(vhost))
    files(tmp_path / ".globus", grid.person())
    kept = done(pilotbus(tmp_path, told, "proxy", "upload", "--days", "2", "--json"))
    assert kept["dn"] == ADA
    (shown,) = done(pilotbus(tmp_path, told, "proxy", "list", "--json"))
    assert (shown["fingerprint"], shown["not_after"]) == (kept["fingerprint"], kept["not_after"])
    assert "Ada Lovelace" in pilotbus(tmp_path, told, "proxy", "list").stdout

    path = proxy_file(tmp_path, grid.person().proxy())
    newer = done(pilotbus(tmp_path, told | {"X509_USER_PROXY": str(path)}, "proxy", "upload", "--json"))
    assert newer["not_after"] < kept["not_after"]
    assert db.execute("SELECT fingerprint FROM proxy.proxies").fetchall() == [(newer["fingerprint"],)]

    said = pilotbus(tmp_path, told, "proxy", "destroy")
    assert (said.returncode, "is destroyed" in said.stderr) == (0, True)
    refused(pilotbus(tmp_path, told, "proxy", "destroy"), 3, "no such proxy is kept for you")
    assert db.execute("SELECT type FROM bus.events WHERE type LIKE 'proxy.%' ORDER BY position").fetchall() == [
        ("proxy.deposited.v1",),
        ("proxy.deposited.v1",),
        ("proxy.destroyed.v1",),
    ]
    stored = "".join(str(row) for row in db.execute("SELECT body FROM bus.events").fetchall())
    assert "BEGIN" not in stored


def test_what_the_house_will_not_keep_is_told_in_one_sentence(
    house: Runner, grid: Grid, db: psycopg.Connection[Any], vhost: Vhost, told: dict[str, str], tmp_path: Path
) -> None:
    cert, key = files(tmp_path / "eve", grid.person("CN=Eve,DC=toy,DC=org"))
    words = ("proxy", "upload", "--cert", str(cert), "--key", str(key))
    account = account_of(vhost)
    refused(pilotbus(tmp_path, told, *words), 4, f"no certificate is registered for {account}")
    registered(db, account)
    refused(pilotbus(tmp_path, told, *words), 4, "CN=Eve,DC=toy,DC=org is not registered")
    limited = proxy_file(tmp_path, grid.person().proxy(limited=True))
    refused(pilotbus(tmp_path, told, "proxy", "upload", "--cert", str(limited)), 2, "limited")
    foreign = proxy_file(tmp_path, Grid(tmp_path / "foreign").person().proxy())
    refused(pilotbus(tmp_path, told, "proxy", "upload", "--cert", str(foreign)), 2, "not trusted")


def test_services_without_a_key_file_say_so(
    spawn: Spawn, grid: Grid, db: psycopg.Connection[Any], vhost: Vhost, told: dict[str, str], tmp_path: Path
) -> None:
    spawn()
    registered(db, account_of(vhost))
    files(tmp_path / ".globus", grid.person())
    refused(pilotbus(tmp_path, told, "proxy", "upload"), 5, "PILOTBUS_VAULT_KEY_FILE is not set")


def test_files_that_can_not_sign_are_named(grid: Grid, told: dict[str, str], tmp_path: Path) -> None:
    cert, key = files(tmp_path / "ada", grid.person(), b"secret")
    upload = ("proxy", "upload", "--cert")
    refused(pilotbus(tmp_path, told, *upload, str(cert), "--key", str(key)), 2, str(key), "no terminal")
    refused(pilotbus(tmp_path, told, *upload, str(cert)), 2, str(cert), "others may read this key")
    cert.chmod(0o600)
    refused(pilotbus(tmp_path, told, *upload, str(cert)), 2, str(cert), "can not be read")
    refused(pilotbus(tmp_path, told, *upload, str(key)), 2, str(key), "can not be read")
    refused(pilotbus(tmp_path, told, *upload, "absent.pem"), 3, "absent.pem")
    refused(pilotbus(tmp_path, told, "proxy", "upload", "--key", str(key)), 2, "--key goes with --cert")
    key.chmod(0o640)
    refused(pilotbus(tmp_path, told, *upload, str(cert), "--key", str(key)), 2, "chmod 600")
    refused(pilotbus(tmp_path, told | {"X509_USER_PROXY": "nowhere"}, "proxy", "upload"), 3, "nowhere")
