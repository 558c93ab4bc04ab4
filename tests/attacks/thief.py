"""Whoever has stolen an identity, and what can be sent with it, over AMQP and over STOMP; and the field that is attacked."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import ssl
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import pika
import pika.exceptions
import psycopg

from bus.event import CONTENT_TYPE, Event
from bus.publisher import parameters
from tests.fix_broker import Vhost

REPLY_TO = "amq.rabbitmq.reply-to"
TAKEN, REFUSED = "taken", "refused by the broker"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, as far as the sender chooses it; a None in `user_id` leaves it out."""

    exchange: str
    routing_key: str
    body: bytes
    user_id: str | None
    headers: Mapping[str, Any] = field(default_factory=dict)
    reply_to: str | None = None

    def but(self, **changes: Any) -> Message:
        """The same with changes."""
        return dataclasses.replace(self, **changes)


def message(exchange: str, event: Event, account: str, **changes: Any) -> Message:
    """An honest message of this account."""
    key = f"{account}.{event.type}.{event.subject}"
    reply_to = REPLY_TO if exchange == "requests" else None
    return Message(exchange, key, event.to_json(), account, {}, reply_to).but(**changes)


class Thief(Protocol):
    """One connection with a stolen identity."""

    def send(self, sent: Message) -> str:
        """TAKEN or REFUSED."""
        ...

    def reply(self, within_s: float = 5.0) -> dict[str, Any] | None:
        """The next reply, if one comes."""
        ...

    def close(self) -> None:
        """Not connected any more."""
        ...


class Amqp:
    """A thief with pika."""

    def __init__(self, url: str, ca_file: str) -> None:
        self.connection: Any = pika.BlockingConnection(parameters(url, ca_file))
        self.channel: Any = self.connection.channel()
        self.channel.confirm_delivery()
        self._replies: list[bytes] = []
        self.channel.basic_consume(REPLY_TO, lambda _c, _m, _p, body: self._replies.append(body), auto_ack=True)

    def send(self, sent: Message) -> str:
        """Published and confirmed, or the channel is closed."""
        properties = pika.BasicProperties(
            content_type=CONTENT_TYPE,
            delivery_mode=2,
            user_id=sent.user_id,
            headers=dict(sent.headers) or None,
            reply_to=sent.reply_to,
            correlation_id=str(uuid.uuid4()) if sent.reply_to else None,
        )
        try:
            self.channel.basic_publish(sent.exchange, sent.routing_key, sent.body, properties)
        except (pika.exceptions.AMQPError, AssertionError, TypeError, ValueError):
            return REFUSED  # by the broker, or already by the protocol's own bounds
        return TAKEN

    def reply(self, within_s: float = 5.0) -> dict[str, Any] | None:
        """The next reply, if one comes."""
        until_s = time.monotonic() + within_s
        while not self._replies and time.monotonic() < until_s:
            self.connection.process_data_events(time_limit=0.1)
        return json.loads(self._replies.pop(0)) if self._replies else None

    def close(self) -> None:
        """Not connected any more."""
        with contextlib.suppress(pika.exceptions.AMQPError):
            self.connection.close()


