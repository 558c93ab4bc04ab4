"""plan: names become commands; configuration adds, replaces and reorders; what is no command is said in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from pilot.plan import PLANS, changed, listing, steps

OWN: dict[str, tuple[str, ...]] = {"default": ("register_pilot", "check_worker_node", "launch_agent")}


def test_every_plan_names_commands_that_exist_and_keep_the_grammar() -> None:
    for plan in PLANS:
        for step in steps(plan):
            assert callable(step.command.run)
            assert isinstance(step.command.SAYS, tuple)
            assert (step.command.__doc__ or "").strip()


def test_a_site_may_write_its_own_list() -> None:
    found = steps("check_worker_node,describe_resource?")
    assert [(step.name, step.may_fail) for step in found] == [("check_worker_node", False), ("describe_resource", True)]


@pytest.mark.parametrize("plan", ["no_such_command", "../config", "pilot.config", ""])
def test_what_is_no_command_is_said(plan: str) -> None:
    with pytest.raises(LookupError, match=r"neither a plan|has no command"):
        steps(plan or " ")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"commands": ["launch_agent", "register_pilot"]}, ("launch_agent", "register_pilot")),
        ({"without": ["check_worker_node"]}, ("register_pilot", "launch_agent")),
        ({"add": [{"command": "bes_setup?"}]}, ("register_pilot", "check_worker_node", "bes_setup?", "launch_agent")),
        (
            {"add": [{"command": "a", "before": "register_pilot"}, {"command": "b", "after": "register_pilot"}]},
            ("a", "register_pilot", "b", "check_worker_node", "launch_agent"),
        ),
        (
            {"without": ["check_worker_node"], "add": [{"command": "check_worker_node?", "before": "register_pilot"}]},
            ("check_worker_node?", "register_pilot", "launch_agent"),
        ),
    ],
)
def test_a_change_replaces_removes_adds_and_reorders(change: dict[str, Any], wanted: tuple[str, ...]) -> None:
    assert changed(OWN, [{"plan": "default", **change}])["default"] == wanted


def test_changes_come_one_after_the_other_and_a_new_plan_begins_with_another() -> None:
    first = {"plan": "bes", "of": "default", "add": [{"command": "bes_setup"}]}
    second = {"plan": "bes", "without": ["register_pilot"]}
    found = changed(OWN, [first, second])
    assert found["bes"] == ("check_worker_node", "bes_setup", "launch_agent")
    assert found["default"] == OWN["default"], "the one that it began with is as it was"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"plan": "default", "remove": ["x"]}, "does not know 'remove'"),
        ({"plan": "new"}, "no plan 'new' to begin with"),
        ({"plan": "a b", "commands": ["x"]}, "no name of a plan"),
        ({"plan": "default", "commands": ["../x"]}, "no name of a command"),
        ({"plan": "default", "add": [{"command": "x", "before": "y"}]}, "is to be before y, which is not in it"),
    ],
)
def test_a_change_that_can_not_be_made_is_said(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(LookupError, match=reason):
        changed(OWN, [change])


def test_the_listing_has_every_command_with_its_sentence() -> None:
    text = listing()
    assert "check_ce_capabilities        What does the computing element give this pilot?" in text
    assert "check                        check_worker_node, " in text
