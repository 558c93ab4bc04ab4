"""describe_resource: what all commands have found, in DIRAC's names; the configuration wins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pilot.command import Pilot, Stop
from pilot.commands.describe_resource import NO_END_S, judge, measure, run
from pilot.config import configure

NODE = {"platform": "Linux_x86_64_glibc-2.36", "processors": 8, "ram_mb": 16000, "disk_mb": 50_000, "gpus": 2, "whole_node": True}


def test_what_is_configured_wins_over_what_is_measured() -> None:
    told = {"site": "S", "processors": 2, "max-ram": 500, "cpu-time": 100, "ce": "c", "vo": "v"}
    flags = ["--tag=b", "--tag=a", *(f"--{name}={value}" for name, value in told.items())]
    assert judge({**NODE, "left_s": 99999, "tags": {"x"}}, configure(flags, {})) == {
        "Site": "S",
        "GridCE": "c",
        "Platform": "Linux_x86_64_glibc-2.36",
        "CPUTime": 100,
        "NumberOfProcessors": 2,
        "MaxRAM": 500,
        "MaxDisk": 49_152,
        "NumberOfGPUs": 2,
        "WholeNode": True,
        "Tag": ["a", "b", "x"],
        "Isolation": "none",
        "RequiredTag": [],
        "VirtualOrganization": "v",
    }


def test_what_was_left_out_of_the_plan_is_measured_all_the_same(tmp_path: Path) -> None:
    pilot = Pilot(configure(["--workdir", str(tmp_path)], {}), None, tmp_path)
    node = measure(pilot)
    assert re.fullmatch(r"Linux_\w+_\w+-[\w.]+", node["platform"])
    assert node["processors"] >= 1
    assert node["left_s"] is None


def test_a_description_that_the_matcher_would_not_take_stops_the_pilot(tmp_path: Path) -> None:
    with pytest.raises(Stop, match=r"resource\.Tag\[\d\]"):
        run(Pilot(configure(["--tag", "x" * 200], {}), None, tmp_path))


def test_a_slot_without_a_known_end_takes_the_longest_jobs_and_another_what_is_left() -> None:
    assert judge(NODE, configure([], {}))["CPUTime"] == NO_END_S
    assert judge({**NODE, "left_s": 0}, configure([], {}))["CPUTime"] == 0


def test_the_command_leaves_the_description_with_the_pilot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pilot = Pilot(configure(["--site", "LCG.Test.org"], {}), None, tmp_path)
    pilot.tags.add("CVMFS_bes.ihep.ac.cn")
    run(pilot)
    assert pilot.resource["Site"] == "LCG.Test.org"
    assert "CVMFS_bes.ihep.ac.cn" in pilot.resource["Tag"]
    assert "described " in capsys.readouterr().err
