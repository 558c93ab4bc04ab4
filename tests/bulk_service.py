"""The two-step exchange as a service would answer it, with losses where a test wants them; until the house's own does.

Its schemas are those of the design, as far as a client sees them.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bus.apply import Words
from bus.event import Event
from bus.replies import reply
from bus.transport import Delivery, Transport
from schemas import catalogue
from tests.fix_broker import Vhost

KEY = {"type": "string", "maxLength": 36, "pattern": "^[0-9a-f-]{36}$", "description": "The key."}
NUMBER = {"type": "integer", "minimum": 1, "maximum": 1_000_000, "description": "A number."}
TEXT = {"type": "string", "maxLength": 100, "description": "A word."}
ANY = {"type": "object", "additionalProperties": True, "description": "A description."}


def _schema(kind: str, required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    exchange = "reply" if kind.endswith(".reply") else "requests"
    said = {"$id": kind, "title": kind, "description": kind, "type": "object", "examples": []}
    return said | {"x-emitted-by": ["client"], "x-exchange": exchange, "required": list(required), "properties": properties}


_STORED = {"submission": KEY, "first_job_id": NUMBER, "count": NUMBER, "state": TEXT, "expires_at": TEXT}
STUBS = {
    "bulk.submit.v1": _schema(
        "bulk.submit.v1", ("submission",), submission=KEY, owner_group=TEXT, expires_s=NUMBER, description=ANY, dataref=ANY
    ),
    "bulk.confirm.v1": _schema(
        "bulk.confirm.v1", ("submission", "first_job_id", "count"), submission=KEY, first_job_id=NUMBER, count=NUMBER
    ),
    "bulk.submit.v1.reply": _schema("bulk.submit.v1.reply", tuple(_STORED), **_STORED),
    "bulk.confirm.v1.reply": _schema("bulk.confirm.v1.reply", tuple(_STORED), **_STORED),
}


def words() -> Words:
    """The house's words, and those of the exchange if it has none yet."""
    return Words(STUBS | catalogue())


@dataclass
class Bulk:
    """What the service has stored by key, and what it does to the next requests: `lose`, `cut` or an error's code."""

    counts: int = 3
    troubles: list[str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)

    def answered(self, event: Event) -> Event | None:
        """The reply, or None when it is lost after the deed."""
        self.asked.append((event.type, event.data))
        trouble = self.troubles.pop(0) if self.troubles else ""
        if trouble not in {"", "lose", "cut"}:
            return event.refuse(trouble, f"it is {trouble}").signed("/pilotbus/bulk")
        key = event.data["submission"]
        first = 1 + sum(known["count"] for known in self.stored.values())
        new = {"submission": key, "first_job_id": first, "count": self.counts, "state": "Submitting"}
        kept = self.stored.setdefault(key, new | {"expires_at": "2026-11-21T00:00:00Z"})
        if event.type == "bulk.confirm.v1":
            kept["state"] = "Received"
        return None if trouble else event.reply(dict(kept)).signed("/pilotbus/bulk")


@contextlib.contextmanager
def serving(vhost: Vhost, bulk: Bulk, cut: Any = lambda: None) -> Iterator[Bulk]:
    """The service answers while the block lasts; a `cut` takes the asker's connection before the reply."""
    ended = threading.Event()
    transport = Transport(vhost.service_url, vhost.ca_file).connect()
    queue = f"bulk-{uuid.uuid4().hex}"
    transport.own_queue(queue)
    for kind in ("bulk.submit.v1", "bulk.confirm.v1"):
        transport.bind(queue, "requests", f"*.{kind}.#")
    transport.consume(queue, no_ack=True)
    _alone(vhost, transport, queue)

    def serve() -> None:
        while not ended.is_set():
            for delivery in transport.receive(10, 0.1):
                _answer(transport, delivery, bulk, cut)

    thread = threading.Thread(target=serve, name="bulk")
    thread.start()
    try:
        yield bulk
    finally:
        ended.set()
        thread.join(timeout=20)
        transport.close()


def _alone(vhost: Vhost, transport: Transport, queue: str) -> None:
    """The house's own service, if it has one, hears nothing of the exchange any more."""
    for binding in vhost.call("GET", f"exchanges/{vhost.name}/requests/bindings/source"):
        if binding["routing_key"].startswith("*.bulk.") and binding["destination"] != queue:
            transport._channel.queue_unbind(binding["destination"], "requests", binding["routing_key"])


def _answer(transport: Transport, delivery: Delivery, bulk: Bulk, cut: Any) -> None:
    cuts = bulk.troubles[:1] == ["cut"]
    told = bulk.answered(Event.from_json(delivery.body))
    if cuts:
        cut()
    if told is not None:
        reply(transport, delivery, told)
