"""Deny by default, looked at before anything starts: what the broker would let outsiders do, and where it listens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from bus.errors import Invalid
from bus.topology import EVENTS, UNTRUSTED

# Names that no outsider may configure, and that none may write to but the untrusted exchanges.
_PROBES = (*UNTRUSTED, EVENTS, "parking", "amq.default", "amq.topic", "amq.rabbitmq.event", "gate", "job.report", "wake.x.y")
_OTHERS_KEY = "somebody-else.job.reported.v1.1"
_OTHERS_EVENTS = ("job.done.v1.1", "of.somebody-else.job.done.v1.1", "#")
_INSIDE = {"clustering"}


class Administration(Protocol):
    """The broker's HTTP API."""

    def get(self, path: str) -> Any:
        """What it says of a path."""
        ...


def judge(administration: Administration, vhost: str, service: str, operators: Iterable[str]) -> None:
    """The broker denies by default. Raises Invalid with every fault, one sentence each."""
    found = [
        *permission_faults(administration.get(f"vhosts/{vhost}/permissions"), service),
        *topic_faults(
            administration.get(f"vhosts/{vhost}/permissions"),
            administration.get(f"vhosts/{vhost}/topic-permissions"),
            service,
            frozenset(operators),
        ),
        *listener_faults(administration.get("overview")["listeners"]),
    ]
    if found:
        raise Invalid(f"the broker would let in too much: {'; '.join(found)} (PILOTBUS_DEVELOPMENT=yes starts all the same)")


def permission_faults(permissions: Sequence[Mapping[str, str]], service: str) -> list[str]:
    """What accounts other than the services' may configure, write or read and should not."""
    faults = []
    for permission in permissions:
        user = permission["user"]
        if user == service:
            continue
        for right, allowed in (("configure", ()), ("write", UNTRUSTED), ("read", (EVENTS,))):
            open_to = [name for name in _PROBES if name not in allowed and _matches(permission[right], name)]
            if open_to:
                faults.append(f"{user} may {right} {open_to[0]} ({permission[right]})")
    return faults


def topic_faults(
    permissions: Sequence[Mapping[str, str]], topics: Sequence[Mapping[str, str]], service: str, operators: frozenset[str]
) -> list[str]:
    """Exchanges without a topic permission, where RabbitMQ allows every key, and keys that are not the account's own."""
    faults = []
    kept = {(topic["user"], topic["exchange"]): topic for topic in topics}
    for permission in permissions:
        user = permission["user"]
        if user == service:
            continue
        for exchange in UNTRUSTED:
            topic = kept.get((user, exchange))
            if not _matches(permission["write"], exchange):
                continue
            if topic is None:
                faults.append(f"{user} has no topic permission on {exchange}, so that every key is allowed")
            elif _matches(_own(topic["write"], user), _OTHERS_KEY):
                faults.append(f"{user} may write as others on {exchange} ({topic['write']})")
        if _matches(permission["read"], EVENTS) and user not in operators:
            topic = kept.get((user, EVENTS))
            if topic is None or any(_matches(_own(topic["read"], user), key) for key in _OTHERS_EVENTS):
                faults.append(f"{user} may follow others' events and is no operator")
    return faults


def listener_faults(listeners: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where the broker listens without TLS."""
    plain = [one for one in listeners if not one["protocol"].endswith(("ssl", "https")) and one["protocol"] not in _INSIDE]
    return [f"it listens for {one['protocol']} on port {one['port']} without TLS" for one in plain]


def _own(pattern: str, user: str) -> str:
    return pattern.replace("{username}", re.escape(user))


def _matches(pattern: str, name: str) -> bool:
    # as the broker does: anywhere in the name, and an empty pattern is ^$
    try:
        return re.search(pattern or "^$", name) is not None
    except re.error:
        return True  # what we can not read we do not trust
