"""A payload against the pilot that runs it: it is the same user, and gets nowhere.

What is tried at every level of isolation holds even on a node that gives none; the rest needs one that does.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.attacks.rows import attack
from tests.attacks.victim import APART, LEVELS, Victim
from tests.pilot.test_life import last, text_of

every_level = pytest.mark.parametrize("level", LEVELS)
apart = pytest.mark.parametrize("level", APART)
BEGIN = "import ctypes, os, sys, time\npilot = int(sys.argv[1])\n"


def living(marker: str) -> list[str]:
    """The processes whose command line has this word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker in path.read_bytes().decode("utf-8", "replace").split("\x00"):
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def gone(marker: str, seconds: float = 10) -> bool:
    """Whether they have ended, or do so in this time."""
    end = time.monotonic() + seconds
    while living(marker) and time.monotonic() < end:
        time.sleep(0.02)  # the kernel tells nobody about other people's children
    return not living(marker)


@attack("payload", "reads the pilot's environment")
@every_level
def test_the_pilots_environment_can_not_be_read(victim: Victim, level: str) -> None:
    """A payload reads /proc/N/environ of the pilot and of all others: none has the token, and its own neither."""
    pilot = victim.start(level)
    program = (
        "for name in ['self', str(pilot), *filter(str.isdigit, os.listdir('/proc'))]:\n"
        "    try: print(name, open(f'/proc/{name}/environ').read())\n"
        "    except OSError as problem: print(name, 'refused')\n"
    )
    said = victim.attempt(BEGIN + program, pilot.pid)
    assert f"{pilot.pid} refused" in said
    assert victim.secret not in "".join(said)
    assert "PILOTBUS_PILOT_AMQP_URL" not in "".join(said)


@attack("payload", "opens the pilot's file descriptors")
@every_level
def test_the_pilots_descriptors_can_not_be_opened_and_none_is_inherited(victim: Victim, level: str) -> None:
    """A payload lists /proc/<pilot>/fd and its own: the first is refused, the second has the three standard ones."""
    pilot = victim.start(level)
    program = (
        "for name in (pilot, 'self'):\n"
        "    try: print(name, sorted(set(os.listdir(f'/proc/{name}/fd')) - {'3'}))\n"
        "    except OSError as problem: print(name, 'refused')\n"
    )
    assert victim.attempt(BEGIN + program, pilot.pid) == [f"{pilot.pid} refused", "self ['0', '1', '2']"]


@attack("payload", "reads the pilot's spool, token and configuration")
@apart
def test_the_pilots_files_can_not_be_read(victim: Victim, level: str) -> None:
    """A payload walks the work directory of all pilots and opens the configuration: it finds only its own folders."""
    victim.start(level, "--keep-token", password="canary-in-the-file")
    program = (
        "job = os.path.dirname(os.getcwd())\n"
        "for top in (os.path.dirname(os.path.dirname(job)), sys.argv[2]):\n"
        "    for folder, _, names in os.walk(top):\n"
        "        if not folder.startswith(job): print([os.path.join(folder, name) for name in names])\n"
        "try: print('read', repr(open(sys.argv[3]).read()))\n"
        "except OSError as problem: print('refused')\n"
    )
    said = victim.attempt(BEGIN + program, 0, victim.workdir, victim.folder / "pilot.json")
    files = [line for line in said if line not in ("[]", "refused", "read ''")]
    assert files == []
    assert victim.report["state"] == "Done"


