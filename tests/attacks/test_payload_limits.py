"""A payload that takes more than its part, or will not end: it does not get it, it does end, and the pilot goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilot.cgroups import _parents
from tests.attacks.rows import attack
from tests.attacks.test_payload import gone
from tests.attacks.victim import APART, LEVELS, Victim

every_level = pytest.mark.parametrize("level", LEVELS)
apart = pytest.mark.parametrize("level", APART)
BEGIN = "import os, signal, sys, time\n"
DEAF = "for number in (1, 2, 3, 10, 12, 15): signal.signal(number, signal.SIG_IGN)\n"
BOMB = "kept = []\nfor count in range(60):\n    kept.append(b'x' * (10 << 20)); time.sleep(0.05)\nprint('took all')\n"


@attack("payload", "takes all memory")
@every_level
def test_a_memory_bomb_is_ended_by_name(victim: Victim, level: str) -> None:
    """A payload takes ten times its MaxRAM, in three processes: it ends for its memory, and the pilot runs its next job."""
    pilot = victim.start(level)
    said = victim.attempt(BEGIN + "os.fork(); os.fork()\n" + BOMB, MaxRAM=200)
    assert said == []
    assert (victim.report["state"], victim.report["minor_status"]) == ("Failed", "Job has exceeded maximum memory")
    assert victim.report["application_status"].endswith("and may have 200 MB")
    assert victim.attempt("print('next')") == ["next"]
    assert pilot.poll() is None


@pytest.fixture
def delegated() -> Iterator[list[Path]]:
    """Control groups of this machine that can be given to a user, as a batch system does."""
    folders = [parent / f"slot-{os.getpid()}" for _, parent in _parents(Path("/proc/self"))]
    if os.getuid() != 0 or not folders:
        pytest.skip("no control group here can be given to a user")
    for folder in folders:
        folder.mkdir()
    yield folders
    for folder in folders:
        for inner in folder.glob("*/"):
            inner.rmdir()
        folder.rmdir()


def give(victim: Victim, folders: list[Path], pilot: int) -> None:
    """The pilot is in these groups, and may divide them."""
    for folder in folders:
        for path in (folder, folder / "cgroup.procs"):
            os.chown(path, victim.user, -1)
        (folder / "cgroup.procs").write_text(str(pilot))


@attack("payload", "takes all memory of its control group")
@every_level
def test_a_group_of_its_own_keeps_a_memory_bomb(victim: Victim, level: str, delegated: list[Path]) -> None:
    """The batch system gave the pilot a control group: the kernel keeps each payload to its memory, at once."""
    pilot = victim.start(level)
    give(victim, delegated, pilot.pid)
    said = victim.attempt("kept = b'x' * (600 << 20); print('took all')", MaxRAM=200)
    assert "took all" not in said
    assert victim.report["minor_status"] == "Job has exceeded maximum memory"
    assert victim.attempt("print('next')") == ["next"]
    victim.close()


@attack("payload", "leaves its control group")
@apart
def test_a_payload_stays_in_its_group(victim: Victim, level: str, delegated: list[Path]) -> None:
    """A payload writes itself into every group that its user owns, its pilot's too: it stays where it is."""
    pilot = victim.start(level)
    give(victim, delegated, pilot.pid)
    program = (
        "before = open('/proc/self/cgroup').read()\n"
        "for top in ('/sys/fs/cgroup', *sys.argv[1:]):\n"
        "    for folder, _, names in os.walk(top):\n"
        "        for name in {'cgroup.procs', 'tasks', 'memory.limit_in_bytes', 'memory.max'} & set(names):\n"
        "            try: open(os.path.join(folder, name), 'w').write('0'); print('wrote', folder, name)\n"
        "            except OSError: pass\n"
        "print(open('/proc/self/cgroup').read() == before)\n"
    )
    assert victim.attempt(BEGIN + program, *delegated) == ["True"]
    victim.close()


@attack("payload", "fills its standard output and ignores the signal to stop")
@every_level
def test_a_flood_of_output_that_will_not_stop_is_ended(victim: Victim, level: str) -> None:
    """A payload and its child ignore every signal they can, and write without end: both end, by name."""
    pilot = victim.start(level, output_limit_mb=2, grace_s=1)
    marker = f"300.{victim.user}3"
    program = (
        f"if os.fork() == 0: os.setsid(); os.execv('/bin/sh', ['sh', '-c', 'trap \"\" INT TERM; exec sleep {marker}'])\n"
        "while True: os.write(1, b'x' * 999 + b'\\n')\n"
    )
    victim.attempt(BEGIN + DEAF + program)
    assert (victim.report["state"], victim.report["minor_status"]) == ("Failed", "Job has exceeded maximum output")
    assert victim.report["signal"] == 9
    assert gone(marker)
    assert victim.attempt("print('next')") == ["next"]
    assert pilot.poll() is None


@attack("payload", "kills what holds its processes together")
@every_level
def test_a_payload_that_kills_its_keeper_ends(victim: Victim, level: str) -> None:
    """A payload starts a daemon and kills its parent, which is its keeper where nothing is between: the daemon ends too."""
    pilot = victim.start(level)
    marker = f"300.{victim.user}4"
    program = (
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        for number in range(3): os.close(number)\n"
        f"        os.execve('/bin/sleep', ['sleep', '{marker}'], {{}})\n"
        "    os._exit(0)\n"
        "os.wait(); time.sleep(0.3)\n"
        "try: os.kill(os.getppid(), 9)\n"
        "except OSError: pass\n"
    )
    # where it is apart, it has killed nobody but the init of its own room
    victim.attempt(BEGIN + program)
    assert gone(marker)
    assert victim.attempt("print('next')") == ["next"]
    assert pilot.poll() is None


@attack("payload", "hides what it wrote from the count of its disk")
@every_level
def test_files_without_names_are_counted(victim: Victim, level: str) -> None:
    """A payload fills files that it has already deleted: it ends for its disk."""
    victim.start(level, disk_limit_mb=4)
    program = (
        "kept = []\n"
        "for number in range(4):\n"
        "    kept.append(os.open('f', os.O_CREAT | os.O_WRONLY)); os.unlink('f')\n"
        "    os.write(kept[-1], b'x' * (3 << 20))\n"
        "time.sleep(60)\n"
    )
    victim.attempt(BEGIN + program)
    assert victim.report["minor_status"] == "Job has insufficient disk space to continue"
