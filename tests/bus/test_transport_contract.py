"""One contract for the transports: what holds over AMQP holds over kombu's memory transport, where that can promise it at all."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from bus.errors import Unroutable
from bus.frames import OVERHEAD_BYTES
from bus.reply_to import REPLY_TO
from bus.topology import Binding, Queue, Topology
from bus.transport import LOST, Delivery, Transport
from tests.fix_broker import Vhost


@dataclass(frozen=True, slots=True)
class Promises:
    """Where the transports differ."""

    returns_unroutable: bool  # memory drops it in silence
    verifies_sender: bool  # memory knows no accounts
    replies_directly: bool  # direct reply-to is RabbitMQ's
    survives_its_holder: bool  # memory forgets what a closed channel had not acknowledged


KINDS = {"amqp": Promises(True, True, True, True), "memory": Promises(False, False, False, False)}
TABLE = Topology(
    {"events": "topic", "requests": "topic"},
    (Queue("job.check", {}), Queue("all", {})),
    (Binding("events", "job.check", "job.submitted.v1.*"), Binding("events", "all", "#")),
)
Connect = Callable[[], Transport]


@pytest.fixture(params=KINDS)
def promises(request: pytest.FixtureRequest) -> Promises:
    """What this round's transport promises."""
    found: Promises = KINDS[request.param]
    return found


