"""configure_cpu_requirements: a short benchmark, on every processor that may be used."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pilot.command import Pilot, Stop
from pilot.commands import configure_cpu_requirements
from pilot.commands.configure_cpu_requirements import judge, measure, run
from pilot.config import configure


def test_each_process_gives_a_rate_in_little_time() -> None:
    began = time.monotonic()
    rates = measure(2, 0.05)
    assert len(rates) == 2
    assert all(rate > 1000 for rate in rates)
    assert time.monotonic() - began < 20


def test_the_result_is_the_median_process() -> None:
    assert judge([50_000.0, 1_000_000.0, 500_000.0]) == {"processes": 3, "db12": 10.0}


def test_the_number_stands_in_the_description_and_may_be_left_out(tmp_path: Path) -> None:
    config = configure([], {})
    object.__setattr__(config, "benchmark_s", 0.02)
    pilot = Pilot(config, None, tmp_path)
    run(pilot)
    assert pilot.resource["PilotBenchmark"] == pilot.facts["benchmark"]["db12"] > 0
    object.__setattr__(config, "benchmark_s", 0.0)
    other = Pilot(config, None, tmp_path)
    run(other)
    assert other.resource == {}


def test_a_node_that_gives_no_number_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configure_cpu_requirements, "_PROGRAM", "print('nonsense')")
    with pytest.raises(Stop, match="no number"):
        run(Pilot(configure([], {}), None, tmp_path))
