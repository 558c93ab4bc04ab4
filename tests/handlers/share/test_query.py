"""share.query: everybody sees how groups stand and whose turn it is; users are shown to their own community."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handlers.share.hands import Hands
from schemas.rules.shares import HOUSE, Policy, steady
from tests.fix_house import Story
from tests.handlers.people import communities, described, event, waiting

HANDLER = "share.query"
HANDS = Hands(HOUSE, ("root",))


def used(story: Story, **processors: int) -> None:
    """Users of these groups, as bes_user__ada, have so many processors in use."""
    names = [(*name.split("__"), number) for name, number in processors.items()]
    changes = [dict(zip(("owner_group", "owner", "processors"), each, strict=True)) for each in names]
    story.sql("SELECT share.use(%s::json)", json.dumps(changes))


def asked(story: Story, by: str = "ada", hands: Hands = HANDS, **body: Any) -> dict[str, Any]:
    """What this one is told."""
    story.when(event("share.query.v1", "_", body, authid=by), once=False, hands=hands)
    found: dict[str, Any] = story.answers[0].data
    return found


def by_name(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The groups, by their names."""
    return {group["group"]: group for group in found["groups"]}


@pytest.fixture
def farm(story: Story) -> Story:
    """bes_user has used four days' steady 30 processors in one hand, juno_user 10 in two; ada of bes_user has a job waiting."""
    communities(story, ada=["bes_user"], bob=["bes_user"], eve=["juno_user"])
    described(story, ("group", {"group": "juno_user", "vo": "juno", "properties": ["NormalUser"], "job_share": 3000}))
    waiting(story)
    used(story, bes_user__ada=30, juno_user__eve=6, juno_user__max=4)
    story.sql("UPDATE share.usage SET core_s = processors * 1000.0")
    return story


def test_groups_have_their_shares_their_use_and_their_place(farm: Story) -> None:
    found = asked(farm)
    assert (found["half_life_s"], found["horizon_s"], found["policy"], found["users"]) == (86_400, 3600, "", [])
    groups = by_name(found)
    bes, juno = groups["bes_user"], groups["juno_user"]
    assert (bes["share"], bes["vo"], bes["processors"], bes["waiting"], bes["place"]) == (1000, "bes", 30, True, 1)
    assert (round(bes["expected_percent"]), round(juno["expected_percent"])) == (25, 75)
    assert (round(bes["used_percent"]), round(juno["used_percent"])) == (75, 25)
    assert bes["score"] == pytest.approx(30 * (1000 + 3600) / 1000, rel=0.02)
    assert juno["processors"] == 10
    assert not juno["waiting"]
    assert "place" not in juno, "who has nothing waiting is not served"


def test_a_group_that_neither_wants_nor_has_anything_is_expected_to_have_nothing(farm: Story) -> None:
    groups = by_name(asked(farm))
    assert (groups["local_user"]["processors"], groups["local_user"]["used_percent"]) == (0, 0.0)
    assert "expected_percent" not in groups["local_user"]
    assert "bes_admin" not in groups, "it may not submit"
    assert groups["bes_shared"]["sharing"]


def test_the_lowest_score_is_served_first(farm: Story) -> None:
    waiting(farm, owner_group="bes_user")
    farm.sql("""UPDATE match.queues SET requirements = jsonb_set(requirements, '{OwnerGroup}', '"juno_user"')""")
    farm.sql("""INSERT INTO match.queues (digest, requirements)
        SELECT 'x', jsonb_set(requirements, '{OwnerGroup}', '"bes_user"') FROM match.queues""")
    farm.sql("UPDATE job.jobs SET queue_id = (SELECT queue_id FROM match.queues WHERE digest = 'x') WHERE job_id = 2")
    groups = by_name(asked(farm))
    assert (groups["juno_user"]["place"], groups["bes_user"]["place"]) == (1, 2)
    reverse = Hands(Policy("reverse", lambda processors, core_s, share: -core_s), ())
    found = asked(farm, hands=reverse)
    groups = by_name(found)
    assert (found["policy"], groups["juno_user"]["place"], groups["bes_user"]["place"]) == ("reverse", 2, 1)


def test_users_divide_what_their_group_should_have_and_a_sharing_group_is_one(farm: Story) -> None:
    users = {user["owner"]: user for user in asked(farm, "eve", group="juno_user")["users"]}
    assert [round(users[name]["expected_percent"], 1) for name in ("eve", "max")] == [37.5, 37.5]
    assert [round(users[name]["used_percent"]) for name in ("eve", "max")] == [15, 10]
    sharing = {"group": "juno_user", "vo": "juno", "properties": ["NormalUser", "JobSharing"], "job_share": 3000}
    described(farm, ("group", sharing), at="2026-11-20T01:00:00Z")
    assert all("expected_percent" not in user for user in asked(farm, "eve", group="juno_user")["users"])
    (ada,) = asked(farm, group="bes_user")["users"]
    assert (ada["owner"], ada["waiting"], ada["place"]) == ("ada", True, 1)


def test_users_are_shown_to_their_community_and_to_operators(farm: Story) -> None:
    asked(farm, "eve", group="bes_user")
    farm.then(("request.refused.v1.reply", {"code": "denied"}))
    for who in ("ada", "bob", "root"):
        assert [user["owner"] for user in asked(farm, who, group="bes_user")["users"]] == ["ada"]
    described(farm, ("group", {"group": "ops", "vo": "juno", "properties": ["Operator"]}))
    described(farm, ("user", {"account": "eve", "groups": ["ops"]}), at="2026-11-20T01:00:00Z")
    assert [user["owner"] for user in asked(farm, "eve", group="bes_user")["users"]] == ["ada"]


def test_a_community_is_shown_with_its_part_of_the_whole_and_an_unknown_one_is_not_found(farm: Story) -> None:
    groups = by_name(asked(farm, vo="bes"))
    assert {group["vo"] for group in groups.values()} == {"bes"}
    assert round(groups["bes_user"]["used_percent"]) == 75
    unknown: tuple[dict[str, Any], ...] = ({"vo": "cms"}, {"group": "nobody"}, {"group": "bes_user", "vo": "juno"})
    for body in unknown:
        asked(farm, **body)
        farm.then(("request.refused.v1.reply", {"code": "not_found"}))


def test_groups_and_users_come_in_pages(farm: Story) -> None:
    everything = list(by_name(asked(farm)))
    assert everything == sorted(everything)
    first = asked(farm, limit=2)
    rest = asked(farm, after=first["groups"][-1]["group"])
    assert [group["group"] for group in (*first["groups"], *rest["groups"])] == everything
    assert (first["more"], rest["more"]) == (True, False)
    page = asked(farm, "eve", group="juno_user", limit=1)
    assert (page["users"][0]["owner"], page["more"]) == ("eve", True)
    assert asked(farm, "eve", group="juno_user", after="eve")["users"][0]["owner"] == "max"


def test_what_is_held_for_long_comes_to_rest_and_a_group_without_share_has_no_score(farm: Story) -> None:
    farm.sql("UPDATE share.usage SET at = at - interval '90 days'")
    described(farm, ("group", {"group": "bes_user", "vo": "bes", "properties": [], "job_share": 0}), at="2026-11-20T01:00:00Z")
    bes = by_name(asked(farm))["bes_user"]
    assert bes["core_s"] == pytest.approx(steady(30))
    assert bes["expected_percent"] == 0.0
    assert "score" not in bes
