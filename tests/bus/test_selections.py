"""Jobs as requests name them are those that were meant, and no other."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from bus.selections import FEW, of_ids
from schemas.rules.selection import ids


@pytest.mark.parametrize(
    "meant", [range(1, 4), range(1, 1000), range(1, 1000, 2), range(9, 0, -1), range(1000, 0, -3), [5, 3, 4, 900], [], range(0)]
)
def test_the_ids_are_those_that_were_meant(meant: Iterable[int]) -> None:
    asked = of_ids(meant)
    assert sorted([*asked.get("job_ids", ()), *ids(map(tuple, asked.get("ranges", ())))]) == sorted(meant)
    assert ("ranges" in asked) == (len(list(meant)) > FEW)
