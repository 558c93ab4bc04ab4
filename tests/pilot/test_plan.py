"""plan: a list of names becomes commands, or one sentence says which name is none."""

from __future__ import annotations

import pytest

from pilot.plan import PLANS, commands


def test_every_plan_names_commands_that_exist_and_keep_the_grammar() -> None:
    for plan in PLANS:
        for command in commands(plan):
            assert callable(command.run)
            assert isinstance(command.SAYS, tuple)
            assert (command.__doc__ or "").strip()


def test_a_site_may_write_its_own_list() -> None:
    found = commands("check_worker_node,describe_resource")
    assert [command.__name__ for command in found] == ["pilot.commands.check_worker_node", "pilot.commands.describe_resource"]


@pytest.mark.parametrize("plan", ["no_such_command", "../config", "pilot.config", ""])
def test_what_is_no_command_is_said(plan: str) -> None:
    with pytest.raises(LookupError, match=r"neither a plan|has no command"):
        commands(plan or " ")
