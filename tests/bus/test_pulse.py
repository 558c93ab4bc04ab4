"""A handler that works for longer than the broker's patience keeps its connection."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bus import transport
from bus.pulse import Pulse
from bus.transport import LOST, Transport
from tests.fix_broker import Vhost

HEARTBEAT_S = 1
WORK_S = 4.0  # a broker gives up after two missed heartbeats, and looks every half of one


@pytest.fixture
def connection(vhost: Vhost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Transport]:
    """A connection whose broker is impatient."""
    monkeypatch.setattr(transport, "HEARTBEAT_S", HEARTBEAT_S)
    with Transport(vhost.service_url, vhost.ca_file).closing() as made:
        made.consume("bulk.submit", 10)
        yield made


@pytest.fixture
def pulse() -> Iterator[Pulse]:
    """Beats soon."""
    made = Pulse(soon_s=0.4)
    made.start()
    yield made
    made.stop()


def work() -> None:
    """What takes long: time is what is tested."""
    time.sleep(WORK_S)


def test_a_connection_that_nobody_beats_for_is_lost(connection: Transport) -> None:
    work()
    with pytest.raises(LOST):
        connection.depth("bulk.submit")


def test_while_its_loop_is_busy_the_broker_hears_of_it_and_what_comes_is_kept(connection: Transport, pulse: Pulse) -> None:
    with pulse.busy(connection):
        connection_of_another = Transport(connection._url, connection._ca_file)
        with connection_of_another.closing() as other:
            other.publish("", "bulk.submit", b"{}", mandatory=True)
        work()
    (delivery,) = connection.receive(10, 5.0)
    connection.ack([delivery])
    assert connection.depth("bulk.submit") == 0


def test_a_loop_that_is_busy_for_a_moment_is_left_alone(
    connection: Transport, pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[float] = []
    monkeypatch.setattr(Transport, "beat", lambda _self: beats.append(time.monotonic()))
    for _ in range(20):
        with pulse.busy(connection):
            time.sleep(0.05)
    assert beats == []


def test_of_a_connection_that_is_lost_its_loop_finds_out_itself(connection: Transport, pulse: Pulse) -> None:
    work()
    with pulse.busy(connection):
        time.sleep(1.0)
    with pytest.raises(LOST):
        connection.depth("bulk.submit")
