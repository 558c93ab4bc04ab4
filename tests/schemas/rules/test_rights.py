"""rights: DIRAC's JobPolicy, written out once more as a table that is obviously right, and compared with the rule."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import catalogue
from schemas.rules.rights import PROPERTIES, RIGHTS, acting, may, reach

OWNER = {"GetInfo", "GetSandbox", "PutSandbox", "ChangeStatus", "Delete", "Kill", "Reschedule"}
ADMINISTRATOR = OWNER | {"GetJob", "GetStats", "Reset"}
VO_OF = {"bes_user": "bes", "bes_other": "bes", "juno_user": "juno"}
# what one property of one's own group gives: over jobs of that group, of another group of the VO, of another VO
GIVEN: dict[str, tuple[set[str], set[str], set[str]]] = {
    "JobSharing": (OWNER, set(), set()),
    "JobAdministrator": (ADMINISTRATOR, ADMINISTRATOR, set()),
    "JobMonitor": ({"GetInfo"}, {"GetInfo"}, set()),
    "GenericPilot": ({"Reschedule"}, {"Reschedule"}, set()),
}


def membership(group: str, *properties: str) -> dict[str, Any]:
    """A row as the registry gives it."""
    return {"group": group, "vo": VO_OF[group], "properties": list(properties)}


def job(owner: str, group: str) -> dict[str, Any]:
    """Whose a job is."""
    return {"job_id": 1, "owner": owner, "owner_group": group, "vo": VO_OF[group]}


@pytest.mark.parametrize(("name", "right"), list(product(PROPERTIES, RIGHTS)))
def test_each_property_gives_over_anothers_jobs_what_the_table_says(name: str, right: str) -> None:
    mine = [membership("bes_user", name)]
    found = [may(right, "ada", mine, job("bob", group)) is None for group in ("bes_user", "bes_other", "juno_user")]
    assert found == [right in given for given in GIVEN.get(name, (set(), set(), set()))]


@pytest.mark.parametrize(("right", "group"), list(product(RIGHTS, VO_OF)))
def test_an_owner_keeps_an_owners_rights_in_whatever_group_the_job_was_submitted(right: str, group: str) -> None:
    assert (may(right, "ada", [membership("bes_other")], job("ada", group)) is None) == (right in OWNER)


memberships = st.lists(
    st.builds(
        lambda group, names: membership(group, *names), st.sampled_from(sorted(VO_OF)), st.sets(st.sampled_from(PROPERTIES))
    ),
    max_size=4,
)
jobs = st.builds(job, st.sampled_from(["ada", "bob"]), st.sampled_from(sorted(VO_OF)))
rights = st.sampled_from(RIGHTS)


def table(right: str, mine: list[dict[str, Any]], about: dict[str, Any]) -> bool:
    """What the tables above say, membership by membership and property by property."""
    if right == "Submit":
        own = [m for m in mine if m["group"] == about["owner_group"]]
        return about["owner"] == "ada" and bool(own) and "NormalUser" in own[0]["properties"]
    if about["owner"] == "ada" and mine and right in OWNER:
        return True
    for one in mine:
        place = 0 if one["group"] == about["owner_group"] else 1 if one["vo"] == about["vo"] else 2
        if any(right in GIVEN[name][place] for name in one["properties"] if name in GIVEN):
            return True
    return False


@given(right=rights, mine=memberships, about=jobs)
def test_the_rule_says_what_the_table_says(right: str, mine: list[dict[str, Any]], about: dict[str, Any]) -> None:
    assert (may(right, "ada", mine, about) is None) == table(right, mine, about)


@given(right=rights.filter(lambda right: right != "Submit"), mine=memberships, about=jobs)
def test_what_a_right_reaches_is_what_it_allows(right: str, mine: list[dict[str, Any]], about: dict[str, Any]) -> None:
    far = reach(right, mine)
    inside = (far.own and about["owner"] == "ada") or (about["owner_group"], about["vo"]) in far.groups or about["vo"] in far.vos
    assert inside == (may(right, "ada", mine, about) is None)


@given(right=rights, mine=memberships, about=jobs)
def test_nothing_reaches_anothers_job_of_a_community_one_is_not_in(
    right: str, mine: list[dict[str, Any]], about: dict[str, Any]
) -> None:
    elsewhere = [one for one in mine if one["vo"] != about["vo"]]
    if about["owner"] != "ada":
        assert may(right, "ada", elsewhere, about)


@given(right=rights, mine=memberships, more=memberships, about=jobs.filter(lambda about: about["owner"] != "bob"))
def test_one_more_group_never_takes_a_right_away(
    right: str, mine: list[dict[str, Any]], more: list[dict[str, Any]], about: dict[str, Any]
) -> None:
    if may(right, "ada", mine, about) is None:
        assert may(right, "ada", mine + more, about) is None


@given(right=rights, about=jobs)
def test_who_is_in_no_group_may_nothing(right: str, about: dict[str, Any]) -> None:
    assert may(right, "ada", [], about) == "ada is in no group"


def test_nobody_submits_in_anothers_name() -> None:
    assert may("Submit", "ada", [membership("bes_user", "NormalUser")], job("bob", "bes_user"))


def test_a_job_stays_with_its_community_when_its_group_moves_away() -> None:
    moved = [membership("bes_user", "JobSharing", "NormalUser") | {"vo": "juno"}]
    assert may("Kill", "ada", moved, job("bob", "bes_user"))
    assert may("Submit", "ada", moved, job("ada", "bes_user"))


def test_a_right_that_dirac_does_not_have_is_an_error() -> None:
    with pytest.raises(ValueError, match="Fly"):
        may("Fly", "ada", [membership("bes_user")], job("ada", "bes_user"))


def test_one_acts_in_the_first_group_or_in_another_of_ones_own() -> None:
    mine = [membership("juno_user"), membership("bes_user")]
    assert acting("ada", mine, None) == ("juno_user", "juno")
    assert acting("ada", mine, "bes_user") == ("bes_user", "bes")
    with pytest.raises(ValueError, match="ada is not in group bes_other"):
        acting("ada", mine, "bes_other")
    with pytest.raises(ValueError, match="ada is in no group"):
        acting("ada", [], None)


def test_the_schema_knows_the_same_properties() -> None:
    said = catalogue()["group.described.v1"]["properties"]["properties"]["items"]["enum"]
    assert sorted(said) == sorted(PROPERTIES)
