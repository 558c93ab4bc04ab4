"""bus.client on the real broker: a lost connection is told, and made anew it follows what it followed."""

from __future__ import annotations

import time

import pytest

from bus.client import Client
from bus.errors import Refused, Unavailable
from bus.event import Event
from bus.publisher import Message, Publisher
from bus.runner import Runner
from tests.fix_broker import Vhost


def cut(vhost: Vhost, account: str) -> None:
    """Every connection of the account is closed by the broker, also one that it does not list yet."""
    vhost.call("DELETE", f"connections/username/{account}")


def told(vhost: Vhost, job_id: int) -> None:
    """A service has said that ada's job runs."""
    event = Event("job.running.v1", "/pilotbus/test", str(job_id), {"job_id": job_id}).of("ada", "local")
    publisher = Publisher(vhost.service_url, vhost.ca_file).start()
    also = tuple(event.audience)
    kept = publisher.publish([Message("events", event.routing_key, event.to_json(), event.id, event.type, also=also)])
    assert not kept.result(timeout=30).refused
    publisher.stop()


def test_a_lost_connection_is_told_and_made_anew_it_follows_what_it_followed(vhost: Vhost, house: Runner) -> None:
    with Client(vhost.person("ada"), vhost.ca_file) as bus:
        bus.follow_own("job.#")
        cut(vhost, "ada")
        with pytest.raises(Unavailable, match="connection to the broker was lost"):
            list(bus.events(within_s=20))
        bus.reconnect()
        told(vhost, 7)
        came: list[Event] = []
        end = time.monotonic() + 20
        while not came and time.monotonic() < end:
            came += bus.events()
        assert [event.subject for event in came] == ["7"]
        assert bus.ask("job.query.v1", {})["jobs"] == []


def test_where_there_is_no_broker_it_is_tried_for_a_while_and_told() -> None:
    bus = Client("amqp://ada:x@127.0.0.1:1/")
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"no broker answers at 127\.0\.0\.1:1"):
        bus.reconnect(patience_s=0.5)
    assert time.monotonic() - began > 0.5


def test_what_one_may_not_follow_is_refused(vhost: Vhost) -> None:
    with Client(vhost.person("ada"), vhost.ca_file) as bus, pytest.raises(Refused, match="ada may not follow #"):
        bus.follow("#")
