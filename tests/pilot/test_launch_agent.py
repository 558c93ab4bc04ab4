"""launch_agent: when to leave, and what a request offers; the loop is tested in test_life.py and faults/test_pool.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pilot.command import Job, Pilot
from pilot.commands.launch_agent import judge, request_of
from pilot.config import configure
from pilot.crew import own_processors
from pilot.job import environment_of
from pilot.slots import Free, Share

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


def test_a_request_offers_no_time_that_will_have_gone_when_it_is_answered(tmp_path: Path) -> None:
    pilot = Pilot(configure(["--cpu-time", "1000"], {}), None, tmp_path)
    pilot.resource = {"CPUTime": 1000, "Site": "S"}
    assert 898 <= request_of(pilot, 100)["resource"]["CPUTime"] <= 900


def test_a_pool_that_runs_something_offers_what_is_left_and_no_whole_node(tmp_path: Path) -> None:
    pilot = Pilot(CONFIG, None, tmp_path)
    pilot.resource = {"CPUTime": 1000, "Site": "S", "NumberOfProcessors": 8, "MaxRAM": 8000, "NumberOfGPUs": 2, "WholeNode": True}
    pilot.resource["Tag"] = ["CVMFS", "WholeNode"]
    assert request_of(pilot, 5, Free(8, 8000, 2, whole=True))["resource"] == pilot.resource
    part = request_of(pilot, 5, Free(3, 3000, 1, whole=False))["resource"]
    assert (part["NumberOfProcessors"], part["MaxRAM"], part["NumberOfGPUs"]) == (3, 3000, 1)
    assert (part["WholeNode"], part["Tag"]) == (False, ["CVMFS"])


def test_a_pilot_owns_its_processors_when_it_offers_all_that_it_may_use() -> None:
    usable = sorted(os.sched_getaffinity(0))
    assert own_processors(len(usable)) == tuple(usable)
    assert own_processors(len(usable) + 1) == ()


def test_a_payload_is_told_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    pilot = Pilot(configure(["--pool"], {}), None, tmp_path)
    pilot.resource = {"NumberOfGPUs": 4}
    job = Job(1, 1, {"MinNumberOfProcessors": 2}, share=Share((1, 2, 3), 1000, (1, 3)))
    found = environment_of(pilot, job, tmp_path / "work")
    assert (found["DIRAC_JOB_PROCESSORS"], found["OMP_NUM_THREADS"], found["CUDA_VISIBLE_DEVICES"]) == ("3", "3", "1,3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b,GPU-c,GPU-d")
    assert environment_of(pilot, job, tmp_path / "work")["CUDA_VISIBLE_DEVICES"] == "GPU-b,GPU-d"
