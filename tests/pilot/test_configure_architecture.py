"""configure_architecture: platform, instruction level, system and kernel, from this node and from others' files."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from pilot.command import Pilot
from pilot.commands.configure_architecture import measure, run
from pilot.config import configure
from pilot.node.architecture import level, system

V2 = "fpu sse sse2 cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3"
V3 = f"{V2} avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"
V4 = f"{V3} avx512f avx512bw avx512cd avx512dq avx512vl"


def test_this_node_has_a_platform_as_dirac_writes_it(tmp_path: Path) -> None:
    found = measure()
    assert re.fullmatch(r"Linux_\w+_\w+-[\w.]+", found["platform"])
    assert (found["kernel"], found["machine"]) == (platform.release(), platform.machine())
    pilot = Pilot(configure([], {}), None, tmp_path)
    run(pilot)
    assert pilot.resource["Platform"] == found["platform"]


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [("fpu sse", "x86-64"), (V2, "x86-64-v2"), (V3, "x86-64-v3"), (V4, "x86-64-v4"), (V4.replace(" movbe", ""), "x86-64-v2")],
)
def test_a_level_is_reached_when_all_below_it_are(flags: str, wanted: str) -> None:
    assert level("x86_64", f"model name\t: x\nflags\t\t: {flags}\n") == wanted


def test_other_processors_have_no_such_levels() -> None:
    assert level("aarch64", "Features\t: fp asimd\n") == "aarch64"


def test_the_system_is_named_by_its_release_file(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text('NAME="AlmaLinux"\nPRETTY_NAME="AlmaLinux 9.4 (Seafoam Ocelot)"\n')
    assert system(tmp_path / "os-release") == "AlmaLinux 9.4 (Seafoam Ocelot)"
    assert system(tmp_path / "none") == "Linux"
