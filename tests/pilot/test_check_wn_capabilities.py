"""check_wn_capabilities: only what this process may use is offered, and CVMFS that is wanted must be there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pilot.command import Pilot, Stop
from pilot.commands.check_wn_capabilities import judge, measure, run
from pilot.config import configure

ROOT = Path(__file__).resolve().parents[2]


def test_this_node_is_measured(tmp_path: Path) -> None:
    node = measure(tmp_path)
    assert 1 <= node["processors"] <= len(os.sched_getaffinity(0))
    assert 0 < node["ram_mb"] <= node["node_ram_mb"]
    assert node["disk_mb"] > 0
    assert node["host"]


def test_only_the_processors_that_we_may_use_are_offered() -> None:
    one = min(os.sched_getaffinity(0))
    program = (
        f"import os, pathlib; os.sched_setaffinity(0, {{{one}}})\n"
        "from pilot.commands.check_wn_capabilities import measure\nprint(measure(pathlib.Path('.'))['processors'])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_the_batch_system_may_give_less_than_the_node_has(tmp_path: Path) -> None:
    node = measure(tmp_path, (), {"processors": 1, "memory_mb": 100})
    assert (node["processors"], node["ram_mb"]) == (1, 100)
    much = measure(tmp_path, (), {"processors": 1 << 20, "memory_mb": 1 << 40})
    assert (much["processors"], much["ram_mb"]) == (measure(tmp_path)["processors"], measure(tmp_path)["ram_mb"])


def test_a_repository_that_is_wanted_and_not_there_stops_the_pilot(tmp_path: Path) -> None:
    assert judge({"cvmfs": ["bes.ihep.ac.cn"]}, ["bes.ihep.ac.cn", "x.y"]) == ["/cvmfs/x.y can not be read"]
    config = configure([], {})
    object.__setattr__(config, "cvmfs", ("no-such-repository.cern.ch",))
    with pytest.raises(Stop, match="no-such-repository"):
        run(Pilot(config, None, tmp_path))
