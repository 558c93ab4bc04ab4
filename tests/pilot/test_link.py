"""link: of several addresses the first that works is used and kept, and a new token costs nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pilot.wire.link import Unreachable
from pilot.wire.login import login
from pilot.wire.session import LoginRefused
from tests.pilot.conftest import BOTH, Make, report, through
from tests.pilot.counterpart import Cable, Services

LISTEN = {"pilot_id": "p1", "after": 0, "wait_s": 300}


def numbers(services: Services) -> list[int]:
    """The numbers of all reports as they came, doubles too."""
    return [event["data"]["number"] for event in services.heard if event["type"] == "pilot.reported.v1"]


def test_the_first_address_that_works_is_used(make: Make, services: Services, vhost: Any, cable: Cable) -> None:
    stomps = vhost.over("stomps", vhost.pilot_url)
    cable.cut()
    link = make(f"{through(vhost.pilot_url, cable)}, {stomps}")
    link.start(20)
    assert link.broker.scheme == "stomps"
    link.record("pilot.reported.v1", report(1))
    assert link.settle(20)
    services.until(lambda: numbers(services) == [1])


@pytest.mark.parametrize("order", [1, -1])
@BOTH
def test_the_next_address_goes_on_where_the_first_one_stopped(
    make: Make, services: Services, vhost: Any, pilot_url: str, scheme: str, cable: Cable, order: int
) -> None:
    other = vhost.over({"amqps": "stomps", "stomps": "amqps"}[scheme], vhost.pilot_url)
    link = make(f"{through(pilot_url, cable)},{other}")
    link.start(20)
    assert link.broker.scheme == scheme
    listening = link.ask("pilot.listen.v1", LISTEN, 330)
    link.record("pilot.reported.v1", report(1))
    services.until(lambda: services.parked and numbers(services) == [1])
    cable.cut()
    for number in range(2, 31):
        link.record("pilot.reported.v1", report(number))
    assert link.settle(40)
    assert link.broker.scheme != scheme
    services.until(lambda: sorted(set(numbers(services))) == list(range(1, 31)))
    services.until(lambda: len(services.parked) == 2)
    services.release("pilot.listen.v1", {"orders": []})
    assert listening.result(20) == {"orders": []}


def test_when_no_address_works_each_is_named_with_its_reason(make: Make, vhost: Any, cable: Cable) -> None:
    stomps = through(vhost.over("stomps", vhost.pilot_url), cable)
    cable.close()
    with pytest.raises(Unreachable) as caught:
        make(f"{through(vhost.pilot_url, cable)},{stomps}").start(2)
    told = str(caught.value).split("; ")
    assert [sentence.split(" can ")[0] for sentence in told] == [
        f"the broker {scheme}://127.0.0.1:{cable.port}" for scheme in ("amqps", "stomps")
    ]
    assert all("refused" in sentence for sentence in told)


def test_a_login_that_one_broker_refuses_may_be_good_for_the_next(make: Make, services: Services, vhost: Any) -> None:
    elsewhere = vhost.pilot_url.replace(vhost.name, "nowhere")
    link = make(f"{elsewhere},{vhost.over('stomps', vhost.pilot_url)}")
    link.start(20)
    assert link.broker.scheme == "stomps"
    with pytest.raises(LoginRefused, match="nowhere"):
        make(f"{elsewhere},{vhost.over('stomps', elsewhere)}").start(20)


@BOTH
def test_a_new_token_loses_nothing_and_doubles_nothing(
    make: Make, services: Services, vhost: Any, pilot_url: str, spoken: Any, scheme: str, cable: Cable
) -> None:
    url = through(pilot_url, cable)
    link = make(url)
    link.start(20)
    listening = link.ask("pilot.listen.v1", LISTEN, 330)
    for number in range(1, 301):
        link.record("pilot.reported.v1", report(number))
        if number % 100 == 0:
            services.until(lambda: len(numbers(services)) > number - 60)  # noqa: B023
            fresh = login(through(spoken(vhost.pilot("p1")), cable), ca_file=vhost.ca_file)
            link.renewed(replace(fresh, brokers=link._login.brokers))
    assert link.settle(40)
    services.until(lambda: len(numbers(services)) >= 300)
    assert numbers(services) == list(range(1, 301))
    assert cable.connections == {"amqps": 1, "stomps": 4}[scheme]
    services.until(lambda: len(services.parked) == cable.connections)
    assert len({request["id"] for request, _ in services.parked}) == 1
    services.release("pilot.listen.v1", {"orders": []})
    assert listening.result(20) == {"orders": []}
