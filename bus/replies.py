"""Replies to those who asked: by direct reply-to, to the asker alone, together where many are due."""

from __future__ import annotations

from collections.abc import Sequence

from bus.event import Event
from bus.topology import REQUESTS
from bus.transport import Delivery, Transport


def reply(transport: Transport, delivery: Delivery, event: Event) -> None:
    """The asker has its reply, if it is still there; nobody else ever gets one."""
    reply_all(transport, [(delivery, event)])


def reply_all(transport: Transport, replies: Sequence[tuple[Delivery, Event]]) -> None:
    """Each asker has its reply."""
    told = [
        (delivery.reply_to, delivery.properties.get("correlation_id"), event.to_json())
        for delivery, event in replies
        if delivery.exchange == REQUESTS and delivery.reply_to is not None
    ]
    if told:
        transport.reply(told)
