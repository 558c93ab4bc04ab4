"""One message of one stolen pilot, and no pilot gets a job any more."""

from __future__ import annotations

import base64
import dataclasses
import time
import uuid
from typing import Any

import psycopg

from bus.client import Client
from bus.event import Event
from bus.runner import Runner
from bus.transport import Transport
from tests.bus.test_parked_requests import NODE, request, submit
from tests.fix_broker import Vhost
from tests.handlers.people import SITE

# what RabbitMQ 3.10 takes for a process of an older node: its channel dies of it, and the connection with it (541)
FORGED = "amq.rabbitmq.reply-to." + base64.b64encode(b"\x83d\x00\x04init").decode() + ".abc"


def test_an_address_that_the_broker_chokes_on_does_not_stop_the_matcher(
    db: psycopg.Connection[Any], house: Runner, vhost: Vhost
) -> None:
    db.execute(SITE)
    told = {"request_id": str(uuid.uuid4()), "pilot_id": "p9", "wait_s": 600, "resource": NODE}
    event = Event("match.request.v1", "/pilot-p9/x", "p9", told)
    event = dataclasses.replace(event, time="2026-11-21T00:00:00.000Z" if event.time > "2026-11-21T01" else event.time)
    with Transport(vhost.pilot("p9"), vhost.ca_file).closing() as thief:
        thief.publish("requests", "pilot-p9.match.request.v1.p9", event.to_json(), reply_to=FORGED, correlation_id=event.id)
        time.sleep(3)
        job_id = submit(vhost)
        with Client(vhost.pilot_url, vhost.ca_file) as pilot:
            began_s = time.monotonic()
            reply = pilot.ask("match.request.v1", request(wait_s=5), within_s=40)
            assert reply["job"]["job_id"] == job_id
            assert time.monotonic() - began_s < 5
