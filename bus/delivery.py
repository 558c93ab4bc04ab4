"""One message as the broker gave it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_ADDRESS = re.compile(r"amq\.rabbitmq\.reply-to\.([A-Za-z0-9+/]{20,400}={0,2})\.([A-Za-z0-9+/_-]{8,100}={0,2})")
# a process identifier in Erlang's external term format, of a node that is called reply@…, as RabbitMQ calls them all
_PROCESS = re.compile(rb"\x83(?:X|g)(?:[dv]..|[sw].)reply@[0-9a-zA-Z._-]{1,100}.{9,12}", re.DOTALL)
_NO_HEADERS: Mapping[str, Any] = {}
REPLY_TO = "amq.rabbitmq.reply-to"


def is_direct(address: str) -> bool:
    """Whether this is an address as RabbitMQ makes them for direct replies.

    Of another one of this prefix it takes the letters for a process of its own, and breaks down over some.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return False
    try:
        process = base64.b64decode(found[1], validate=True)
    except ValueError:
        return False
    return _PROCESS.fullmatch(process) is not None


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
