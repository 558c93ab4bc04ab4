"""`make bench-pilot`: what a pilot weighs, how soon it works, and what its log costs the payload.

The zip of the pilot runs jobs on this machine, with a real broker over TLS, real services and a durable database beside it.
These three are elsewhere in life: here they take what the payload and its pilot leave of the processors (nice 19).
Each payload computes and writes its lines at once, one system call each, for as many lines a second as the goal says.
log_slowdown_percent: the payload's own time with its lines through the pilot into the log store, against the same payload
writing them to a file of its own; medians of runs that take turns, because a machine is never quiet. Beside it the same
without the time in which the payload was ready and had no processor, which others may have taken.
lost_lines: those that are not in the log store when all is over.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from bus.client import Client
from bus.settings import Settings, settings
from deploy.pilot_zip import build
from tests.bench.pilot_start import measure_start
from tests.bench.report import tell
from tests.bench.spine import SITE, pilot_url

LINES_PER_S = 12_000  # of a payload that nobody listens to: the goal, and room for what may slow it
LONG_S = 22
PAIRS = 7
PAIR_S = 5
SETTLED_S = 20
GOALS = {"log_lines_per_s": "≥ 10,000", "log_slowdown_percent": "≤ 5", "lost_lines": "0"}
TALKER = Path(__file__).with_name("talker.py").read_text(encoding="utf-8")
ENROLLED = """INSERT INTO trust.enrolments (pilot_id, secret_sha256, site, invited_by, invited_at, expires_at, enrolled_at)
VALUES ('p1', 'p1', 'BENCH.local.org', 'bench', now(), now(), now()) ON CONFLICT DO NOTHING"""
STORED = """SELECT coalesce(sum(count), 0), coalesce(max(last_number), 0) FROM log.chunks
WHERE subject = %s AND attempt = 1 AND stream = 'std.out'"""


@contextlib.contextmanager
def process(command: list[str], **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process, ended after the block."""
    started = subprocess.Popen(command, **more)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(timeout=60)
        if started.stdout is not None:
            started.stdout.close()


def step_back(parent: int, spared: int) -> None:
    """All below this process, but one and what is below that, takes only what others leave."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            child = int(path.parent.name)
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent and child != spared:
                lower(child)
                step_back(child, spared)


def lower(process_id: int) -> None:
    """This process takes only what others leave: its threads in their session, and its session among the others."""
    for task in Path(f"/proc/{process_id}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(task.name), 19)
    if os.getsid(process_id) != os.getsid(0):
        with contextlib.suppress(OSError):  # some kernels do not group by session
            Path(f"/proc/{process_id}/autogroup").write_text("19", encoding="ascii")


def processor_s(process_id: int) -> float:
    """What this process has used so far."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bench:
    """Jobs through the pilot, and what came of their lines."""

    def __init__(self, bus: Client, database: psycopg.Connection[Any], processes: dict[str, int]) -> None:
        self._bus, self._database, self.processes = bus, database, processes
        bus.follow("job.done.v1.#", "job.failed.v1.#")

    def run(self, how: str, count: int, work: int) -> tuple[str, float, float, float]:
        """One payload to its end: its job, its seconds, those in which it was not kept waiting for a processor, and its start."""
        arguments = f"-u -c {shlex.quote(TALKER)} {how} {count} {work}"
        description = {"Executable": "python3", "Arguments": arguments, "CPUTime": 3600}
        asked = {"submission": str(uuid.uuid4()), "description": description}
        job = str(self._bus.ask("job.submit.v1", asked)["first_job_id"])
        while not any(event.subject == job for event in self._bus.events()):
            pass
        lines = self.lines(job)
        took = [line.split() for line in lines if line.startswith("took")]
        if not took:
            raise AssertionError(f"job {job} failed: {lines}")
        wall_s, own_s, began = map(float, took[0][1:])
        return job, wall_s, own_s, began

    def lines(self, job: str) -> list[str]:
        """The job's standard error, and what its pilot says, once the first is there."""
        found: list[str] = []
        until = time.monotonic() + SETTLED_S
        while time.monotonic() < until and not any(text.startswith("took") for text in found):
            found = []
            for stream in ("std.err", "pilot"):
                told = self._bus.ask("log.read.v1", {"job_id": int(job), "stream": stream})["lines"]
                found += [line["text"] for line in told]
            time.sleep(0.2)
        return found

    def stored(self, job: str, count: int) -> tuple[int, float]:
        """How many lines of its standard output are in the store when no more come, and when the last did."""
        before, at, until = -1, time.time(), time.monotonic() + SETTLED_S
        while before < count and time.monotonic() < until:
            (found, _last) = self._database.execute(STORED, (job,)).fetchone() or (0, 0)
            if found > before:
                before, at, until = int(found), time.time(), time.monotonic() + SETTLED_S
            time.sleep(0.05)
        return before, at


