"""What the broker tells of itself: failed logins and pilots' closed connections, from its event exchange into the event store."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import amqp.exceptions
import structlog

from bus.apply import store
from bus.consume import IDLE_S
from bus.event import Event
from bus.gate import word
from bus.login import login
from bus.loops import BatchLoop
from bus.parking import storable
from bus.topology import Binding, Queue, Topology
from bus.transport import Delivery
from schemas.rules.identity import pilot_of

log = structlog.get_logger()

EXCHANGE = "amq.rabbitmq.event"
FAILED, OPENED, CLOSED = "user.authentication.failure", "connection.created", "connection.closed"
LOGIN_FAILED = "security.login_failed.v1"
DISCONNECTED = "pilot.disconnected.v1"
SOURCE = "/pilotbus/bus.broker_events"
MOST_KEPT = 10_000
MOST_AT_ONCE = 1_000
GATHER_S = 1.0  # a guesser tries hundreds of times a second, and is to fill the queue, which is bounded, and not the event store
MOST_NAMES = 5
_BOUNDED = {"x-queue-type": "classic", "x-max-length": MOST_KEPT, "x-overflow": "drop-head"}
_ACCOUNT = re.compile(r"[a-z][a-zA-Z0-9_-]{0,31}|pilot-[A-Za-z0-9_-]{1,58}")
_OPENED = """INSERT INTO bus.connections SELECT pid, pilot_id, now() FROM unnest(%s::text[], %s::text[]) AS new (pid, pilot_id)
ON CONFLICT DO NOTHING"""
_OF_BEFORE = "DELETE FROM bus.connections WHERE starts_with(pid, %s) AND NOT starts_with(pid, %s)"
_CLOSED = """WITH gone AS (DELETE FROM bus.connections WHERE pid = ANY(%s::text[]) RETURNING pid, pilot_id)
SELECT DISTINCT pilot_id FROM gone
WHERE NOT EXISTS (SELECT FROM bus.connections c WHERE c.pilot_id = gone.pilot_id AND c.pid NOT IN (SELECT pid FROM gone))"""


class BrokerEventsLoop(BatchLoop):
    """Failed logins, those of one account, address and kind in one batch as one event; and pilots that are connected no more."""

    def __init__(self, events_vhost: str, **about: Any) -> None:
        own_vhost = login(about["url"]).vhost
        # of its own, because the exchange is one for all vhosts of a broker
        name = f"security.broker.{own_vhost}"
        self._own_vhost, self._brokers = own_vhost, set[str]()
        bindings = tuple(Binding(EXCHANGE, name, key) for key in (FAILED, OPENED, CLOSED))
        table = Topology({}, (Queue(name, _BOUNDED),), bindings)
        url = _in(about["url"], events_vhost or own_vhost)
        super().__init__(name, **{**about, "url": url, "topology": table})
        self.ready.set()  # a broker without the plugin is no reason not to start

    def open(self) -> None:
        """Consuming; or at an end, where the broker tells nothing of itself."""
        try:
            self.transport.declare(self._topology)
        except amqp.exceptions.NotFound:
            log.warning("broker_events.off", reason=f"no exchange {EXCHANGE}: enable rabbitmq_event_exchange and start again")
            self.stopping.set()
            return
        self.transport.consume(self.name, MOST_AT_ONCE)

    def turn(self) -> None:
        """What came is told, and more may gather."""
        if deliveries := self.transport.receive(MOST_AT_ONCE, IDLE_S):
            self.take(deliveries)
            self.stopping.wait(GATHER_S)

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        """These are in the event store."""
        of = {
            key: [delivery.headers for delivery in deliveries if delivery.routing_key == key] for key in (FAILED, OPENED, CLOSED)
        }
        events = [
            Event(LOGIN_FAILED, SOURCE, fact["account"], fact) for fact in told([failed(headers) for headers in of[FAILED]])
        ]
        with self.database.transaction():
            for pilot_id in self._gone(of[OPENED], of[CLOSED]):
                events.append(Event(DISCONNECTED, SOURCE, pilot_id, {"pilot_id": pilot_id}))
            stored = store(self.database, events, self.words)
        self.send(stored)

    def _gone(self, opened: Sequence[Mapping[str, Any]], closed: Sequence[Mapping[str, Any]]) -> list[str]:
        """The pilots that these leave without a connection, each once."""
        names = {
            str(headers["pid"]): pilot_id
            for headers in opened
            if headers.get("vhost") == self._own_vhost and (pilot_id := pilot_of(str(headers.get("user"))))
        }
        for broker in {pid.rsplit(".", 2)[0] for pid in names} - self._brokers:
            self._brokers.add(broker)  # a node that has started anew: what it had open before was never told to be closed
            self.database.execute(_OF_BEFORE, (f"{broker.rsplit('.', 1)[0]}.", f"{broker}."))
        if names:
            self.database.execute(_OPENED, (list(names), list(names.values())))
        pids = [str(headers["pid"]) for headers in closed]
        return [pilot_id for (pilot_id,) in self.database.execute(_CLOSED, (pids,)).fetchall()] if pids else []


def told(failures: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """One fact per account, address and kind, with how often and why at last; an address that tries many names is one fact."""
    names: dict[str, set[str]] = {}
    for one in failures:
        names.setdefault(one["peer"], set()).add(one["account"])
    facts: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one in failures:
        account = one["account"] if len(names[one["peer"]]) <= MOST_NAMES else "_"
        fact = facts.setdefault((account, one["peer"], one["mechanism"]), {"count": 0})
        fact |= {**one, "account": account, "count": fact["count"] + 1}
    return list(facts.values())


def failed(headers: Mapping[str, Any]) -> dict[str, str]:
    """Who tried, from where, how, and why it failed.

    What was typed as the account may be a secret in the wrong place, so only what looks like an account is told; the name in a
    certificate is no secret.
    """
    typed = str(headers.get("name") or "")
    mechanism = str(headers.get("auth_mechanism") or headers.get("protocol") or headers.get("connection_type") or "unknown")
    account = word(typed) if mechanism == "EXTERNAL" else typed if _ACCOUNT.fullmatch(typed) else "_"
    peer = str(headers.get("connection_name") or "").rpartition(" -> ")[0].rpartition(":")[0]
    why = _text(headers.get("error"))
    reason = why.replace(typed, account) if len(typed) > 1 else why
    fact = {"account": account, "peer": peer[:64] or "unknown", "mechanism": mechanism[:64]}
    return fact | ({"reason": storable(reason[:200])} if reason else {})


def _text(value: Any) -> str:
    """Erlang's strings are lists of numbers."""
    if isinstance(value, list):
        return "".join(chr(number) for number in value if isinstance(number, int) and 0 < number < 0x110000)
    return str(value or "")


def _in(url: str, vhost: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(vhost, safe='')}"))
