"""payload: what it may use is bounded, the bound that ended it is named, and it is asked before it is ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from pilot.isolation import Isolation
from pilot.orders import Orders
from pilot.payload import Limits, Outcome
from tests.pilot.test_payload import Ear, ear, isolation, run, started

__all__ = ["ear", "isolation"]

PYTHON = os.path.realpath(sys.executable)  # what a virtual environment links to: its folder may be hidden
TAKE = "{ head -c 200M /dev/zero; sleep 60; } | tail -c 300M"


@pytest.fixture
def ungrouped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a node whose control groups are not the pilot's to divide."""
    monkeypatch.setattr("pilot.cgroups._parents", lambda _: [])


@pytest.mark.usefixtures("ungrouped")
def test_memory_has_a_limit_also_without_control_groups(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    outcome = run(tmp_path, ear, TAKE, Limits(1000, 1000, memory_bytes=100 << 20), isolation=isolation)
    assert (outcome.stopped, outcome.signal) == ("memory", signal.SIGTERM)
    assert outcome.memory_bytes > 100 << 20


@pytest.mark.usefixtures("ungrouped")
def test_memory_that_is_shared_counts_once(tmp_path: Path, ear: Ear) -> None:
    fork = (
        "import os, time; kept = b'x' * (100 << 20)\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0: time.sleep(3); os._exit(0)\n"
        "for _ in range(3): os.wait()"
    )
    payload = started(tmp_path, ear, [PYTHON, "-c", fork], Limits(1000, 1000, memory_bytes=200 << 20))
    outcome = payload.wait(Orders().wait, lambda: None, lambda: "")
    assert (outcome.exit_code, outcome.stopped) == (0, "")
    assert 100 << 20 < outcome.memory_bytes < 200 << 20


def test_output_has_a_limit_for_both_streams_together(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    script = "seq 100000; seq 100000 >&2; while :; do seq 100000; done"
    outcome = run(tmp_path, ear, script, Limits(1000, 1000, output_bytes=1 << 20), isolation=isolation)
    assert outcome.stopped == "output"
    sizes = [(tmp_path / name).stat().st_size for name in ("out", "err")]
    assert 1 << 20 < sum(sizes) < (1 << 20) + 200
    said = (tmp_path / "out").read_text() + (tmp_path / "err").read_text()
    assert said.count("pilotbus: standard output and error are more than 1 MB, no more is kept\n") == 1


def test_a_file_without_a_name_counts_for_the_disk(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    limits = Limits(1000, 1000, disk_bytes=2 << 20)
    script = "exec 7> a 8> b; rm a b; head -c 1500K /dev/zero >&7; head -c 1500K /dev/zero >&8; exec sleep 60"
    assert run(tmp_path, ear, script, limits, isolation=isolation).stopped == "disk"


def test_the_signal_to_stop_is_the_jobs_own_choice(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    script = "trap 'echo saved; exit 5' USR1; echo up; while :; do sleep 0.1; done"
    limits = Limits(1000, 1000, stop_signal=signal.SIGUSR1)
    outcome = run(tmp_path, ear, script, limits, wanted=lambda: "kill" if ear.heard.wait(10) else "", isolation=isolation)
    assert (outcome.exit_code, outcome.stopped) == (5, "kill")
    assert ("std.out", "saved") in ear.lines


def test_only_the_program_that_the_job_names_is_asked_to_stop(tmp_path: Path, ear: Ear, isolation: Isolation) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "generator").write_text("trap 'echo written; exit 0' INT\necho up\nwhile :; do sleep 0.1; done\n")
    # a shell's background child ignores SIGINT, which its own trap can not undo
    script = "trap 'echo wrong' INT; env --default-signal=INT sh ./generator & wait $!; echo went on after $?"
    limits = Limits(1000, 1000, stop_signal=signal.SIGINT, stop_regex=r"^sh \./generator")
    outcome = run(tmp_path, ear, script, limits, wanted=lambda: "kill" if ear.heard.wait(10) else "", isolation=isolation)
    assert [text for _, text in ear.lines] == ["up", "written", "went on after 0"]
    assert (outcome.exit_code, outcome.stopped) == (0, "kill")


def test_a_job_may_be_asked_before_its_time_is_up_and_is_then_not_stopped(tmp_path: Path, ear: Ear) -> None:
    script = "trap 'echo written; exit 0' INT; while :; do sleep 0.1; done"
    limits = Limits(1000, 6, stop_signal=signal.SIGINT, asked_before_s=5.5, asked_after_s=0.3)
    outcome = run(tmp_path, ear, script, limits)
    assert (outcome.exit_code, outcome.stopped) == (0, "")
    assert outcome.wall_s < 5


def test_the_grace_is_no_longer_than_it_may_be(tmp_path: Path, ear: Ear) -> None:
    script = "trap '' TERM; echo up; while :; do sleep 0.1; done"
    began = time.monotonic()
    outcome = run(tmp_path, ear, script, Limits(1000, 1000, grace_s=0.5), wanted=lambda: "kill" if ear.heard.wait(10) else "")
    assert (outcome.signal, outcome.stopped) == (signal.SIGKILL, "kill")
    assert time.monotonic() - began < 5


def test_each_of_two_payloads_has_its_own_processor_time(tmp_path: Path, ear: Ear) -> None:
    found: dict[str, Outcome] = {}

    def go(name: str, script: str) -> None:
        home = tmp_path / name
        home.mkdir()
        payload = started(home, ear, ["/bin/sh", "-c", script])
        found[name] = payload.wait(Orders().wait, lambda: None, lambda: "")

    burn = "timeout 2 sh -c 'while :; do :; done'; exit 0"
    threads = [threading.Thread(target=go, args=pair) for pair in (("busy", burn), ("idle", "sleep 2.5"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found["busy"].cpu_s > 0.5
    assert found["idle"].cpu_s < 0.4


def test_an_expression_that_takes_for_ever_holds_nobody_up(tmp_path: Path, ear: Ear) -> None:
    began = time.monotonic()
    script = f"sleep 60 & : {'a' * 60}!; echo up; wait"
    limits = Limits(1000, 1000, stop_regex="(a+)+$")
    outcome = run(tmp_path, ear, script, limits, wanted=lambda: "kill" if ear.heard.wait(10) else "")
    assert (outcome.signal, outcome.stopped) == (signal.SIGTERM, "kill")
    assert time.monotonic() - began < 10
