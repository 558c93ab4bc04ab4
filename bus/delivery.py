"""One message as the broker gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bus.reply_to import is_direct

_NO_HEADERS: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it came."""

    queue: str
    body: bytes
    tag: Any
    exchange: str
    routing_key: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def account(self) -> str | None:
        """Who sent it, verified by the broker; None when the sender did not say."""
        return self.properties.get("user_id")

    @property
    def reply_to(self) -> str | None:
        """Where its reply goes: a direct reply-to address, and never anybody's queue."""
        address = self.properties.get("reply_to") or ""
        return address if is_direct(address) else None

    def slim(self) -> Delivery:
        """The same without its body, and of its properties only what a reply needs: it may wait long, with many others."""
        needed = {name: self.properties[name] for name in ("reply_to", "correlation_id") if name in self.properties}
        return Delivery(self.queue, b"", self.tag, self.exchange, self.routing_key, needed, _NO_HEADERS)


def delivered(queue: str, message: Any) -> Delivery:
    """What kombu or py-amqp gives, with its bytes as they came."""
    body = message.body if isinstance(message.body, bytes) else str(message.body).encode("utf-8", "replace")
    info, properties = message.delivery_info, message.properties
    exchange, key = info.get("exchange") or "", info.get("routing_key") or ""
    headers = properties.get("application_headers") or getattr(message, "headers", None) or {}
    return Delivery(queue, body, message.delivery_tag, exchange, key, properties, headers)
