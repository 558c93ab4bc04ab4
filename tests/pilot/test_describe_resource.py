"""describe_resource: what this process may use, in DIRAC's names; the configuration wins."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pilot.command import Pilot, Stop
from pilot.commands.describe_resource import NO_END_S, judge, measure, run
from pilot.config import configure

NODE = {"platform": "Linux_x86_64_glibc-2.36", "processors": 8, "ram_mb": 16000}


def test_this_node_is_described() -> None:
    node = measure()
    assert re.fullmatch(r"Linux_\w+_\w+-[\w.]+", node["platform"])
    assert 1 <= node["processors"] <= len(os.sched_getaffinity(0))
    assert node["ram_mb"] > 0


def test_only_the_processors_that_we_may_use_are_offered() -> None:
    one = min(os.sched_getaffinity(0))
    program = (
        f"import os; os.sched_setaffinity(0, {{{one}}})\n"
        "from pilot.commands.describe_resource import measure\nprint(measure()['processors'])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_what_is_configured_wins_over_what_is_measured() -> None:
    flags = [
        "--site",
        "S",
        "--processors",
        "2",
        "--max-ram",
        "500",
        "--cpu-time",
        "100",
        "--tag",
        "b",
        "--tag",
        "a",
        "--ce",
        "c",
        "--vo",
        "v",
    ]
    assert judge(NODE, configure(flags, {})) == {
        "Site": "S",
        "GridCE": "c",
        "Platform": "Linux_x86_64_glibc-2.36",
        "CPUTime": 100,
        "NumberOfProcessors": 2,
        "MaxRAM": 500,
        "Tag": ["a", "b"],
        "Isolation": "none",
        "RequiredTag": [],
        "VirtualOrganization": "v",
    }


def test_a_description_that_the_matcher_would_not_take_stops_the_pilot(tmp_path: Path) -> None:
    with pytest.raises(Stop, match=r"resource\.Tag\[\d\]"):
        run(Pilot(configure(["--tag", "x" * 200], {}), None, tmp_path))


def test_a_slot_without_a_known_end_takes_the_longest_jobs() -> None:
    assert judge(NODE, configure([], {}))["CPUTime"] == NO_END_S


def test_the_command_leaves_the_description_with_the_pilot(tmp_path: Path) -> None:
    pilot = Pilot(configure(["--site", "LCG.Test.org"], {}), None, tmp_path)
    run(pilot)
    assert pilot.resource["Site"] == "LCG.Test.org"