def work_of(bench: Bench) -> int:
    """How much a payload computes for a line, so that it writes as many in a second as is wanted."""
    work = 1000
    for _ in range(3):
        _, _, taken_s, _ = bench.run("file", 20_000, work)
        work = max(1, int(work * (20_000 / LINES_PER_S) / taken_s))
    return work


def measure(bench: Bench) -> tuple[dict[str, float], dict[str, float]]:
    """The figures, and what is told beside them."""
    work = work_of(bench)
    walls, own, lost = [], [], 0
    for number in range(PAIRS):
        count = PAIR_S * LINES_PER_S
        order = ("file", "print") if number % 2 else ("print", "file")
        found = {how: bench.run(how, count, work) for how in order}
        walls.append(100 * (found["print"][1] / found["file"][1] - 1))
        own.append(100 * (found["print"][2] / found["file"][2] - 1))
        lost += count - bench.stored(found["print"][0], count)[0]
        print(f"pair {number + 1}: {found['file'][1]:.2f} s to a file, {found['print'][1]:.2f} s to the log", flush=True)
    count = LONG_S * LINES_PER_S
    before = {name: processor_s(number) for name, number in bench.processes.items()}
    job, wall_s, _, began = bench.run("print", count, work)
    stored, at = bench.stored(job, count)
    figures = {
        "log_lines_per_s": stored / (at - began),
        "log_slowdown_percent": statistics.median(walls),
        "lost_lines": float(lost + count - stored),
    }
    beside = {
        "payload_lines_per_s": count / wall_s,
        "slowdown_percent_on_an_idle_machine": statistics.median(own),
        "seconds_of_the_long_run": wall_s,
    }
    for name, number in bench.processes.items():
        beside[f"{name}_microseconds_a_line"] = 1e6 * (processor_s(number) - before[name]) / count
    return figures, beside


def main() -> int:
    """Measures all; exit code 1 when a goal is missed."""
    told = settings()
    with tempfile.TemporaryDirectory(prefix="pilotbus-") as folder:
        archive = Path(folder) / "pilot.pyz"
        build(archive)
        started = measure_start(archive)
        with process([sys.executable, "-m", "deploy.main", "run"], stdout=subprocess.PIPE, start_new_session=True) as runner:
            if runner.stdout is None or runner.stdout.readline() != b"ready\n":
                return 1
            step_back(os.getppid(), os.getpid())
            lower(runner.pid)
            figures, beside = with_pilot(told, archive, Path(folder), runner.pid)
    figures = {**started, **figures}
    tell("pilot", figures, GOALS, beside)
    met = figures["log_lines_per_s"] >= 10_000 and figures["log_slowdown_percent"] <= 5 and not figures["lost_lines"]
    return 0 if met else 1


def with_pilot(told: Settings, archive: Path, folder: Path, services: int) -> tuple[dict[str, float], dict[str, float]]:
    """What is measured while one pilot runs."""
    with psycopg.connect(told.dsn, autocommit=True) as database, Client(told.client_amqp_url, told.ca_file) as bus:
        database.execute(ENROLLED)
        bus.follow("site.described.v1.#")
        bus.say("site.described.v1", {"site": SITE, "status": "active"})
        while not list(bus.events()):
            pass
        address = pilot_url(told, "p1")
        environment = {"PATH": os.environ["PATH"], "PILOTBUS_PILOT_AMQP_URL": address, "PILOTBUS_CA_FILE": told.ca_file}
        flags = ["--site", SITE, "--workdir", str(folder / "work"), "--idle-limit", "600"]
        with (
            (folder / "pilot.log").open("wb") as log,
            process([sys.executable, str(archive), *flags], env=environment, stderr=log) as pilot,
        ):
            try:
                return measure(Bench(bus, database, {"pilot": pilot.pid, "services": services}))
            except BaseException:
                sys.stderr.write((folder / "pilot.log").read_text(encoding="utf-8")[-3000:])
                raise


if __name__ == "__main__":
    sys.exit(main())
