"""What a stolen pilot may send to the services' own loops: it is settled, and everybody else is served as before."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pika
import pika.exceptions
import psycopg
import pytest

from bus.client import Client
from bus.event import CONTENT_TYPE, Event
from bus.publisher import parameters
from bus.runner import Runner
from tests.attacks.rows import attack
from tests.bus.test_life_of_an_event import JOBS, PEOPLE, reports, until
from tests.fix_broker import Vhost
from tests.handlers.people import SITE

NODE = {"Site": "CLOUD.CNIC.cn", "CPUTime": 500_000, "NumberOfProcessors": 4, "MaxRAM": 4000}
GOOD = Event(
    "job.reported.v1", "/pilot-p1/p1", "1", {"job_id": 1, "attempt": 1, "pilot_id": "p1", "state": "Done", "minor_status": "x"}
)
LARGE = json.dumps(json.loads(GOOD.to_json()) | {"data": GOOD.data | {"application_status": "é" * 22_000}}, ensure_ascii=False)
POISON: dict[str, tuple[bytes, dict[str, Any]]] = {
    "half a surrogate as id": (b'{"id":"\\ud800","type":"\\ud800"}', {}),
    "NUL as id": (b'{"id":"\\u0000"}', {}),
    "an integer of 5000 digits": (b'{"id":' + b"9" * 5000 + b"}", {}),
    "a header that says gzip": (GOOD.to_json(), {"headers": {"compression": "application/x-gzip"}}),
    "an encoding to decode with": (b"\\ud800", {"content_encoding": "unicode_escape"}),
    "UTF-16": (GOOD.to_json().decode().encode("utf-16"), {}),
    "larger once it is escaped": (LARGE.encode(), {}),
    "a property that is not UTF-8": (GOOD.to_json(), {"message_id": b"\xff"}),
    "deeply nested": (b"[" * 20_000, {}),
}


@pytest.fixture
def pilot(vhost: Vhost) -> Iterator[Any]:
    """A raw channel of the pilots' account."""
    connection = pika.BlockingConnection(parameters(vhost.pilot_url, vhost.ca_file))
    channel = connection.channel()
    channel.confirm_delivery()
    yield channel
    connection.close()


@attack("stolen pilot", "poisons the services' loops")
@pytest.mark.parametrize("name", POISON)
def test_a_poison_in_the_midst_harms_nobody(
    db: psycopg.Connection[Any], house: Runner, vhost: Vhost, pilot: Any, name: str
) -> None:
    db.execute(PEOPLE.replace("%(n)s", str(JOBS)) + SITE)
    body, more = POISON[name]
    for number, message in enumerate(reports()):
        if number == JOBS // 2:
            for exchange, kind in (
                ("ingress", "job.reported.v1.1"),
                ("requests", "match.request.v1.p1"),
                ("telemetry", "log.written.v1.1"),
            ):
                properties = pika.BasicProperties(content_type=CONTENT_TYPE, delivery_mode=2, user_id="pilot-p1", **more)
                pilot.basic_publish(exchange, f"pilot-p1.{kind}", body, properties)
        properties = pika.BasicProperties(content_type=CONTENT_TYPE, delivery_mode=2, user_id="pilot-p1", message_id=message.id)
        pilot.basic_publish("ingress", message.routing_key, message.body, properties)

    until(lambda: db.execute("SELECT count(*) FROM job.jobs WHERE state = 'Done'").fetchone() == (JOBS,), 60)
    assert db.execute("SELECT count(*) FROM bus.parked WHERE reason = 'failed'").fetchone() == (0,)
    with Client(vhost.pilot("p2"), vhost.ca_file) as other:
        asked = {"request_id": str(uuid.uuid4()), "pilot_id": "p2", "wait_s": 0, "resource": NODE}
        assert other.ask("match.request.v1", asked)["job"] is None
