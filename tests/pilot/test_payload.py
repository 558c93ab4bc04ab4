"""payload: its lines are live, its end reaches every process of it, and it dies with the pilot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pilot.config import configure
from pilot.isolation import Isolation, NotGiven, detect
from pilot.orders import Orders
from pilot.payload import CanNotStart, Limits, Outcome, Payload
from tests.pilot.image import flags_for

ROOT = Path(__file__).resolve().parents[2]
FREELY = Limits(cpu_s=1000, wall_s=1000)


class Ear:
    """Keeps the lines, and tells when one is heard."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.heard = threading.Event()

    def __call__(self, stream: str, text: str) -> None:
        self.lines.append((stream, text))
        self.heard.set()


@pytest.fixture
def ear() -> Ear:
    return Ear()


def run(
    tmp_path: Path,
    ear: Ear,
    script: str,
    limits: Limits = FREELY,
    wanted: Callable[[], str] = lambda: "",
    isolation: Isolation | None = None,
) -> Outcome:
    orders = Orders()

    def line(stream: str, text: str) -> None:
        ear(stream, text)
        if text in ("alive", "up"):
            orders.changed()  # as an order would

    payload = started(tmp_path, line, ["/bin/sh", "-c", script], limits, isolation)
    return payload.wait(orders.wait, orders.changed, wanted)


def started(
    home: Path,
    line: Callable[[str, str], None],
    command: list[str],
    limits: Limits = FREELY,
    isolation: Isolation | None = None,
) -> Payload:
    for name in ("work", "tmp"):
        (home / name).mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"]}

    def lines(stream: str, texts: Sequence[str]) -> None:
        for text in texts:
            line(stream, text)

    return Payload(command, home, environment, (home / "out", home / "err"), lines, limits, isolation)


