"""isolation: the levels have an order, and what nobody knows is the weakest."""

from __future__ import annotations

import pytest

from schemas.rules.isolation import LEVELS, is_enough


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_is_enough_for_itself_and_all_below(level: str) -> None:
    place = LEVELS.index(level)
    assert [is_enough(level, least) for least in LEVELS] == [number <= place for number in range(len(LEVELS))]


def test_a_level_that_nobody_knows_is_none() -> None:
    assert not is_enough("", "userns")
    assert is_enough("prison", "none")
