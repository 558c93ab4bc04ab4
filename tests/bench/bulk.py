"""`make bench-bulk`: from a submission in two steps until all its jobs wait, through the bus and with durable commits.

parametric_100k_s, parametric_1m_s: one template, every job with a name and an argument of its own. cost_ratio: the second a job
beside the first. different_20k_s: as many descriptions as jobs, by the sandbox store. kill_100k_s: a group of waiting jobs is
killed by naming it. The peaks are those of this client and of the one process that runs all services.
`make bench-bulk BULK=small` makes everything a hundred times smaller, to try the bench itself; nothing is kept then.
Exit code 1 when a goal is missed, or jobs are not as they should be.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from bus.apply import Words
from bus.client import Client
from bus.settings import Settings, settings
from bus.transfer import upload
from deploy.migrate import migrate
from tests.bench.load import empty
from tests.bench.match_house import end, ready
from tests.bench.report import FOLDER, keep

ROOT = Path(__file__).resolve().parents[2]
SMALL = "small"
GROUP = "bench"
MOST = {
    "parametric_100k_s": 10.0,
    "parametric_1m_s": 120.0,
    "cost_ratio": 1.3,
    "different_20k_s": 10.0,
    "kill_100k_s": 10.0,
    "client_peak_mib": 512.0,
    "server_peak_mib": 1024.0,
}
DIRAC = {"parametric_100k_s": "211–2,703", "different_20k_s": "42–541"}
LONG_S = 600.0
JOB = {
    "Executable": "boss_sim.sh",
    "Arguments": "jobOptions_sim.txt %s",
    "JobName": "sim_%n",
    "JobGroup": GROUP,
    "OutputSandbox": ["std.out", "std.err", "jpsi.rtraw"],
    "CPUTime": 86_400,
}
_LEFT = """SELECT count(*) FILTER (WHERE state = %(state)s AND job_group = %(group)s), count(*), max(job_id) - min(job_id) + 1
FROM job.jobs"""


@contextlib.contextmanager
def house() -> Iterator[int]:
    """All services in one process, while the block lasts; its id."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    told = os.environ | {"PILOTBUS_RATE_PER_S": "0", "PILOTBUS_DEVELOPMENT": "yes"}
    with (FOLDER / "bulk.log").open("wb") as said:
        command = [sys.executable, "-m", "deploy.main", "run"]
        process = subprocess.Popen(command, cwd=ROOT, env=told, stdout=subprocess.PIPE, stderr=said)
    try:
        ready(process)
        yield process.pid
    finally:
        end(process)


def peak_mib(process_id: int | str = "self") -> float:
    """The most memory that a process has had."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


def wait(client: Client, submission: str, count: int) -> None:
    """All of them wait, as events have said."""
    waiting, until_s = 0, time.monotonic() + LONG_S
    while waiting < count:
        assert time.monotonic() < until_s, f"{waiting} of {count} wait"
        for event in client.events():
            if event.subject == submission:
                waiting += sum(queue["count"] for queue in event.data["queues"])


def submit(client: Client, count: int, **asked: Any) -> dict[str, float]:
    """The seconds of each step, and of all, until the jobs wait."""
    submission, began_s = str(uuid.uuid4()), time.monotonic()
    stored = client.ask("bulk.submit.v1", {"submission": submission} | asked, within_s=LONG_S)
    assert stored["count"] == count
    stored_s = time.monotonic() - began_s
    told = {name: stored[name] for name in ("submission", "first_job_id", "count")}
    client.ask("bulk.confirm.v1", told, within_s=LONG_S)
    confirmed_s = time.monotonic() - began_s
    wait(client, submission, count)
    all_s = time.monotonic() - began_s
    return {"store_s": stored_s, "confirm_s": confirmed_s - stored_s, "schedule_s": all_s - confirmed_s, "all_s": all_s}


def parametric(client: Client, count: int) -> dict[str, float]:
    """Jobs of one template."""
    return submit(client, count, description=JOB | {"Parameters": count, "ParameterStart": 1001, "ParameterStep": 1})


def different(client: Client, told: Settings, count: int) -> dict[str, float]:
    """As many descriptions as jobs, from making them until all wait."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows"
        with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as rows:
            for number in range(count):
                own = {"Arguments": f"run {number}", "JobName": f"run_{number}", "CPUTime": 10_000 + 1_000 * (number % 100)}
                rows.write(json.dumps(JOB | own) + "\n")
        with path.open("rb") as file:
            ref = {"digest": hashlib.file_digest(file, "sha256").hexdigest(), "size_bytes": path.stat().st_size}
        grant = client.ask("sandbox.grant.v1", {"operation": "put"} | ref)
        upload(grant["url"], grant["headers"], path, told.ca_file)
    found = submit(client, count, dataref=ref | {"format": "jsonl"})
    return found | {"all_s": time.monotonic() - began_s}


