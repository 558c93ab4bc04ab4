"""Addresses of direct replies: which ones RabbitMQ itself has made, and whether somebody is still behind them."""

from __future__ import annotations

import base64
import contextlib
import re
import ssl
from collections.abc import Callable
from typing import Any

import amqp.exceptions

REPLY_TO = "amq.rabbitmq.reply-to"
_ADDRESS = re.compile(r"amq\.rabbitmq\.reply-to\.([A-Za-z0-9+/]{20,400}={0,2})\.([A-Za-z0-9+/_-]{8,100}={0,2})")
# a process identifier in Erlang's external term format, of a node that is called reply@…, as RabbitMQ calls them all
_PROCESS = re.compile(rb"\x83(?:X|g)(?:[dv]..|[sw].)reply@[0-9a-zA-Z._-]{1,100}.{9,12}", re.DOTALL)


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


class Presence:
    """Asks RabbitMQ who is still there: it knows the address of a direct reply as a queue. One thread uses it.

    It asks by a connection of its own and for a moment only: of an address that was made up, the broker may answer by closing
    the connection, or never.
    """

    def __init__(self, dial: Callable[[], Any]) -> None:
        self._dial = dial
        self._connection: Any = None
        self._channel: Any = None
        self._socket: Any = None

    def is_there(self, address: str) -> bool:
        """Whether the reply would be heard; who can not be asked about is not there."""
        for _ in range(2):
            fresh = self._connection is None
            try:
                return self._ask(address)
            except (OSError, ssl.SSLError, amqp.exceptions.AMQPError):
                self.close()
                if fresh:  # it was not the connection that had been lost meanwhile
                    break
        return False

    def _ask(self, address: str) -> bool:
        if self._connection is None:
            self._connection = self._dial()
            self._connection.connect()
            self._channel = self._connection.channel()
            self._socket = getattr(self._channel.connection.transport, "sock", None)
        try:
            self._channel.queue_declare(queue=address, passive=True)
        except amqp.exceptions.NotFound:
            return False  # py-amqp has opened the channel again
        return True

    def close(self) -> None:
        """Nothing is open."""
        if self._connection is not None:
            with contextlib.suppress(OSError, ValueError):  # it may be half gone
                self._connection.collect()
        if self._socket is not None:
            self._socket.close()  # py-amqp leaves it open when the other end is gone
        self._connection = self._channel = self._socket = None
