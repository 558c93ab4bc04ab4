"""cgroups: where groups may be made, what they bound, and that they are gone; on what this machine has of both versions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilot import cgroups
from pilot.isolation import Isolation
from pilot.payload import Limits
from tests.pilot.test_limits import PYTHON, TAKE
from tests.pilot.test_payload import Ear, ear, isolation, run

__all__ = ["ear", "isolation"]

SELF = Path("/proc/self")


def bounded(controller: str) -> pytest.MarkDecorator:
    there = any(controller in offered for offered, _ in cgroups._parents(SELF))
    return pytest.mark.skipif(not there, reason=f"no control group here may be divided for {controller}")


def left_over() -> list[Path]:
    return [path for _, parent in cgroups._parents(SELF) for path in parent.glob(f"pilotbus-{os.getpid()}-*")]


@bounded("memory")
def test_the_kernel_holds_a_payload_to_its_memory_and_that_is_its_end(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    outcome = run(tmp_path, ear, f"({TAKE}); sleep 60", Limits(1000, 1000, memory_bytes=100 << 20), isolation=isolation)
    assert outcome.stopped == "memory"
    assert left_over() == []


@bounded("memory")
def test_who_is_within_its_memory_is_left_alone(tmp_path: Path, ear: Ear) -> None:
    assert run(tmp_path, ear, "exec true", Limits(1000, 1000, memory_bytes=100 << 20)).stopped == ""
    assert left_over() == []


@bounded("pids")
def test_the_kernel_counts_processes_in_the_group_also_the_superusers(tmp_path: Path, ear: Ear) -> None:
    script = "for n in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait; exit 2"
    outcome = run(tmp_path, ear, script, Limits(1000, 1000, processes=5))
    assert outcome.refused_processes
    assert outcome.exit_code


@bounded("pids")
def test_who_is_in_a_group_when_it_ends_is_killed() -> None:
    group = cgroups.make("ended")
    assert group is not None
    inside = subprocess.Popen(["sleep", "60"])
    for door in group.doors:
        Path(door).write_text(str(inside.pid))
    group.end()
    assert inside.wait(10) == -signal.SIGKILL
    assert left_over() == []


@bounded("pids")
def test_the_group_of_a_pilot_that_was_killed_is_swept_away() -> None:
    program = "import os; from pilot import cgroups; print(cgroups.make('swept').doors, flush=True); os.kill(os.getpid(), 9)"
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    doors = [Path(word.strip("'")) for word in killed.stdout.strip("[]\n").split(", ")]
    assert all(door.exists() for door in doors)
    group = cgroups.make("next")
    assert group is not None
    group.end()
    assert not any(door.exists() for door in doors)


@pytest.fixture
def second_version(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A folder that looks like a delegated group of the second version, and a /proc/self that names it."""
    own, proc = tmp_path / "unified" / "slot", tmp_path / "proc"
    own.mkdir(parents=True)
    proc.mkdir()
    for name, text in (
        ("cgroup.controllers", "cpu memory pids"),
        ("cgroup.subtree_control", "cpu memory pids"),
        ("cgroup.procs", ""),
    ):
        (own / name).write_text(text)
    (proc / "cgroup").write_text("0::/outer/slot\n")
    (proc / "mountinfo").write_text(f"30 20 0:26 /outer {tmp_path}/unified rw - cgroup2 cgroup2 rw,nsdelegate\n")
    yield own, proc


def test_the_second_version_is_found_by_its_mount_and_its_numbers_are_read(second_version: tuple[Path, Path]) -> None:
    own, proc = second_version
    group = cgroups.make("job", 100 << 20, 64, 2, proc=proc)
    assert group is not None
    (folder,) = set(group.folders.values())
    assert folder == own / f"pilotbus-{os.getpid()}-job"
    assert group.doors == [str(folder / "cgroup.procs")]
    (folder / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\n")
    (folder / "memory.events").write_text("low 0\noom 2\noom_kill 1\n")
    (folder / "pids.events").write_text("max 3\n")
    assert (group.cpu_seconds(), group.out_of_memory(), group.too_many_processes()) == (1.5, True, True)


def test_a_group_without_controllers_and_one_of_somebody_else_are_not_divided(second_version: tuple[Path, Path]) -> None:
    own, proc = second_version
    (own / "cgroup.controllers").write_text("")
    assert cgroups.make("job", proc=proc) is None
    assert cgroups.make("job", proc=own) is None  # there is nothing to read


UNIFIED = Path("/sys/fs/cgroup/unified")


@pytest.mark.skipif(not os.access(UNIFIED / "cgroup.procs", os.W_OK), reason="no tree of the second version can be written")
def test_a_real_group_of_the_second_version_is_ended_by_the_kernel(tmp_path: Path) -> None:
    folder = UNIFIED / f"pilotbus-{os.getpid()}-real"
    folder.mkdir()
    inside = subprocess.Popen([PYTHON, "-c", "import os, time; os.fork(); os.setsid() if os.fork() == 0 else 0; time.sleep(60)"])
    (folder / "cgroup.procs").write_text(str(inside.pid))
    cgroups.Group({"pids": folder}).end()
    assert inside.wait(10) == -signal.SIGKILL
    end = time.monotonic() + 5
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not folder.exists()
