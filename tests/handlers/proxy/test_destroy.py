"""proxy.destroy: an owner takes back what was deposited, and nobody else does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fix_house import Story
from tests.handlers.grid import ADA, Grid, kept
from tests.handlers.people import event

HANDLER = "proxy.destroy"
WAITING = """SELECT proxy.open_delegation('ada', '7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', '\\x00', 'csr', now(), 600)"""


@pytest.mark.parametrize("named", [True, False])
def test_an_owner_destroys_one_or_all(story: Story, hands: dict[str, Any], grid: Grid, named: bool) -> None:
    mark = kept(story._db, hands["proxy.fetch"], grid.person().proxy())
    story.sql(WAITING).sql("INSERT INTO bus.timers VALUES ('proxy/' || %s, now(), 'proxy.expired.v1', 'ada', '{}')", mark)
    story.when(event("proxy.destroy.v1", "_", {"fingerprint": mark} if named else {})).then(
        ("proxy.destroyed.v1", {"account": "ada", "dn": ADA, "fingerprint": mark}),
        ("proxy.destroy.v1.reply", {"destroyed": [{"dn": ADA, "fingerprint": mark}]}),
    )
    assert story.rows("SELECT * FROM proxy.proxies") == []
    left = int(named)  # a delegation goes only with all
    assert story.rows("SELECT (SELECT count(*) FROM proxy.delegations), (SELECT count(*) FROM bus.timers)") == [(left, left)]


def test_a_repeat_finds_none_and_anothers_is_left_alone(story: Story, hands: dict[str, Any], grid: Grid) -> None:
    mark = kept(story._db, hands["proxy.fetch"], grid.person().proxy())
    for told in ({}, {"fingerprint": mark}):
        story.when(event("proxy.destroy.v1", "_", told, "bob")).then(("proxy.destroy.v1.reply", {"destroyed": []}))
    assert story.rows("SELECT count(*) FROM proxy.proxies") == [(1,)]
