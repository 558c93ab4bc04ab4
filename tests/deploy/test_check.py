"""Deny by default is looked at before the services start: one wrong right, one exchange left open, one plain listener refuse."""

from __future__ import annotations

from typing import Any

import pytest

from bus.administration import Administration
from bus.errors import Invalid
from bus.login import account_of
from deploy.accounts import grants
from deploy.check import judge, listener_faults, permission_faults, topic_faults
from tests.attacks.rows import attack
from tests.fix_broker import Vhost


def rights(kind: Any, account: str = "bob") -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """What the broker says of an account of this kind."""
    permission, topics = grants(account, kind)
    return [{"user": account, **permission}], [{"user": account, **topic} for topic in topics]


def test_our_own_rights_have_no_fault() -> None:
    for kind in ("user", "operator"):
        permissions, topics = rights(kind)
        assert permission_faults(permissions, "pilotbus") == []
        assert topic_faults(permissions, topics, "pilotbus", frozenset({"bob"} if kind == "operator" else ())) == []


@attack("operator error", "gives a right to everything")
@pytest.mark.parametrize("right", ["configure", "write", "read"])
@pytest.mark.parametrize("pattern", [".*", "^.*$", ".+", "events|amq", "[", "^(ingress|events|job.report)$"])
def test_a_right_to_everything_is_a_fault(right: str, pattern: str) -> None:
    permissions, _ = rights("user")
    permissions[0][right] = pattern
    assert permission_faults(permissions, "pilotbus")
    assert permission_faults(permissions, "bob") == [], "the services' own"


@attack("operator error", "leaves an exchange without a topic permission")
def test_an_exchange_without_a_topic_permission_is_a_fault() -> None:
    permissions, topics = rights("user")
    for topic in topics:
        left = [other for other in topics if other is not topic]
        assert topic_faults(permissions, left, "pilotbus", frozenset())


@attack("operator error", "lets an account write or follow as others")
def test_a_key_that_is_not_ones_own_is_a_fault() -> None:
    permissions, topics = rights("user")
    for topic in topics:
        right = "read" if topic["exchange"] == "events" else "write"
        assert topic_faults(permissions, [{**t, right: ".*"} if t is topic else t for t in topics], "pilotbus", frozenset())


@attack("operator error", "opens a listener without TLS")
@pytest.mark.parametrize("protocol", ["amqp", "stomp", "mqtt", "http", "http/web-stomp", "http/prometheus"])
def test_a_listener_without_tls_is_a_fault(protocol: str) -> None:
    assert listener_faults([{"protocol": protocol, "port": 1}])
    assert not listener_faults(
        [{"protocol": "amqp/ssl", "port": 1}, {"protocol": "https", "port": 2}, {"protocol": "clustering", "port": 3}]
    )


def test_the_real_broker_is_judged(vhost: Vhost) -> None:
    administration = Administration(vhost.management_url, vhost.ca_file, lambda: vhost.issuer.management().text)
    service, operator = account_of(vhost.service_url), account_of(vhost.client_url)
    judge(administration, vhost.name, service, [operator])
    with pytest.raises(Invalid, match="is no operator"):
        judge(administration, vhost.name, service, [])
    vhost.call("PUT", f"permissions/{vhost.name}/{operator}", {"configure": ".*", "write": ".*", "read": ".*"})
    with pytest.raises(Invalid, match="may configure"):
        judge(administration, vhost.name, service, [operator])