def kill(client: Client, words: Words) -> float | None:
    """The seconds in which the group is killed; None where jobs can only be killed by their ids."""
    if "job_group" not in words.known["job.kill.v1"]["properties"]:
        return None
    began_s, answer = time.monotonic(), {"more": True, "after": 0}
    while answer.get("more"):  # so many at a time, if the reply says so
        answer = client.ask("job.kill.v1", {"job_group": GROUP, "after": answer["after"]}, within_s=LONG_S)
    return time.monotonic() - began_s


class Bench:
    """What is measured, and what is not as it should be."""

    def __init__(self, told: Settings, smaller: int) -> None:
        self.told, self.smaller = told, smaller
        self.figures: dict[str, float] = {}
        self.beside: dict[str, float] = {}
        self.faults: list[str] = []

    def run(self, database: psycopg.Connection[Any]) -> None:
        """All of it, each on empty tables and with services that have just started."""
        small, large, varied = (count // self.smaller for count in (100_000, 1_000_000, 20_000))
        with self.fresh(database) as client:
            self.take("parametric_100k_s", parametric(client, small))
            self.judge(database, "Waiting", small)
            if (seconds := kill(client, Words())) is not None:
                self.figures["kill_100k_s"] = seconds
                self.judge(database, "Killed", small)
        with self.fresh(database) as client:
            self.take("different_20k_s", different(client, self.told, varied))
            self.judge(database, "Waiting", varied)
        with self.fresh(database) as client:
            self.take("parametric_1m_s", parametric(client, large))
            self.judge(database, "Waiting", large)
        self.figures["cost_ratio"] = self.figures["parametric_1m_s"] / large / (self.figures["parametric_100k_s"] / small)
        self.figures["client_peak_mib"] = peak_mib()

    @contextlib.contextmanager
    def fresh(self, database: psycopg.Connection[Any]) -> Iterator[Client]:
        """Nobody's jobs are there, and a client that follows its own."""
        empty(database)
        with house() as server, Client(self.told.client_amqp_url, self.told.ca_file) as client:
            client.follow_own("bulk.waiting.v1.*")
            submit(client, 1, description={"Executable": "/bin/true"})  # so that nothing is done for the first time
            database.execute("DELETE FROM job.jobs")
            yield client
            self.figures["server_peak_mib"] = max(self.figures.get("server_peak_mib", 0.0), peak_mib(server))

    def take(self, name: str, seconds: dict[str, float]) -> None:
        """The figure, and its parts beside it."""
        self.figures[name] = seconds.pop("all_s")
        self.beside |= {f"{name.removesuffix('_s')}_{part}": value for part, value in seconds.items()}
        print(f"{name}: {self.figures[name]:.1f} s", flush=True)

    def judge(self, database: psycopg.Connection[Any], state: str, count: int) -> None:
        """There are these jobs, all in this state, with consecutive ids."""
        found = database.execute(_LEFT, {"state": state, "group": GROUP}).fetchone()
        if found != (count, count, count):
            self.faults.append(f"{count} jobs should be {state}; {state}, all, ids: {found}")


def met(bench: Bench) -> bool:
    """Whether every goal is."""
    return all(bench.figures[name] <= most for name, most in MOST.items() if name in bench.figures)


def show(bench: Bench) -> None:
    """Ours beside DIRAC's and the goals."""
    about = "DIRAC 9.1.22, MariaDB: 37–474 jobs/s, one by one"
    table = Table("figure", "ours", "DIRAC", "goal", "met", title="bulk", caption=about)
    for name, most in MOST.items():
        value = bench.figures.get(name)
        shown = "not measured" if value is None else f"{value:,.2f}"
        kept = "" if value is None else "yes" if value <= most else "no"
        table.add_row(name, shown, DIRAC.get(name, ""), f"≤ {most:,g}", kept)
    for name, value in bench.beside.items():
        table.add_row(f"[dim]{name}[/dim]", f"[dim]{value:,.2f}[/dim]")
    Console().print(table)
    for fault in bench.faults:
        print(f"FAULT: {fault}")


def main(words: list[str]) -> int:
    """Measures; see above for the exit code."""
    small, told = SMALL in words, settings()
    bench = Bench(told, 100 if small else 1)
    with psycopg.connect(told.dsn, autocommit=True) as database:
        migrate(database)
        try:
            bench.run(database)
        finally:
            empty(database)
    show(bench)
    if not small:
        keep("bulk", bench.figures)
    return 1 if bench.faults or not (small or met(bench)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
