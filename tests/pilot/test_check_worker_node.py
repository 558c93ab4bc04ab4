"""check_worker_node: the node is measured, what falls short is said, and then the pilot stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilot.command import Pilot, Stop
from pilot.commands.check_worker_node import judge, measure, run
from pilot.config import configure


def test_this_node_has_memory_disk_and_a_name(tmp_path: Path) -> None:
    node = measure(tmp_path)
    assert node["free_mb"] > 0
    assert node["memory_mb"] > 0
    assert node["writable"] is True
    assert node["system"]


def test_each_number_that_falls_short_is_one_sentence() -> None:
    assert judge({"free_mb": 5, "memory_mb": 900}, {"free_mb": 10, "memory_mb": 800}) == ["free_mb is 5, wants 10"]
    assert judge({"writable": False}, {}) == ["the work directory can not be written"]


def test_an_unfit_node_is_said_before_the_pilot_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configure(["--workdir", str(tmp_path)], {})
    object.__setattr__(config, "least", {"free_mb": 1 << 60})
    with pytest.raises(Stop, match=r"free_mb is \d+, wants") as caught:
        run(Pilot(config, None, tmp_path))
    assert caught.value.code == 3
    assert "checked" in capsys.readouterr().err
