"""The broker's exchanges, queues and bindings as plain data, from handlers and schemas alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bus.discover import Handler
from schemas import exchange_of

INGRESS, EVENTS, TELEMETRY, REQUESTS, PARKING = "ingress", "events", "telemetry", "requests", "parking"
UNTRUSTED = (INGRESS, TELEMETRY, REQUESTS)
GATE = "gate"
PREFETCH = 1000
DELIVERY_LIMIT = 3
NO_LIMIT = 1_000_000  # explicit, because RabbitMQ 4 would drop a message after 20 deliveries

_RECORD = {  # of record: confirmed only when on disk, never lost on its way to parking
    "x-queue-type": "quorum",
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-dead-letter-exchange": PARKING,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
_COMMAND = {"x-queue-type": "classic", "x-max-length": 500_000, "x-overflow": "reject-publish", "x-message-ttl": 1_800_000}
_TELEMETRY = {"x-queue-type": "classic", "x-max-length": 100_000, "x-overflow": "drop-head"}


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue: its name is its handler's name."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Binding:
    """What of an exchange a queue gets."""

    exchange: str
    queue: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that is declared on the broker."""

    exchanges: Mapping[str, str]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]

    def takers(self, type: str) -> list[str]:  # noqa: A002 - CloudEvents' own word
        """The queues that must get an event of this type."""
        return [b.queue for b in self.bindings if b.exchange == EVENTS and b.routing_key == f"{type}.*"]


def binding_of(handler: str, type: str, schema: Mapping[str, Any]) -> Binding:  # noqa: A002
    """How a handler hears of one type: behind the gate for events, by any account for requests and telemetry."""
    exchange = exchange_of(schema)
    if exchange in (TELEMETRY, REQUESTS):
        return Binding(exchange, handler, f"*.{type}.*")
    return Binding(EVENTS, handler, f"{type}.*")


def topology(handlers: Iterable[Handler], schemas: Mapping[str, Mapping[str, Any]]) -> Topology:
    """The whole broker for these handlers."""
    queues = [
        Queue(GATE, _RECORD | {"x-max-length": 2_000_000}),
        Queue(PARKING, {"x-queue-type": "quorum", "x-delivery-limit": NO_LIMIT}),
    ]
    bindings = [Binding(INGRESS, GATE, "#"), Binding(PARKING, PARKING, "")]
    for handler in handlers:
        if not handler.consumes:
            continue
        kinds = {exchange_of(schemas[name]) for name in handler.consumes}
        arguments = _COMMAND if REQUESTS in kinds else _TELEMETRY if TELEMETRY in kinds else _RECORD
        queues.append(Queue(handler.name, arguments))
        bindings += [binding_of(handler.name, name, schemas[name]) for name in handler.consumes]
    exchanges = {INGRESS: "topic", EVENTS: "topic", TELEMETRY: "topic", REQUESTS: "topic", PARKING: "fanout"}
    return Topology(exchanges, tuple(queues), tuple(bindings))


def definitions(found: Topology, vhost: str) -> dict[str, Any]:
    """The same as RabbitMQ's definitions.json: printed from here, never written by hand."""
    return {
        "exchanges": [
            {"name": name, "vhost": vhost, "type": kind, "durable": True, "auto_delete": False, "arguments": {}}
            for name, kind in found.exchanges.items()
        ],
        "queues": [
            {"name": q.name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": dict(q.arguments)}
            for q in found.queues
        ],
        "bindings": [
            {
                "source": b.exchange,
                "vhost": vhost,
                "destination": b.queue,
                "destination_type": "queue",
                "routing_key": b.routing_key,
                "arguments": {},
            }
            for b in found.bindings
        ],
    }
