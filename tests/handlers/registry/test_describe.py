"""registry.describe: the newest description counts; what contradicts the registry changes nothing and is told so."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bus.errors import Conflict
from bus.event import Event
from handlers.registry.describe import decide
from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "registry.describe"
ADA = "CN=Ada,DC=cern,DC=ch"
USERS = "SELECT account, dns, email FROM registry.users ORDER BY 1"
MEMBERS = 'SELECT account, number, "group" FROM registry.members ORDER BY 1, 2'


def told(kind: str, day: int = 1, **data: Any) -> Event:
    """An operator describes something on a day of November."""
    name = str(data.get("account") or data.get("group") or data["vo"]).replace(".", "_")
    return dataclasses.replace(event(f"{kind}.described.v1", name, data, authid="root"), time=f"2026-11-{day:02}T00:00:00Z")


def bes(story: Story) -> Story:
    """The community bes with two groups."""
    story.when(told("vo", vo="bes"))
    for group in ("bes_user", "bes_admin"):
        story.when(told("group", group=group, vo="bes", properties=["NormalUser"]))
    return story


def test_a_group_has_a_share_of_a_thousand_unless_it_is_told(story: Story) -> None:
    bes(story).when(told("group", 2, group="bes_admin", vo="bes", properties=["JobAdministrator"], job_share=5))
    rows = story.rows("SELECT \"group\", properties, job_share FROM registry.groups WHERE vo = 'bes' ORDER BY 1")
    assert rows == [("bes_admin", ["JobAdministrator"], 5), ("bes_user", ["NormalUser"], 1000)]


def test_an_account_has_its_groups_in_order_and_its_subjects_in_one_spelling(story: Story) -> None:
    person = told("user", account="ada", groups=["bes_user", "bes_admin"], dns=["/DC=ch/DC=cern/CN=Ada"], email="ada@cern.ch")
    bes(story).when(person).then()
    assert story.rows(USERS) == [("ada", [ADA], "ada@cern.ch")]
    assert story.rows("SELECT \"group\", vo FROM registry.standing('ada')") == [("bes_user", "bes"), ("bes_admin", "bes")]


def test_an_older_description_that_comes_late_changes_nothing_and_is_not_judged(story: Story) -> None:
    bes(story)
    story.when(told("user", 5, account="ada", groups=["bes_user"]))
    story.when(told("user", 4, account="ada", groups=["bes_admin", "nowhere"])).then()
    story.when(told("vo", 5, vo="bes", description="new")).when(told("vo", 4, vo="bes", description="old"))
    story.when(told("group", 5, group="bes_user", vo="bes", properties=[]))
    story.when(told("group", 4, group="bes_user", vo="nowhere", properties=["Operator"])).then()
    assert story.rows(MEMBERS) == [("ada", 1, "bes_user")]
    assert story.rows("SELECT description FROM registry.vos WHERE vo = 'bes'") == [("new",)]
    assert story.rows("SELECT properties FROM registry.groups WHERE \"group\" = 'bes_user'") == [([],)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"account": "bob", "groups": ["bes_user", "juno_user"]}, "there is no group juno_user"),
        ({"account": "bob", "groups": ["bes_user", "bes_user"]}, "a group is named twice"),
        ({"account": "bob", "groups": [], "dns": [ADA]}, f"{ADA} belongs to account ada"),
        ({"account": "bob", "groups": [], "dns": ["/DC=ch/DC=cern/CN=Ada"]}, f"{ADA} belongs to account ada"),
        ({"account": "bob", "groups": [], "dns": ["CN=Bob", "/CN=Bob"]}, "a subject is named twice"),
        ({"account": "bob", "groups": [], "dns": ["who?"]}, "'who?' is no subject"),
        ({"account": "pilotbus", "groups": []}, "account pilotbus belongs to the system"),
        ({"account": "guest", "groups": []}, "account guest belongs to the system"),
        ({"account": "pilot-p1", "groups": []}, "account pilot-p1 would be a pilot's"),
    ],
)
def test_what_contradicts_the_registry_changes_nothing_and_is_told_so(story: Story, data: dict[str, Any], reason: str) -> None:
    bes(story).when(told("user", account="ada", groups=["bes_user"], dns=[ADA]))
    before = story.rows(USERS), story.rows(MEMBERS)
    story.when(told("user", 2, **data)).then(("user.refused.v1", {"account": data["account"]}))
    assert reason in story._answers[0].data["reason"]
    assert (story.rows(USERS), story.rows(MEMBERS)) == before


def test_a_refused_change_leaves_the_account_as_it_was(story: Story) -> None:
    bes(story).when(told("user", account="ada", groups=["bes_user"], dns=[ADA]))
    story.when(told("user", 2, account="ada", groups=["nowhere"])).then(("user.refused.v1", {"account": "ada"}))
    assert story.rows(MEMBERS) == [("ada", 1, "bes_user")]


def test_a_group_of_an_unknown_community_is_refused(story: Story) -> None:
    refused = {"group": "bes.user", "reason": "there is no community bes"}
    story.when(told("group", group="bes.user", vo="bes", properties=[])).then(("group.refused.v1", refused))
    assert story.rows("SELECT \"group\" FROM registry.groups WHERE vo = 'bes'") == []


def test_a_subject_that_one_account_gives_up_another_may_have(story: Story) -> None:
    story.when(told("user", account="ada", groups=[], dns=[ADA]))
    story.when(told("user", 2, account="ada", groups=[])).when(told("user", 2, account="lovelace", groups=[], dns=[ADA])).then()
    assert story.rows(USERS) == [("ada", [], ""), ("lovelace", [ADA], "")]


def test_an_account_without_groups_is_known_and_belongs_nowhere(story: Story) -> None:
    assert story.rows("SELECT \"group\" FROM registry.standing('ada')") == [("local_user",)]
    story.when(told("user", account="ada", groups=[])).then()
    assert story.rows("SELECT \"group\" FROM registry.standing('ada')") == []


def test_pilots_and_the_systems_own_accounts_belong_nowhere(story: Story) -> None:
    for account in ("pilot-p1", "pilotbus", "guest", ""):
        assert story.rows("SELECT * FROM registry.standing(%s)", account) == []


@pytest.mark.parametrize(
    "pair",
    [
        (told("user", account="ada", groups=[], dns=[ADA]), told("user", account="bob", groups=[], dns=[ADA])),
        (told("vo", vo="bes"), told("group", group="bes_user", vo="bes", properties=[])),
    ],
)
def test_two_that_were_judged_by_one_reading_are_judged_again(story: Story, pair: tuple[Event, Event]) -> None:
    with pytest.raises(Conflict):
        story.when(*pair)
    assert story.rows(USERS) == []
    story.when(pair[0]).when(pair[1])  # as the runner then does
    refused = [answer.type for answer in story._answers]
    assert refused == (["user.refused.v1"] if pair[1].type == "user.described.v1" else [])


def test_the_reason_names_the_subject_that_is_taken() -> None:
    holders = [{"account": "ada", "dns": [ADA, "CN=Other"]}]
    assert decide({"account": "bob", "groups": []}, [ADA], [], holders) == f"{ADA} belongs to account ada"
    assert decide({"account": "ada", "groups": []}, [ADA], [], holders) is None


def test_a_community_demands_nothing_of_isolation_unless_it_is_told(story: Story) -> None:
    query = "SELECT least_isolation FROM registry.vos WHERE vo = 'bes'"
    assert story.when(told("vo", vo="bes")).rows(query) == [("none",)]
    assert story.when(told("vo", 2, vo="bes", least_isolation="userns")).rows(query) == [("userns",)]
    assert story.when(told("vo", 3, vo="bes")).rows(query) == [("none",)]
