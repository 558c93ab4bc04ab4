"""Direct reply-to addresses: those that RabbitMQ makes, and no others; and whoever is behind one is found to be there."""

from __future__ import annotations

import base64
import socket

import pytest

from bus.reply_to import REPLY_TO, is_direct
from bus.transport import Transport
from tests.fix_broker import Vhost

MADE_UP = [
    "",
    "events",
    REPLY_TO,
    f"{REPLY_TO}.",
    f"{REPLY_TO}.{base64.b64encode(bytes([131, 100, 0, 4]) + b'init').decode()}.abcdefgh",
    f"{REPLY_TO}.{base64.b64encode(b'x' * 40).decode()}.abcdefgh",
    f"{REPLY_TO}.????????????????????????.abcdefgh",
]


@pytest.mark.parametrize("address", MADE_UP)
def test_what_the_broker_has_not_made_is_no_address(address: str) -> None:
    assert not is_direct(address)


def test_who_waits_is_there_also_after_the_asking_connection_was_lost(vhost: Vhost) -> None:
    with (
        Transport(vhost.service_url, vhost.ca_file).closing() as house,
        Transport(vhost.pilot_url, vhost.ca_file).closing() as one,
    ):
        house.own_queue("wake.reply-to")
        house.bind("wake.reply-to", "requests", "#")
        house.consume("wake.reply-to", no_ack=True)
        one.consume(REPLY_TO, no_ack=True)
        one.publish("requests", "pilot-p1.match.request.v1.p1", b"{}", reply_to=REPLY_TO)
        (delivery,) = house.receive(1, 10.0)
        address = delivery.reply_to
        assert address is not None
        assert house.alive(address)
        socket.socket.shutdown(house._presence._socket, socket.SHUT_RDWR)
        assert house.alive(address)
        one.close()
        assert not house.alive(address)