@pytest.fixture
def connect(promises: Promises, request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    """New connections to one broker; all are closed afterwards."""
    made: list[Transport] = []
    if promises is KINDS["amqp"]:
        vhost: Vhost = request.getfixturevalue("vhost")
        with Transport(vhost.service_url, vhost.ca_file).closing() as service:
            service.delete("job.check")
        url, ca_file = vhost.service_url, vhost.ca_file
    else:
        url, ca_file = "memory://", ""

    def new() -> Transport:
        made.append(Transport(url, ca_file).connect())
        return made[-1]

    new().declare(TABLE)
    yield new
    for transport in made:
        transport.close()
    if promises is KINDS["memory"]:
        from kombu.transport.memory import Transport as Memory

        Memory.global_state.clear()


def wait_for(transport: Transport, count: int) -> list[Delivery]:
    """So many deliveries, or a failure."""
    came: list[Delivery] = []
    for _ in range(50):
        came += transport.receive(count - len(came), 0.2)
        if len(came) == count:
            return came
    raise AssertionError(f"{len(came)} of {count} came")


def test_a_queue_gets_what_it_is_bound_to_in_order(connect: Connect) -> None:
    sender, taker = connect(), connect()
    for number in range(20):
        sender.publish("events", f"job.submitted.v1.{number}", str(number).encode())
        sender.publish("events", f"job.done.v1.{number}", b"other")
    taker.consume("job.check", 100)
    assert [delivery.body for delivery in wait_for(taker, 20)] == [str(number).encode() for number in range(20)]
    assert taker.receive(10, 0.2) == []


def test_what_is_not_acknowledged_comes_again_first_in_line(connect: Connect, promises: Promises) -> None:
    if not promises.survives_its_holder:
        pytest.skip("the memory transport forgets it")
    sender, first, second = connect(), connect(), connect()
    for number in range(3):
        sender.publish("events", f"job.submitted.v1.{number}", str(number).encode())
    first.consume("job.check", 100)
    came = wait_for(first, 3)
    first.ack([came[0]])
    first.close()
    second.consume("job.check", 100)
    assert [delivery.body for delivery in wait_for(second, 2)] == [b"1", b"2"]


def test_acknowledging_up_to_one_acknowledges_all_before_it(connect: Connect, promises: Promises) -> None:
    if not promises.survives_its_holder:
        pytest.skip("the memory transport forgets it")
    sender, first, second = connect(), connect(), connect()
    for number in range(5):
        sender.publish("events", f"job.submitted.v1.{number}", str(number).encode())
    first.consume("job.check", 100)
    first.ack_up_to(wait_for(first, 5)[3])
    first.close()
    second.consume("job.check", 100)
    assert [delivery.body for delivery in wait_for(second, 1)] == [b"4"]


def test_a_rejected_message_comes_back(connect: Connect) -> None:
    sender, taker = connect(), connect()
    sender.publish("events", "job.submitted.v1.1", b"x")
    taker.consume("job.check", 100)
    taker.reject(wait_for(taker, 1)[0], requeue=True)
    assert wait_for(taker, 1)[0].body == b"x"


def test_declaring_twice_changes_nothing(connect: Connect) -> None:
    transport = connect()
    transport.publish("events", "job.submitted.v1.1", b"x")
    transport.declare(TABLE)
    transport.consume("job.check", 10)
    assert len(wait_for(transport, 1)) == 1


def test_an_own_queue_follows_a_topic(connect: Connect, promises: Promises) -> None:
    transport = connect()
    name = f"subscription.test.{uuid.uuid4().hex}"
    transport.own_queue(name)
    transport.bind(name, "events", "job.*.v1.7")
    transport.consume(name, no_ack=True)
    for key in ("job.done.v1.7", "job.done.v1.8", "pilot.left.v1.7"):
        transport.publish("events", key, key.encode())
    assert [delivery.body for delivery in wait_for(transport, 1)] == [b"job.done.v1.7"]


def test_a_mandatory_message_that_no_queue_takes_is_told(connect: Connect, promises: Promises) -> None:
    transport = connect()
    if not promises.returns_unroutable:
        pytest.skip("the memory transport can not tell")
    with pytest.raises(Unroutable, match="nobody"):
        transport.publish("requests", "nobody.listens.v1._", b"x", mandatory=True)
    transport.publish("events", "job.done.v1.1", b"x", mandatory=True)


def test_the_broker_vouches_for_the_sender(connect: Connect, promises: Promises) -> None:
    if not promises.verifies_sender:
        pytest.skip("the memory transport knows no accounts")
    transport = connect()
    transport.publish("events", "job.submitted.v1.1", b"x")
    transport.consume("job.check", 10)
    assert wait_for(transport, 1)[0].account == transport.account


def test_replies_that_are_larger_than_a_frame_come_whole_and_in_order(connect: Connect, promises: Promises) -> None:
    if not promises.replies_directly:
        pytest.skip("direct reply-to is RabbitMQ's")
    asker, service = connect(), connect()
    service.declare(Topology({"requests": "topic"}, (Queue("echo", {}),), (Binding("requests", "echo", "#"),)))
    service.consume("echo", 10)
    asker.consume(REPLY_TO, no_ack=True)
    asker.publish("requests", "a.b", b"x", reply_to=REPLY_TO)
    (asked,) = wait_for(service, 1)
    most = service._raw.frame_max - OVERHEAD_BYTES
    bodies = [bytes([65 + number]) * size for number, size in enumerate((1, most, 2 * most + 1, 5))]
    service.reply([(asked.reply_to or "", str(number), body) for number, body in enumerate(bodies)])
    assert [delivery.body for delivery in wait_for(asker, len(bodies))] == bodies


def test_a_connection_that_is_lost_is_not_dialled_again_behind_its_back(connect: Connect, promises: Promises) -> None:
    if not promises.replies_directly:
        pytest.skip("the memory transport has no connection to lose")
    transport = connect()
    transport.publish("events", "job.submitted.v1.1", b"x")
    transport.publish("events", "job.submitted.v1.2", b"y")
    transport.consume("job.check", 10)
    came = wait_for(transport, 2)
    transport._raw.collect()
    for lost in (
        lambda: transport.reply([("amq.rabbitmq.reply-to.x", None, b"x")]),
        lambda: transport.ack(came),
        lambda: transport.receive(1, 0.1),
    ):
        with pytest.raises(LOST):
            lost()
    assert not transport._raw.connected


def test_a_reply_goes_to_its_asker_alone(connect: Connect, promises: Promises) -> None:
    if not promises.replies_directly:
        pytest.skip("direct reply-to is RabbitMQ's")
    askers, service = [connect(), connect()], connect()
    service.declare(Topology({"requests": "topic"}, (Queue("echo", {}),), (Binding("requests", "echo", "#"),)))
    service.consume("echo", 10)
    for number, asker in enumerate(askers):
        asker.consume(REPLY_TO, no_ack=True)
        asker.publish("requests", "a.b", str(number).encode(), reply_to=REPLY_TO, correlation_id=str(number))
    for delivery in wait_for(service, 2):
        assert delivery.reply_to
        service.publish("", delivery.reply_to, delivery.body, correlation_id=delivery.properties["correlation_id"])
    for number, asker in enumerate(askers):
        (came,) = wait_for(asker, 1)
        assert (came.body, came.properties["correlation_id"]) == (str(number).encode(), str(number))