@attack("payload", "writes where it should not")
@apart
def test_nothing_can_be_written_but_the_jobs_own_folders(victim: Victim, level: str) -> None:
    """A payload writes into the pilot's home, its zip, the node's folders: only its work and temporary folders change."""
    victim.start(level)
    program = (
        "for path in ('../x', '../../x', '../../../x', sys.argv[2] + '/pilot.pyz', sys.argv[2] + '/x', '/dev/x', '/etc/x',\n"
        "             './x', '/tmp/x', '/var/tmp/x'):\n"
        "    try: open(path, 'a').write('x'); print('wrote', path)\n"
        "    except OSError as problem: pass\n"
    )
    zipped = (victim.folder / "pilot.pyz").read_bytes()
    said = victim.attempt(BEGIN + program, 0, victim.folder)
    assert {"wrote ./x", "wrote /tmp/x", "wrote /var/tmp/x"} <= set(said)
    # in an image, the folders above and /dev are not the node's, and gone with the job
    refused = ("../x", "/etc/x", *(("../../x", "../../../x", "/dev/x") if level != "apptainer" else ()))
    assert not {f"wrote {path}" for path in refused} & set(said)
    # not rglob, which fails when a folder goes away meanwhile
    beside = [Path(folder, "x") for folder, _, names in os.walk(victim.workdir) if "x" in names and "/job-" not in folder]
    assert not [path for path in (*beside, Path("/dev/x"), Path("/etc/x")) if path.exists()]
    assert (victim.folder / "pilot.pyz").read_bytes() == zipped
    assert sorted(path.name for path in victim.folder.iterdir()) == ["ca.pem", "pilot.json", "pilot.pyz", "pilots"]
    assert not [path for place in ("/tmp", "/var/tmp") if (path := Path(place, "x")).exists()]


@attack("payload", "attaches to the pilot as a debugger")
@every_level
def test_the_pilot_can_not_be_traced(victim: Victim, level: str) -> None:
    """A payload calls ptrace(ATTACH) on the pilot, and opens its memory: both are refused."""
    pilot = victim.start(level)
    program = (
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "print('attached' if libc.ptrace(16, pilot, 0, 0) == 0 else 'refused')\n"
        "try: open(f'/proc/{pilot}/mem', 'rb'); print('opened')\n"
        "except OSError: print('refused')\n"
    )
    assert victim.attempt(BEGIN + program, pilot.pid) == ["refused", "refused"]
    assert pilot.poll() is None


@attack("payload", "kills the pilot")
@apart
def test_the_pilot_can_not_be_killed(victim: Victim, level: str) -> None:
    """A payload sends SIGKILL to the pilot, to the pilot's parent and to everybody: the pilot runs its next job."""
    pilot = victim.start(level)
    # where it is not apart it must not try: all that this user runs would be gone
    program = (
        "if os.readlink('/proc/self/ns/pid') == sys.argv[2]: sys.exit('not apart')\n"
        "for number in (pilot, os.getppid(), 1, -1):\n"
        "    try: os.kill(number, 9); print('sent')\n"
        "    except OSError as problem: print('refused')\n"
        "time.sleep(0.2)\n"
    )
    said = victim.attempt(BEGIN + program, pilot.pid, Path("/proc/self/ns/pid").readlink())
    assert said[0] == "refused"
    assert "not apart" not in said
    assert victim.attempt("print('next')") == ["next"]
    assert pilot.poll() is None


DAEMON = (
    "import os, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        for number in range(3): os.close(number)\n"
    "        os.execve('/bin/sleep', ['sleep', sys.argv[1]], {})\n"
    "    os._exit(0)\n"
    "os.wait()\n"
    "time.sleep(float(sys.argv[2]))\n"
    "print('end')\n"
)


@attack("payload", "outlives its job as a daemon")
@every_level
def test_a_daemon_ends_with_its_job(victim: Victim, level: str) -> None:
    """A payload forks twice, leaves its session, clears its environment, closes its output: it ends with the job."""
    victim.start(level)
    marker = f"300.{victim.user}1"
    assert victim.attempt(DAEMON, marker, 0.3) == ["end"]
    assert gone(marker)


