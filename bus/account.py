"""As whom a user's program reaches which bus: the environment, else the stack that is up here, else who has logged in."""

from __future__ import annotations

import base64
import json
import os
import shlex
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from bus.errors import Refused, Unavailable
from bus.settings import Settings, settings

STACK = "up"
RUN_DIRECTORY = Path(__file__).resolve().parents[1] / ".run"


def read_settings(path: Path) -> dict[str, str]:
    """The settings in a file of environment variables; the same file can be sourced by a shell."""
    return dict(word.split("=", 1) for word in shlex.split(path.read_text()))


def environment_of(stack: str = STACK) -> dict[str, str]:
    """The client settings of the stack that `pilotbus up` keeps here, above, or in its own clone, if there is one."""
    kept = [folder / ".run" for folder in (Path.cwd(), *Path.cwd().parents)]
    for folder in (*kept, RUN_DIRECTORY):
        path = folder / stack / "client.env"
        if path.exists():
            return read_settings(path)
    return {}


def told() -> Settings:
    """What a program of this user has been told, by the environment or by the stack that is up here."""
    return settings(environment_of() | dict(os.environ))


def client_settings() -> Settings:
    """Settings with an address and an account. Raises Unavailable without a bus, Refused for who is not logged in.

    A URL that names no account is that of whoever has logged in.
    """
    found = told()
    if not found.client_amqp_url:
        raise Unavailable("no bus is set: start one with `pilotbus up`, or set PILOTBUS_CLIENT_AMQP_URL")
    where = urlsplit(found.client_amqp_url)
    if where.username and not os.environ.get("PILOTBUS_TOKEN_FILE"):
        return found
    kept = token_file()
    try:
        account = account_in(kept.read_text(encoding="ascii"))
    except (OSError, ValueError, IndexError, KeyError) as problem:
        raise Refused("denied", f"you are not logged in: there is no token in {kept}; `pilotbus login` gets one") from problem
    place = f"{quote(account, safe='')}@{where.hostname}:{where.port or 5671}"
    url = urlunsplit(where._replace(netloc=place, query=urlencode({"tokenfile": kept}, safe="/")))
    return replace(found, client_amqp_url=url)


def token_file() -> Path:
    """Where the token of whoever has logged in is kept."""
    return Path(os.environ.get("PILOTBUS_TOKEN_FILE") or "~/.pilotbus/token").expanduser()


def account_in(token: str) -> str:
    """Whose token this says it is; the broker judges whether that is so. Raises ValueError."""
    body = token.strip().split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["sub"])
