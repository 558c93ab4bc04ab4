"""What the processes of a local stack are told: secrets drawn once, and settings as files of environment variables."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

from deploy import postgres
from deploy.accounts import SERVICE, VHOST
from deploy.certificates import Certificates
from deploy.process import write_private


def draw_secrets(path: Path) -> dict[str, str]:
    """One secret per purpose, drawn once and remembered."""
    remembered: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    drawn = {name: secrets.token_urlsafe(24) for name in ("postgres", "sandbox") if name not in remembered}
    write_private(path, json.dumps(remembered | drawn, indent=1))
    return remembered | drawn


def settings_for(
    directory: Path,
    at: Mapping[str, int],
    drawn: Mapping[str, str],
    files: Certificates,
    user: str,
) -> dict[str, str]:
    """Everything a service, a pilot and a client of this stack can be told."""

    def amqp_url(account: str) -> str:
        pair = files.of(account)
        query = urlencode({"certfile": pair.certificate, "keyfile": pair.key}, safe="/")
        return f"amqps://{account}@127.0.0.1:{at['amqp']}/{VHOST}?{query}"

    database = f"{postgres.ROLE}:{drawn['postgres']}@127.0.0.1:{at['postgres']}/{postgres.DATABASE}"
    return {
        "PILOTBUS_AMQP_URL": amqp_url(SERVICE),
        "PILOTBUS_CLIENT_AMQP_URL": amqp_url(user),
        "PILOTBUS_PILOT_AMQP_URL": f"amqps://127.0.0.1:{at['amqp']}/{VHOST},stomps://127.0.0.1:{at['stomp']}/{VHOST}",
        "PILOTBUS_STOMP_URL": f"stomp+ssl://127.0.0.1:{at['stomp']}/{VHOST}",
        "PILOTBUS_MANAGEMENT_URL": f"https://127.0.0.1:{at['management']}",
        "PILOTBUS_DOOR_URL": f"https://127.0.0.1:{at['http']}",
        "PILOTBUS_ISSUER_DIR": str(directory / "issuer"),
        "PILOTBUS_RELEASE_DIR": str(directory / "release"),
        "PILOTBUS_USER_CA_DIR": str(files.trusted),
        "PILOTBUS_VAULT_KEY_FILE": str(directory / "vault.key"),
        "PILOTBUS_DSN": f"postgresql://{database}?sslmode=verify-full&sslrootcert={quote(str(files.authority))}",
        "PILOTBUS_CA_FILE": str(files.authority),
        "PILOTBUS_OPERATORS": user,
        **sandbox_settings(directory, at, drawn["sandbox"], files),
    }


def sandbox_settings(directory: Path, at: Mapping[str, int], secret: str, files: Certificates) -> dict[str, str]:
    """A sandbox store in the stack's directory."""
    return {
        "PILOTBUS_TLS_CERT": str(files.server),
        "PILOTBUS_TLS_KEY": str(files.server_key),
        "PILOTBUS_HTTP_BIND": f"127.0.0.1:{at['http']}",
        "PILOTBUS_SANDBOX_DIR": str(directory / "sandboxes"),
        "PILOTBUS_SANDBOX_URL": f"https://127.0.0.1:{at['http']}",
        "PILOTBUS_SANDBOX_SECRET": secret,
    }


def write_settings(directory: Path, settings: Mapping[str, str]) -> None:
    """Each kind of process has a file with what it may know, and no more."""
    known = {
        "services.env": set(settings),
        "client.env": {"PILOTBUS_CLIENT_AMQP_URL", "PILOTBUS_CA_FILE", "PILOTBUS_DOOR_URL"},
        "pilot.env": {"PILOTBUS_PILOT_AMQP_URL", "PILOTBUS_CA_FILE", "PILOTBUS_DOOR_URL"},
    }
    for name, keys in known.items():
        lines = [f"{key}={shlex.quote(value)}\n" for key, value in settings.items() if key in keys]
        write_private(directory / name, "".join(lines))
