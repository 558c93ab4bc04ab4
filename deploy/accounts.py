"""The broker accounts of a local stack and what each may do; tests give the same rights in their own vhosts."""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["service", "pilot", "user", "admin"]

VHOST = "pilotbus"
SERVICE, PILOT, ADMIN = "pilotbus", "pilot", "stack-admin"
_TAKEN = {SERVICE, PILOT, ADMIN, "guest"}
_NOTHING = "^$"
# RabbitMQ puts the account's name in: whoever writes to an untrusted exchange signs with an own routing key.
_OWN_KEYS = "^{username}\\.[A-Za-z0-9._-]+$"


def login_account() -> str:
    """The person at the keyboard as an account name, never one of the stack's own."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        login = "user"
    name = re.sub(r"[^a-z0-9_-]", "_", login.lower())[:48]
    if not re.match(r"[a-z]", name):
        name = f"u{name}"
    return f"{name}-user" if name in _TAKEN else name


def grants(account: str, kind: Kind) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The permission and the topic permissions of an account in a vhost, without the names of either.

    A user declares and reads queues named `subscription.<account>.…` and nothing else; a pilot declares nothing and
    reads only its direct replies, which need no permission. The administrator manages vhosts and carries no messages.
    """
    if kind == "service":
        return {"configure": ".*", "write": ".*", "read": ".*"}, []
    if kind == "admin":
        return {"configure": _NOTHING, "write": _NOTHING, "read": _NOTHING}, []
    if kind == "pilot":
        permission = {"configure": _NOTHING, "write": "^(ingress|telemetry|requests)$", "read": _NOTHING}
        return permission, [_writes(exchange, _OWN_KEYS) for exchange in ("ingress", "telemetry", "requests")]
    own_queue = f"^subscription\\.{re.escape(account)}\\..+$"
    permission = {
        "configure": own_queue,
        "write": f"^(ingress|requests)$|{own_queue}",
        "read": f"^events$|{own_queue}",
    }
    topics = [_writes(exchange, _OWN_KEYS) for exchange in ("ingress", "requests")]
    return permission, [*topics, {"exchange": "events", "write": _NOTHING, "read": ".*"}]


def definitions(user: str, passwords: Mapping[str, str]) -> dict[str, Any]:
    """What RabbitMQ imports at every start: the vhost, the four accounts and their rights; no exchange, no queue.

    `passwords` maps each account to its password; the bus declares everything else.
    """
    kinds: dict[str, Kind] = {SERVICE: "service", PILOT: "pilot", user: "user", ADMIN: "admin"}
    rights = {account: grants(account, kind) for account, kind in kinds.items()}
    return {
        "users": [
            {"name": account, "password": passwords[account], "tags": ["administrator"] if kind == "admin" else []}
            for account, kind in kinds.items()
        ],
        "vhosts": [{"name": VHOST}],
        "permissions": [{"user": account, "vhost": VHOST, **permission} for account, (permission, _topics) in rights.items()],
        "topic_permissions": [
            {"user": account, "vhost": VHOST, **topic} for account, (_permission, topics) in rights.items() for topic in topics
        ],
    }


def _writes(exchange: str, keys: str) -> dict[str, str]:
    return {"exchange": exchange, "write": keys, "read": _NOTHING}