@attack("payload", "outlives a pilot that dies")
@every_level
def test_a_daemon_ends_with_a_killed_pilot(victim: Victim, level: str) -> None:
    """The same, and the pilot is killed by SIGKILL meanwhile: all of the payload ends with it."""
    pilot = victim.start(level)
    marker = f"300.{victim.user}2"
    job = victim.jobs.add("/bin/sh", f"-c 'setsid sleep {marker} >/dev/null 2>&1 & echo up; exec sleep {marker}'")
    victim.services.until(lambda: text_of(victim.services, job, "std.out") == ["up"])
    assert len(living(marker)) == 2
    pilot.kill()
    assert gone(marker)


@attack("payload", "forks without end")
@every_level
def test_a_fork_bomb_is_bounded(victim: Victim, level: str) -> None:
    """A payload forks until it can not: that is at the pilot's limit, and the pilot runs its next job."""
    pilot = victim.start(level, process_limit=100)
    program = (
        "for count in range(2000):\n"
        "    try: child = os.fork()\n"
        "    except OSError: break\n"
        "    if child == 0: time.sleep(60); os._exit(0)\n"
        "print(count)\n"
    )
    said = victim.attempt(BEGIN + program, 0)
    assert 50 <= int(said[0]) <= 100
    assert victim.attempt("print('next')") == ["next"]
    assert pilot.poll() is None


@attack("payload", "fills the disk")
@every_level
def test_a_full_disk_is_bounded(victim: Victim, level: str) -> None:
    """A payload writes files without end: it is ended at the pilot's limit, the reason is said, nothing of it is left."""
    victim.start(level, disk_limit_mb=20)
    program = (
        "for number in range(100000):\n"
        "    open(f'{os.environ[\"TMPDIR\"]}/{number}', 'wb').write(b'x' * (1 << 20))\n"
        "    time.sleep(0.02)\n"
    )
    victim.attempt(BEGIN + program, 0)
    assert (victim.report["state"], victim.report["minor_status"]) == ("Failed", "Job has insufficient disk space to continue")
    assert victim.attempt("print('next')") == ["next"]


@attack("payload", "writes one file without end")
@every_level
def test_one_file_is_bounded(victim: Victim, level: str) -> None:
    """A payload writes a file larger than the limit: the kernel stops it there."""
    victim.start(level, disk_limit_mb=2)
    said = victim.attempt("import os\ntry: os.write(os.open('f', 65), b'x' * (3 << 20)) and os.write(1, b'w') \nfinally: pass\n")
    assert "Traceback" not in "".join(said)
    size = (
        "import os, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nprint(os.write(os.open('f', 65), b'x' * (3 << 20)))\n"
    )
    assert victim.attempt(size) == [str(2 << 20)]


@attack("user", "loads code into what isolates the payload")
@every_level
def test_the_jobs_environment_reaches_only_its_own_program(victim: Victim, level: str) -> None:
    """A job's environment has LD_PRELOAD: the loader of the payload sees it, and that of no process outside."""
    victim.start(level)
    job = victim.jobs.add("/bin/true", ExecutionEnvironment=["LD_PRELOAD=/no/such/code.so", "PYTHONPATH=/no"])
    assert last(victim.services, job)["state"] == "Done"
    assert len(text_of(victim.services, job, "std.err")) == 1


@attack("node", "reads a job's environment in the arguments of processes")
@every_level
def test_the_jobs_environment_is_in_nobodys_arguments(victim: Victim, level: str) -> None:
    """Somebody on the node lists all processes while a job runs: its environment is in none of their arguments."""
    victim.start(level)
    job = victim.jobs.add("/bin/sh", "-c 'echo up; sleep 1'", ExecutionEnvironment=["PASSWORD=canary-of-the-job"])
    victim.services.until(lambda: text_of(victim.services, job, "std.out"))
    shown = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            shown.append(path.read_bytes())
        except OSError:
            continue
    assert any(b"pilot.pyz" in line for line in shown)
    assert not any(b"canary-of-the-job" in line for line in shown)
    assert last(victim.services, job)["state"] == "Done"
