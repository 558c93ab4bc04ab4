"""proxy.list: one's own proxies, and an operator's view of another's."""

from __future__ import annotations

from typing import Any

from tests.fix_house import Story
from tests.handlers.grid import ADA, Grid, kept
from tests.handlers.people import event

HANDLER = "proxy.list"


def test_an_owner_sees_what_is_kept_and_nothing_secret(story: Story, hands: dict[str, Any], grid: Grid) -> None:
    mark = kept(story._db, hands["proxy.fetch"], grid.person().proxy())
    story.when(event("proxy.list.v1", "_", {}))
    ((shown,),) = [answer.data["proxies"] for answer in story.answers]
    assert set(shown) == {"account", "dn", "fingerprint", "not_after", "deposited_at"}
    assert (shown["account"], shown["dn"], shown["fingerprint"]) == ("ada", ADA, mark)
    story.sql("UPDATE proxy.proxies SET not_after = now()")
    story.when(event("proxy.list.v1", "_", {})).then(("proxy.list.v1.reply", {"proxies": []}))


def test_only_an_operator_sees_anothers(story: Story, hands: dict[str, Any], grid: Grid) -> None:
    kept(story._db, hands["proxy.fetch"], grid.person().proxy())
    asked = {"account": "ada"}
    story.when(event("proxy.list.v1", "_", asked, "bob")).then(("request.refused.v1.reply", {"code": "denied"}))
    story.sql("INSERT INTO registry.groups VALUES ('ops', 'local', '{Operator}', 1, now())")
    story.sql("INSERT INTO registry.users VALUES ('bob', '{}', '', now())").sql(
        "INSERT INTO registry.members VALUES ('bob', 1, 'ops')"
    )
    story.when(event("proxy.list.v1", "_", asked, "bob"))
    assert len(story.answers[0].data["proxies"]) == 1
