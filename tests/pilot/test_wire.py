"""wire: what the pilot says arrives once it can, in order, with the same id; what it asks is asked until it is answered."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pika
import pytest

from bus.transport import Transport
from deploy.certificates import ensure
from handlers.token.issuer import BROKER
from pilot.wire.envelope import Refused
from pilot.wire.line_spool import LineSpool
from pilot.wire.lines import Lines, Stream
from pilot.wire.link import Unreachable
from pilot.wire.session import LoginRefused
from tests.pilot.conftest import BOTH, Make, Spoken, report, through
from tests.pilot.counterpart import Cable, Services, parameters

pytestmark = BOTH
LISTEN = {"pilot_id": "p1", "after": 0, "wait_s": 300}


def test_events_arrive_in_order_and_the_spool_is_empty_when_they_are_confirmed(make: Make, services: Services) -> None:
    link = make()
    link.start(20)
    for number in range(1, 51):
        link.record("pilot.reported.v1", report(number))
    assert link.settle(20)
    assert len(link.outbox.spool) == 0
    services.until(lambda: len(services.of("pilot.reported.v1")) == 50)
    assert [data["number"] for data in services.of("pilot.reported.v1")] == list(range(1, 51))
    assert set(services.senders) == {"pilot-p1"}


def test_what_is_said_while_the_broker_is_away_arrives_when_it_is_back(
    make: Make, services: Services, pilot_url: str, cable: Cable
) -> None:
    link = make(through(pilot_url, cable))
    link.start(20)
    link.record("pilot.reported.v1", report(1))
    assert link.settle(20)
    cable.cut()
    for number in range(2, 12):
        link.record("pilot.reported.v1", report(number))
        link.line(Stream(None, None, "pilot"), f"line {number}")
    assert not link.settle(0.2)
    cable.mend()
    assert link.settle(40)
    services.until(lambda: len(services.of("pilot.reported.v1")) == 11)
    assert [data["number"] for data in services.of("pilot.reported.v1")] == list(range(1, 12))
    texts = [line["text"] for data in services.of("log.written.v1") for line in data["lines"]]
    assert texts == [f"line {number}" for number in range(2, 12)]


def test_lines_of_a_long_absence_wait_on_disk_and_none_is_lost(
    make: Make, services: Services, pilot_url: str, cable: Cable, tmp_path: Path
) -> None:
    link = make(through(pilot_url, cable))
    link.outbox.lines = Lines(LineSpool(tmp_path / "lines", 64 << 20), most_lines=1000)
    link.start(20)
    cable.cut()
    for start in range(1, 30_001, 300):
        link.lines(Stream(7, 1, "std.out"), [f"line {number}" for number in range(start, start + 300)])
    link.record("pilot.reported.v1", report(1))
    assert sum(path.stat().st_size for path in (tmp_path / "lines").iterdir()) > 1 << 20
    assert len(link.outbox.lines) > 20_000
    cable.mend()
    assert link.settle(90)
    services.until(lambda: sum(len(data["lines"]) for data in services.of("log.written.v1")) == 30_000)
    batches = services.of("log.written.v1")
    assert [batch["first_number"] for batch in batches] == sorted(batch["first_number"] for batch in batches)
    assert [line["text"] for data in batches for line in data["lines"]] == [f"line {number}" for number in range(1, 30_001)]
    assert list((tmp_path / "lines").iterdir()) == []


def test_lines_go_no_faster_than_the_gate_takes_them(make: Make, services: Services) -> None:
    link = make()
    link.start(20)
    for number in range(600):
        link.outbox.lines.add(Stream(number, 1, "std.out"), "one line, one message")
    began = time.monotonic()
    assert link.settle(30)
    services.until(lambda: len(services.of("log.written.v1")) == 600)
    assert time.monotonic() - began > 2.5


def test_cuts_at_any_moment_lose_nothing_and_change_no_order(
    make: Make, services: Services, pilot_url: str, cable: Cable
) -> None:
    link = make(through(pilot_url, cable))
    link.start(20)
    for number in range(1, 301):
        link.record("pilot.reported.v1", report(number))
        if number % 100 == 0:
            services.until(lambda: len(services.of("pilot.reported.v1")) > number - 60, 40)  # noqa: B023
            cable.cut()
            cable.mend()
    assert link.settle(60)
    services.until(lambda: len(services.of("pilot.reported.v1")) == 300)
    assert [data["number"] for data in services.of("pilot.reported.v1")] == list(range(1, 301))
    assert cable.connections == 4


def test_an_event_that_a_full_queue_refuses_is_kept_until_there_is_room(make: Make, services: Services, vhost: Any) -> None:
    full = {"x-max-length": 0, "x-overflow": "reject-publish"}
    with pika.BlockingConnection(parameters(vhost.service_url, vhost.ca_file)) as service:
        channel = service.channel()
        channel.queue_declare("full", durable=True, arguments=full)
        channel.queue_bind("full", "ingress", "#")
        link = make()
        link.start(20)
        link.record("pilot.reported.v1", report(1))
        link.record("pilot.reported.v1", report(2))
        assert not link.settle(2)
        assert len(link.outbox.spool) == 2
        channel.queue_delete("full")
    assert link.settle(40)
    services.until(lambda: len(services.of("pilot.reported.v1")) == 2)
    assert [data["number"] for data in services.of("pilot.reported.v1")] == [1, 2]


def test_an_event_that_no_queue_takes_is_kept_where_the_broker_says_so(make: Make, scheme: str, vhost: Any) -> None:
    with Transport(vhost.service_url, vhost.ca_file).closing() as service:
        for binding in vhost.call("GET", f"exchanges/{vhost.name}/ingress/bindings/source"):
            service.delete(binding["destination"])
    link = make()
    link.start(20)
    link.record("pilot.reported.v1", report(1))
    if scheme == "stomps":  # RabbitMQ's STOMP has no word for it; pilot/WIRE.md says so
        assert link.settle(20)
        return
    assert not link.settle(1)
    services = Services(vhost.service_url, vhost.ca_file)
    assert link.settle(20)
    services.until(lambda: services.of("pilot.reported.v1"))
    services.close()


def test_a_broker_that_takes_no_lines_takes_all_else(make: Make, services: Services, vhost: Any, spoken: Spoken) -> None:
    may = [vhost.issuer._may("write", exchange, "pilot-p1.*") for exchange in ("ingress", "requests")]
    token = vhost.issuer._mint("pilot-p1", BROKER, 900, scope=may)
    link = make(spoken(vhost.as_account("pilot-p1", token.text)))
    link.start(20)
    link.line(Stream(7, 1, "std.out"), "never")
    link.record("pilot.reported.v1", report(1))
    assert link.settle(20)
    services.until(lambda: services.of("pilot.reported.v1"))
    assert "telemetry" in link.outbox.lines_refused
    assert services.of("log.written.v1") == []


def test_a_message_looks_the_same_over_each(make: Make, vhost: Any) -> None:
    with pika.BlockingConnection(parameters(vhost.service_url, vhost.ca_file)) as service:
        channel = service.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        for exchange in ("ingress", "requests", "telemetry"):
            channel.queue_bind(queue, exchange, "#")
        link = make()
        link.start(20)
        link.record("pilot.reported.v1", report(1))
        link.line(Stream(None, None, "pilot"), "hello")
        assert link.settle(20)
        link.ask("pilot.listen.v1", LISTEN, 330)
        found = {}
        for method, properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=20):
            event = json.loads(body)
            found[event["type"]] = (method.exchange, method.routing_key, properties.reply_to is not None)
            assert (properties.content_type, properties.delivery_mode) == ("application/cloudevents+json", 2)
            assert (properties.message_id, properties.type, properties.user_id) == (event["id"], event["type"], "pilot-p1")
            assert properties.correlation_id == (event["id"] if properties.reply_to else None)
            assert abs(properties.timestamp - time.time()) < 60
            if len(found) == 3:
                break
    assert found == {
        "pilot.reported.v1": ("ingress", "pilot-p1.pilot.reported.v1.p1", False),
        "log.written.v1": ("telemetry", "pilot-p1.log.written.v1.p1", False),
        "pilot.listen.v1": ("requests", "pilot-p1.pilot.listen.v1.p1", True),
    }


def test_several_requests_are_outstanding_at_once_and_each_gets_its_own_answer(make: Make, services: Services) -> None:
    link = make()
    link.start(20)
    listen = link.ask("pilot.listen.v1", LISTEN, 330)
    services.answers["sandbox.grant.v1"] = lambda request: {
        "url": f"https://store/{request['data']['digest']}",
        "digest": request["data"]["digest"],
        "expires_at": "2099-01-01T00:00:00.000Z",
    }
    digests = [f"{number:064x}" for number in range(20)]
    grants = [
        link.ask("sandbox.grant.v1", {"operation": "get", "digest": digest, "job_id": 1, "which": "input"}, 30)
        for digest in digests
    ]
    assert [grant.result(20)["digest"] for grant in grants] == digests
    assert not listen.done()
    services.until(lambda: services.parked)
    services.release("pilot.listen.v1", {"orders": []})
    assert listen.result(20) == {"orders": []}


def test_a_parked_request_is_asked_again_over_the_next_connection(
    make: Make, services: Services, pilot_url: str, cable: Cable
) -> None:
    link = make(through(pilot_url, cable))
    link.start(20)
    answer = link.ask("pilot.listen.v1", LISTEN, 330)
    services.until(lambda: len(services.parked) == 1)
    cable.cut()
    cable.mend()
    services.until(lambda: len(services.parked) == 2, 40)
    assert services.parked[0][0]["id"] == services.parked[1][0]["id"]
    services.release("pilot.listen.v1", {"orders": [{"number": 1, "order": "drain"}]})
    assert answer.result(20)["orders"][0]["order"] == "drain"


def test_a_request_that_is_not_answered_in_time_is_asked_again(make: Make, services: Services) -> None:
    link = make()
    link.start(20)
    answer = link.ask("pilot.listen.v1", LISTEN, 0.5)
    services.until(lambda: len(services.parked) >= 2)
    answer.cancel()


def test_no_is_an_answer_with_a_reason(make: Make, services: Services) -> None:
    link = make()
    link.start(20)
    services.answers["pilot.listen.v1"] = lambda _: {"refuse": {"code": "denied", "reason": "this pilot is not known"}}
    with pytest.raises(Refused, match="this pilot is not known"):
        link.ask("pilot.listen.v1", LISTEN, 30).result(20)


def test_an_answer_that_is_not_what_was_promised_is_refused(make: Make, services: Services) -> None:
    link = make()
    link.start(20)
    services.answers["pilot.listen.v1"] = lambda _: {"orders": "none"}
    with pytest.raises(Refused, match="is not understood"):
        link.ask("pilot.listen.v1", LISTEN, 30).result(20)


def test_a_line_arrives_within_half_a_second(make: Make, services: Services) -> None:
    link = make()
    link.start(20)
    assert link.settle(20)
    link.line(Stream(7, 1, "std.out"), "now")
    (data,) = services.until(lambda: services.of("log.written.v1", job_id=7), 0.5)
    assert (data["lines"][0]["text"], data["first_number"], data["stream"]) == ("now", 1, "std.out")


def test_a_wrong_password_is_refused_at_once_in_one_sentence(make: Make, spoken: Spoken, vhost: Any) -> None:
    link = make(spoken(vhost.as_account("pilot-p1", "wrong")))
    with pytest.raises(LoginRefused, match="the broker refuses the login 'pilot-p1'"):
        link.start(20)


def test_a_virtual_host_that_is_not_ours_is_refused(make: Make, pilot_url: str, vhost: Any) -> None:
    link = make(pilot_url.replace(vhost.name, "nowhere"))
    with pytest.raises(LoginRefused, match=r"the broker refuses the login 'pilot-p1'.*nowhere"):
        link.start(20)


def test_a_broker_that_another_authority_vouches_for_gets_no_password(make: Make, tmp_path: Path) -> None:
    link = make(ca_file=str(ensure(tmp_path / "other").authority))
    with pytest.raises(Unreachable, match="certificate verify failed"):
        link.start(2)


def test_a_broker_that_is_not_there_is_one_sentence(make: Make, pilot_url: str, cable: Cable) -> None:
    cable.close()
    with pytest.raises(Unreachable, match=f"127.0.0.1:{cable.port} can not be reached: .*refused"):
        make(through(pilot_url, cable)).start(2)
