"""What the broker tells of itself: failed logins, from its event exchange into the event store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from bus.apply import store
from bus.event import Event
from bus.gate import word
from bus.login import login
from bus.loops import BatchLoop
from bus.topology import Binding, Queue, Topology
from bus.transport import Delivery

EXCHANGE = "amq.rabbitmq.event"
FAILED = "user.authentication.failure"
LOGIN_FAILED = "security.login_failed.v1"
SOURCE = "/pilotbus/bus.broker_events"
MOST_KEPT = 10_000
_BOUNDED = {"x-queue-type": "classic", "x-max-length": MOST_KEPT, "x-overflow": "drop-head"}


class BrokerEventsLoop(BatchLoop):
    """Failed logins, those of one account, address and kind in one batch as one event."""

    def __init__(self, events_vhost: str, **about: Any) -> None:
        own_vhost = login(about["url"]).vhost
        # of its own, because the exchange is one for all vhosts of a broker
        name = f"security.broker.{own_vhost}"
        table = Topology({}, (Queue(name, _BOUNDED),), (Binding(EXCHANGE, name, FAILED),))
        url = _in(about["url"], events_vhost or own_vhost)
        super().__init__(name, **{**about, "url": url, "topology": table})
        self.ready.set()  # a broker without the plugin is no reason not to start

    def open(self) -> None:
        """Consuming."""
        self.transport.declare(self._topology)
        super().open()

    def settle(self, deliveries: Sequence[Delivery]) -> None:
        """These are in the event store."""
        counts = Counter(map(failed, deliveries))
        events = [
            Event(
                LOGIN_FAILED, SOURCE, account or "_", {"account": account, "peer": peer, "mechanism": mechanism, "count": count}
            )
            for (account, peer, mechanism), count in counts.items()
        ]
        with self.database.transaction():
            stored = store(self.database, events, self.words)
        self.send(stored)


def failed(delivery: Delivery) -> tuple[str, str, str]:
    """Who tried, from where, and how; what was typed as the account may be a secret typed in the wrong place."""
    told = delivery.headers
    typed = str(told.get("name") or "")
    account = word(typed) if len(typed) <= 64 else "_"
    peer = str(told.get("connection_name") or "").rpartition(" -> ")[0].rpartition(":")[0]
    return account, peer[:64] or "unknown", str(told.get("auth_mechanism") or told.get("protocol") or "unknown")[:64]


def _in(url: str, vhost: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(vhost, safe='')}"))
