"""launch_agent: when to leave, and what a request offers; the loop itself is tested in test_life.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pilot.command import Pilot
from pilot.commands.launch_agent import judge, request_of
from pilot.config import configure

CONFIG = configure(["--idle-limit", "60", "--max-jobs", "3"], {})


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({}, ""),
        ({"idle_s": 60.0}, "idle"),
        ({"done": 3}, "max-jobs"),
        ({"left_s": 99.0}, "no time left"),
        ({"leaving": "drained"}, "drained"),
        ({"leaving": "signal", "idle_s": 60.0}, "signal"),
    ],
)
def test_a_pilot_leaves_for_one_reason(state: dict[str, Any], reason: str) -> None:
    assert judge(CONFIG, **{"idle_s": 0.0, "done": 0, "left_s": None, "leaving": "", **state}) == reason


def test_each_request_has_an_id_of_its_own_and_offers_the_time_that_is_left(tmp_path: Path) -> None:
    pilot = Pilot(configure(["--cpu-time", "1000"], {}), None, tmp_path)
    pilot.resource = {"CPUTime": 1000, "Site": "S"}
    pilot.began -= 400
    one, two = request_of(pilot, 5), request_of(pilot, 5)
    assert one["request_id"] != two["request_id"]
    assert 590 <= one["resource"]["CPUTime"] <= 600
    assert one["resource"]["Site"] == "S"
