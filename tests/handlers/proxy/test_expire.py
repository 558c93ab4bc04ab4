"""proxy.expire: what has come to its end is gone, and what took its place is not."""

from __future__ import annotations

from typing import Any

from tests.fix_house import Story
from tests.handlers.grid import ADA, Grid, kept
from tests.handlers.people import event

HANDLER = "proxy.expire"
DELEGATION = "7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01"


def test_a_proxy_that_has_ended_is_gone_and_a_newer_one_stays(story: Story, hands: dict[str, Any], grid: Grid) -> None:
    mark = kept(story._db, hands["proxy.fetch"], grid.person().proxy())
    told = {"account": "ada", "dn": ADA, "fingerprint": "00" * 32}
    story.when(event("proxy.expired.v1", "ada", told, "")).then()
    assert story.rows("SELECT count(*) FROM proxy.proxies") == [(1,)]
    story.when(event("proxy.expired.v1", "ada", told | {"fingerprint": mark}, "")).then()
    assert story.rows("SELECT count(*) FROM proxy.proxies") == [(0,)]


def test_a_delegation_whose_time_is_up_is_gone(story: Story) -> None:
    story.sql("SELECT proxy.open_delegation('ada', %s, '\\x00', 'csr', now(), 600)", DELEGATION)
    ((due, kind, told),) = story.rows("SELECT due_at - now() BETWEEN '500 s' AND '601 s', type, data FROM bus.timers")
    assert (due, kind) == (True, "proxy.delegation_expired.v1")
    story.when(event(kind, DELEGATION, told, "")).then()
    assert story.rows("SELECT count(*) FROM proxy.delegations") == [(0,)]
