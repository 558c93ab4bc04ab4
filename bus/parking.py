"""Where messages wait that could not be handled: quarantined at once (invalid), or parked after too many tries (failed)."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from psycopg import Connection

from bus.transport import Delivery
from schemas.rules.secrets import scrub

_PARK = """INSERT INTO bus.parked (queue, reason, detail, account, event_id, type, body)
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
_WHY = "SELECT detail FROM bus.failures WHERE handler = %s AND event_id::text = %s"


def quarantine(connection: Connection[Any], delivery: Delivery, reason: str) -> None:
    """The message and the reason are kept, once the transaction commits."""
    _park(connection, delivery, delivery.queue, "invalid", reason)


def park(connection: Connection[Any], delivery: Delivery, detail: str = "") -> None:
    """A message that a handler failed on is kept with the traceback; that of a dead letter was kept when it failed."""
    queue = str(delivery.headers.get("x-first-death-queue") or delivery.queue)
    why = str(delivery.headers.get("x-first-death-reason") or "unknown")
    event_id = str(_names(delivery.body).get("id") or "")
    row = None if detail else connection.execute(_WHY, (storable(queue), storable(event_id))).fetchone()
    _park(connection, delivery, queue, "failed", detail or (row[0] if row else f"dead-lettered: {why}"))


def _names(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def storable(text: str) -> str:
    """The text as it may be kept: without NUL and half surrogates, which Postgres refuses, and without secrets.

    Strangers' text, and tracebacks that quote it, may hold all of these.
    """
    return scrub(text.replace("\x00", "").encode("utf-8", "replace").decode())


def _park(connection: Connection[Any], delivery: Delivery, queue: str, reason: str, detail: str) -> None:
    names = _names(delivery.body)
    known = [storable(str(names[name])[:200]) if name in names else None for name in ("id", "type")]
    body = psycopg.Binary(delivery.body)
    account = storable(delivery.account) if delivery.account else None
    connection.execute(_PARK, (storable(queue), reason, storable(detail), account, *known, body))
