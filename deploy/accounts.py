"""The broker accounts of a local stack and what each may do; tests give the same rights in their own vhosts."""

from __future__ import annotations

import getpass
import re
from typing import Any, Literal

Kind = Literal["service", "user", "operator"]

VHOST = "pilotbus"
SERVICE = "pilotbus"
_NOTHING = "^$"
# RabbitMQ puts the account's name in: whoever writes to an untrusted exchange signs with an own routing key.
_OWN_KEYS = "^{username}\\.[A-Za-z0-9._-]+$"
_OWN_EVENTS = "^of\\.{username}\\.[A-Za-z0-9._*#-]+$"
_ALL_EVENTS = "^[A-Za-z0-9._*#-]+$"


def login_account() -> str:
    """The person at the keyboard as an account name, never one that is not a person's."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        login = "user"
    name = re.sub(r"[^a-z0-9_-]", "_", login.lower())[:48]
    if not re.match(r"[a-z]", name):
        name = f"u{name}"
    return f"u-{name}" if name in {SERVICE, "guest"} or name.startswith("pilot-") else name


def grants(account: str, kind: Kind) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The permission and the topic permissions of an account in a vhost, without the names of either.

    A person declares and reads queues named `subscription.<account>.…` and nothing else, and follows the own events;
    an operator follows all. Pilots have no account: their tokens carry their rights (handlers/token/issuer.py).
    """
    if kind == "service":
        return {"configure": ".*", "write": ".*", "read": ".*"}, []
    own_queue = f"^subscription\\.{re.escape(account)}\\..+$"
    permission = {
        "configure": own_queue,
        "write": f"^(ingress|requests)$|{own_queue}",
        "read": f"^events$|{own_queue}",
    }
    topics = [{"exchange": exchange, "write": _OWN_KEYS, "read": _NOTHING} for exchange in ("ingress", "requests")]
    follows = _ALL_EVENTS if kind == "operator" else _OWN_EVENTS
    return permission, [*topics, {"exchange": "events", "write": _NOTHING, "read": follows}]


def definitions(operator: str) -> dict[str, Any]:
    """What RabbitMQ imports at every start: the vhost, the services' account and one operator's; no exchange, no queue.

    Nobody has a password: an account logs in with its certificate or with a token. The bus declares everything else.
    """
    kinds: dict[str, Kind] = {SERVICE: "service", operator: "operator"}
    rights = {account: grants(account, kind) for account, kind in kinds.items()}
    return {
        "users": [{"name": account, "password_hash": "", "tags": []} for account in kinds],
        "vhosts": [{"name": VHOST}],
        "permissions": [{"user": account, "vhost": VHOST, **permission} for account, (permission, _topics) in rights.items()],
        "topic_permissions": [
            {"user": account, "vhost": VHOST, **topic} for account, (_permission, topics) in rights.items() for topic in topics
        ],
    }