@pytest.fixture(params=["apptainer", "bubblewrap", "none"])
def isolation(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Isolation:
    try:
        flags = flags_for(request.param, tmp_path_factory.mktemp("image"))
        return detect(configure([*flags, "--workdir", str(tmp_path)], {}), tmp_path)
    except NotGiven as problem:
        pytest.skip(str(problem))


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except OSError:
        return False


def gone(pid: int, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)  # the kernel tells nobody about other people's children
    return not alive(pid)


def test_output_is_in_the_files_and_said_line_by_line(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    outcome = run(tmp_path, ear, "echo one; echo two >&2; printf three; printf '\\377\\n' >&2; exit 3", isolation=isolation)
    assert (outcome.exit_code, outcome.signal, outcome.stopped) == (3, None, "")
    assert (tmp_path / "out").read_text() == "one\nthree"
    assert [text for stream, text in ear.lines if stream == "std.out"] == ["one", "three"]
    assert [text for stream, text in ear.lines if stream == "std.err"] == ["two", "\ufffd"]


def test_a_line_is_heard_while_the_payload_still_runs(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    outcome = run(
        tmp_path, ear, "echo alive; exec sleep 60", wanted=lambda: "kill" if ear.heard.wait(10) else "", isolation=isolation
    )
    assert ("std.out", "alive") in ear.lines
    assert (outcome.signal, outcome.stopped) == (signal.SIGTERM, "kill")


def test_a_payload_that_ignores_the_first_signal_is_ended_by_the_second(
    tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pilot.payload.GRACE_S", 0.3)
    outcome = run(
        tmp_path, ear, "trap '' TERM; echo up; while :; do sleep 0.1; done", wanted=lambda: "kill" if ear.heard.wait(10) else ""
    )
    assert (outcome.signal, outcome.stopped) == (signal.SIGKILL, "kill")


def test_the_whole_family_is_gone_even_who_left_and_forgot_everything(tmp_path: Path, ear: Ear) -> None:
    script = "env -i setsid sleep 300 & echo $!; sleep 300 & echo $!; (setsid sleep 300 & echo $!); exit 0"
    assert run(tmp_path, ear, script).exit_code == 0
    found = [int(text) for _, text in ear.lines]
    assert len(found) == 3
    assert all(gone(pid) for pid in found)


def test_processor_time_has_a_limit(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    outcome = run(tmp_path, ear, "while :; do :; done", Limits(cpu_s=0.4, wall_s=100), isolation=isolation)
    assert outcome.stopped == "cpu"
    assert outcome.cpu_s > 0.4
    assert outcome.wall_s < 60


def test_wall_time_has_a_limit(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    outcome = run(tmp_path, ear, "exec sleep 100", Limits(cpu_s=100, wall_s=0.3), isolation=isolation)
    assert (outcome.stopped, outcome.signal) == ("wall", signal.SIGTERM)


def test_what_can_not_start_says_why(tmp_path: Path, ear: Ear) -> None:
    script = tmp_path / "no-interpreter"
    script.write_text("echo never")
    script.chmod(0o755)
    with pytest.raises(CanNotStart, match="can not be started: Exec format error"):
        started(tmp_path, ear, [str(script)]).wait(Orders().wait, ear.heard.set, lambda: "")


def test_a_payload_and_its_children_die_with_a_killed_pilot(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom pilot.payload import Limits, Payload\n"
        "say = lambda stream, texts: print(*texts, sep=chr(10), flush=True)\n"
        "script = 'echo $$; sleep 300 & echo $!; wait'\n"
        f"here = Path({str(tmp_path)!r})\n"
        "(here / 'work').mkdir()\n"
        "outputs, limits = (here / 'out', here / 'err'), Limits(100, 100)\n"
        "Payload(['/bin/sh', '-c', script], here, {'PATH': '/usr/bin:/bin'}, outputs, say, limits)\n"
        "time.sleep(60)\n"
    )
    pilot = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert pilot.stdout is not None
    found = [int(pilot.stdout.readline()) for _ in range(2)]
    assert all(alive(pid) for pid in found)
    pilot.kill()
    pilot.wait()
    pilot.stdout.close()
    assert all(gone(pid) for pid in found)


def test_a_flood_of_lines_is_all_in_the_file(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    assert run(tmp_path, ear, "seq 200000", isolation=isolation).exit_code == 0
    assert (tmp_path / "out").read_text().splitlines()[-1] == "200000"
    assert len(ear.lines) == 200_000


def test_an_end_by_a_signal_is_told_at_every_level(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    assert run(tmp_path, ear, "kill -SEGV $$", isolation=isolation).signal == signal.SIGSEGV
    assert run(tmp_path, ear, "exit 7", isolation=isolation).exit_code == 7


def test_a_payload_can_clean_up_when_it_is_asked_to_end(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    script = "trap 'echo clean; exit 4' TERM; echo up; while :; do sleep 0.1; done"
    outcome = run(tmp_path, ear, script, wanted=lambda: "kill" if ear.heard.wait(10) else "", isolation=isolation)
    assert (outcome.exit_code, outcome.stopped) == (4, "kill")
    assert ("std.out", "clean") in ear.lines


def test_all_processor_time_is_counted_also_a_daemons(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    burn = "setsid timeout 1 sh -c 'while :; do :; done' & sleep 1.2"
    assert 0.2 < run(tmp_path, ear, burn, isolation=isolation).cpu_s < 5


def test_a_payload_dumps_no_core_and_may_not_write_more_than_its_disk(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    limits = Limits(1000, 1000, disk_bytes=1 << 20)
    run(tmp_path, ear, "ulimit -c; head -c 2M /dev/zero > file; wc -c < file", limits, isolation=isolation)
    assert [text for stream, text in ear.lines if stream == "std.out"] == ["0", str(1 << 20)]


def test_a_disk_that_is_full_stops_a_payload(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    limits = Limits(1000, 1000, disk_bytes=1 << 20)
    script = "for n in 1 2 3; do head -c 500K /dev/zero > $n; done; exec sleep 60"
    assert run(tmp_path, ear, script, limits, isolation=isolation).stopped == "disk"