class Stomp:
    """A thief who writes STOMP by hand: 1.2 over TLS, with a receipt for everything."""

    def __init__(self, url: str, stomp_url: str, ca_file: str) -> None:
        """Connected and subscribed to the direct replies. Raises PermissionError when the broker lets nobody in."""
        who, where = urlsplit(url), urlsplit(stomp_url)
        context = ssl.create_default_context(cafile=ca_file)
        plain = socket.create_connection((where.hostname or "", where.port or 0), timeout=10)
        self._socket = context.wrap_socket(plain, server_hostname=where.hostname)
        self._rest = b""
        self._replies: list[bytes] = []
        login = {"login": unquote(who.username or ""), "passcode": unquote(who.password or "")}
        self._write("CONNECT", {"accept-version": "1.2", "host": unquote(who.path[1:]), "heart-beat": "0,0", **login})
        kind, headers, body = self._read(10)
        if kind != "CONNECTED":
            self.close()
            raise PermissionError(f"{headers.get('message')}: {body!r:.200}")
        self.command("SUBSCRIBE", {"id": "replies", "destination": f"/amq/queue/{REPLY_TO}", "ack": "auto"})

    def send(self, sent: Message) -> str:
        """Sent with a receipt, or told an error."""
        headers = {"destination": f"/exchange/{sent.exchange}/{sent.routing_key}", "content-type": CONTENT_TYPE}
        if sent.user_id is not None:
            headers["user-id"] = sent.user_id
        if sent.reply_to is not None:
            headers |= {"reply-to": sent.reply_to, "correlation-id": str(uuid.uuid4())}
        headers |= {name: value[0] if isinstance(value, list) else str(value) for name, value in sent.headers.items()}
        return self.command("SEND", headers, sent.body)

    def command(self, kind: str, headers: Mapping[str, str], body: bytes = b"") -> str:
        """TAKEN when a receipt comes, REFUSED when an error or the end does."""
        receipt = uuid.uuid4().hex
        try:
            self._write(kind, {**headers, "receipt": receipt}, body)
            while True:
                came, told, content = self._read(10)
                if came == "RECEIPT" and told.get("receipt-id") == receipt:
                    return TAKEN
                if came == "MESSAGE":
                    self._replies.append(content)
                if came in ("ERROR", ""):
                    return REFUSED
        except OSError:
            return REFUSED

    def reply(self, within_s: float = 5.0) -> dict[str, Any] | None:
        """The next reply, if one comes."""
        until_s = time.monotonic() + within_s
        while not self._replies and time.monotonic() < until_s:
            with contextlib.suppress(TimeoutError):
                kind, _, body = self._read(until_s - time.monotonic())
                if kind == "MESSAGE":
                    self._replies.append(body)
                elif kind in ("ERROR", ""):
                    return None
        return json.loads(self._replies.pop(0)) if self._replies else None

    def close(self) -> None:
        """Not connected any more."""
        self._socket.close()

    def _write(self, kind: str, headers: Mapping[str, str], body: bytes = b"") -> None:
        lines = [kind, *(f"{_escaped(name)}:{_escaped(value)}" for name, value in headers.items())]
        head = "\n".join([*lines, f"content-length:{len(body)}", "", ""])
        self._socket.sendall(head.encode("utf-8", "surrogatepass") + body + b"\0")

    def _read(self, within_s: float) -> tuple[str, dict[str, str], bytes]:
        self._socket.settimeout(max(0.05, within_s))
        while (frame := _frame(self._rest.lstrip(b"\n"))) is None:
            piece = self._socket.recv(1 << 16)
            if not piece:
                return "", {}, b""
            self._rest += piece
        kind, headers, body, self._rest = frame
        return kind, headers, body


def _frame(raw: bytes) -> tuple[str, dict[str, str], bytes, bytes] | None:
    """The first frame of these bytes and what follows it, or None when it is not whole yet."""
    head, found, rest = raw.partition(b"\n\n")
    if not found:
        return None
    kind, *lines = head.decode("utf-8", "replace").replace("\r", "").split("\n")
    headers = dict(line.split(":", 1) for line in lines if ":" in line)
    size = int(headers["content-length"]) if "content-length" in headers else rest.find(b"\0")
    if size < 0 or len(rest) <= size:
        return None
    return kind, headers, rest[:size], rest[size + 1 :]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n").replace(":", "\\c")


@dataclass
class Field:
    """A house at work, with jobs of two people on two pilots, and whatever can be seen to change in it."""

    vhost: Vhost
    db: psycopg.Connection[Any]
    stomp_url: str

    def thief(self, protocol: str, url: str = "") -> Thief:
        """Somebody with this address, of pilot p1 if none is given."""
        address = url or self.vhost.pilot("p1")
        if protocol == "stomp":
            return Stomp(address, self.stomp_url, self.vhost.ca_file)
        return Amqp(address, self.vhost.ca_file)

    def rows(self) -> list[Any]:
        """All that a thief might change: every row but those of the bus itself, and what is kept of its own requests."""
        found = (
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1"  # whose days come and go
        )
        rooms = ["job", "match", "pilot", "site", "registry", "trust", "proxy", "log", "share"]
        told = {"match.empties", "match.reasons", "match.offers"}
        folded = {"job.group_counts", "job.group_deltas"}  # by the clock, into what the view shows
        tables = [name for (name,) in self.db.execute(found, (rooms,)) if name not in told | folded] + ["job.groups"]
        return [
            (name, sorted(map(repr, self.db.execute(f"SELECT * FROM {name}").fetchall()))) for name in (*tables, "job.groups")
        ]

    def trusted(self) -> list[tuple[str, str]]:
        """The events that were believed, without those that only say what was not."""
        kept = "SELECT type, subject FROM bus.events WHERE type NOT LIKE 'security.%' AND type <> 'clock.minute.v1'"
        return [(kind, subject) for kind, subject in self.db.execute(f"{kept} ORDER BY position")]

    def alarms(self) -> int:
        """How many security events there are."""
        (count,) = self.db.execute("SELECT count(*) FROM bus.events WHERE type LIKE 'security.%'").fetchone() or (0,)
        return int(count)
