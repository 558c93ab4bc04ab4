"""registry.query: everybody is told who it is; others are told of only to who may ask."""

from __future__ import annotations

from typing import Any

from tests.fix_house import Story
from tests.handlers.people import communities, described, event

HANDLER = "registry.query"
NOBODY = {"account": "ada", "known": False, "dns": []}


def asked(story: Story, by: str, kind: str = "query", **body: Any) -> list[dict[str, Any]]:
    """The accounts that this one is told of; nothing when it is refused."""
    story.when(event(f"registry.{kind}.v1", "_", body, authid=by), once=False)
    return list(story._answers[0].data.get("accounts", []))


def test_whom_the_registry_does_not_know_is_in_the_local_community(story: Story) -> None:
    (found,) = asked(story, "ada")
    local = {"group": "local_user", "vo": "local", "properties": ["NormalUser"]}
    assert found == NOBODY | {"groups": [local], "default_group": "local_user"}


def test_an_account_is_told_its_groups_and_its_default(story: Story) -> None:
    communities(story)
    told = {"account": "ada", "groups": ["juno_user", "bes_admin"], "dns": ["/C=CN/CN=Ada"], "email": "ada@ihep.ac.cn"}
    described(story, ("user", told))
    (found,) = asked(story, "ada")
    assert found["default_group"] == "juno_user"
    assert [(group["group"], group["vo"]) for group in found["groups"]] == [("juno_user", "juno"), ("bes_admin", "bes")]
    assert (found["dns"], found["email"], found["known"]) == (["CN=Ada,C=CN"], "ada@ihep.ac.cn", True)


def test_an_account_without_groups_has_no_default(story: Story) -> None:
    communities(story, ada=[])
    assert asked(story, "ada") == [{"account": "ada", "known": True, "groups": [], "dns": []}]


def test_others_are_told_of_only_to_an_operator_or_a_user_manager(story: Story) -> None:
    communities(story, ada=["bes_user", "bes_admin"], bob=["bes_user"])
    for number, name in enumerate(("Operator", "UserManager")):
        described(story, ("group", {"group": f"g{number}", "vo": "juno", "properties": [name]}))
        described(story, ("user", {"account": f"u{number}", "groups": ["juno_user", f"g{number}"]}))
        assert [found["account"] for found in asked(story, f"u{number}", account="bob")] == ["bob"]
    assert [found["account"] for found in asked(story, "u0", everyone=True)] == ["ada", "bob", "u0", "u1"]
    for body in ({"account": "bob"}, {"everyone": True}, {"account": "ada", "everyone": True}):
        asked(story, "ada", **body)
        story.then(("request.refused.v1.reply", {"code": "denied"}))
    assert [found["account"] for found in asked(story, "ada", account="ada")] == ["ada"]


def test_an_unknown_account_is_not_found(story: Story) -> None:
    assert asked(story, "root", "list", account="zoe") == []
    story.then(("request.refused.v1.reply", {"code": "not_found", "reason": "the registry has no account zoe"}))


def test_the_list_comes_in_pages(story: Story) -> None:
    communities(story, ada=[], bob=[], eve=[])
    seen = []
    for after in ({}, {"after": "bob"}):
        page = [found["account"] for found in asked(story, "root", "list", limit=2, **after)]
        seen.append((page, story._answers[0].data["more"]))
    assert seen == [(["ada", "bob"], True), (["eve"], False)]
