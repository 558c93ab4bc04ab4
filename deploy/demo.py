"""Real jobs through the whole system, in one command: `make demo`. Exits 0 only if all is as expected."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy import local, stack
from deploy.foreground import EndedBySignal, ignore_signals, signals_raised
from deploy.process import StackError

NAME = "demo"
ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = Path(__file__).parent / "examples"
SITES = ("CLOUD.CNIC.cn", "LOCAL.laptop.org")
SWEEP = 100
talk = Console(stderr=True, highlight=False, soft_wrap=True)


class Unexpected(Exception):
    """The demo did not go as it must."""


def pilotbus(*words: str, expect: int = 0, shown: bool = False) -> str:
    """What `pilotbus WORDS` prints; its talk, such as a progress bar, is seen if `shown`.

    Raises Unexpected when its exit code is not the expected one.
    """
    command = [sys.executable, "-m", "deploy.main", *words]
    stderr = None if shown else subprocess.PIPE
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=stderr, check=False)
    if done.returncode != expect:
        raise Unexpected(f"`pilotbus {' '.join(words)}` exited {done.returncode}, not {expect}: {(done.stderr or '').strip()}")
    return done.stdout


def follow(job: str) -> str:
    """What `pilotbus logs -f` prints, seen line by line as it comes."""
    command = [sys.executable, "-m", "deploy.main", "logs", "-f", job]
    lines = []
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as followed:
        for line in followed.stdout or ():
            talk.print(f"           | {line}", end="", markup=False)
            lines.append(line)
    if followed.returncode:
        raise Unexpected(f"`pilotbus logs -f {job}` exited {followed.returncode}")
    return "".join(lines)


def status(*words: str) -> list[dict[str, Any]]:
    """`pilotbus status --json`."""
    found: list[dict[str, Any]] = json.loads(pilotbus("status", "--json", *words))
    return found


def step(text: str) -> None:
    """A line of the story, with the time."""
    talk.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {text}")


def check(*, holds: bool, claim: str) -> None:
    """The claim holds, and is said. Raises Unexpected when it does not."""
    if not holds:
        raise Unexpected(f"not so: {claim}")
    step(f"[green]✓[/green] {claim}")


def misspelt(outputs: Path) -> list[str]:
    """The job of the BESIII talk really fails, and its status says why."""
    job = pilotbus("submit", str(EXAMPLES / "besiii.jdl")).strip()
    step(f"submitted the job of the BESIII talk as {job}; its executable is misspelt")
    pilotbus("wait", job, "--timeout", "60", expect=1)
    (found,) = status(job)
    check(holds=found["state"] == "Failed" and found["site"] == SITES[0], claim=f"job {job} failed at {found.get('site')}")
    check(holds="/bin/lis" in found["application_status"], claim=f"its status says why: {found['application_status']}")
    return [job]


def good(outputs: Path) -> list[str]:
    """A good job runs; its lines are followed while it runs."""
    job = pilotbus("submit", str(EXAMPLES / "hello.yaml")).strip()
    step(f"submitted a good job as {job}; following its lines:")
    lines = follow(job)
    pilotbus("wait", job, "--timeout", "60")
    pilotbus("output", job, "--dir", str(outputs))
    written = (outputs / job / "std.out").read_text()
    check(
        holds=written.startswith("hello from "),
        claim=f"job {job} is done and its output came back: {written.splitlines()[0]}",
    )
    check(holds=written.splitlines()[0] in lines, claim="what was followed is what came back")
    return [job]


def sweep(outputs: Path) -> list[str]:
    """A hundred jobs compute pi; their mean is checked."""
    started = time.monotonic()
    jobs = pilotbus("submit", str(EXAMPLES / "pi.jdl")).strip()
    step(f"submitted a sweep of {SWEEP} jobs as {jobs}")
    pilotbus("wait", jobs, "--timeout", "300", shown=talk.is_terminal)
    took_s = time.monotonic() - started
    check(
        holds=len(status(jobs)) == SWEEP,
        claim=f"{SWEEP} jobs are done {took_s:.1f} s after submission ({SWEEP / took_s:.1f}/s)",
    )
    pilots = {job["pilot_id"] for job in status(jobs)}
    check(holds=len(pilots) >= 2, claim=f"{len(pilots)} pilots shared them")
    pilotbus("output", jobs, "--dir", str(outputs), shown=talk.is_terminal)
    first, _, last = jobs.partition("-")
    values = [float((outputs / str(job) / "pi.txt").read_text()) for job in range(int(first), int(last) + 1)]
    mean = sum(values) / len(values)
    # 20 million darts: the mean's standard deviation is 1.64 / sqrt(20e6) = 0.0004
    check(
        holds=len(values) == SWEEP and abs(mean - math.pi) < 0.002,
        claim=f"the mean of {len(values)} outputs is {mean:.5f}",
    )
    check(holds=len(set(values)) > SWEEP // 2, claim="the outputs differ, as their seeds do")
    return [jobs]


def play() -> None:
    """The whole demo on a stack that runs. Raises Unexpected at the first thing that is not as it must be."""
    with tempfile.TemporaryDirectory(prefix="pilotbus-demo-") as folder:
        jobs: list[str] = []
        acts: tuple[Callable[[Path], list[str]], ...] = (misspelt, good, sweep)
        for act in acts:
            jobs += act(Path(folder))
        table = pilotbus("status", *jobs)
    lines = table.splitlines()
    sys.stdout.write("\n".join([*lines[:8], f"… and {len(lines) - 8} more, all in the same way", ""]))
    check(holds=table.count("Done") >= SWEEP + 1 and "Failed" in table, claim="all is as expected")


def main() -> int:
    """Starts everything, plays, stops everything; also on failure and Ctrl-C."""
    started = time.monotonic()
    with signals_raised():
        try:
            settings = stack.start(NAME)
            os.environ.update({name: settings[name] for name in settings if name.startswith("PILOTBUS_C")})
            local.start_services(NAME, settings)
            for site in SITES:
                pilotbus("publish-event", "site.described.v1", json.dumps({"site": site, "status": "active"}))
                local.start_pilots(NAME, site, 1, ("--idle-limit", "600"))
            step(f"RabbitMQ, Postgres, the services and two pilots are up after {time.monotonic() - started:.1f} s")
            play()
        except EndedBySignal as ended:
            return 128 + ended.number
        except (StackError, Unexpected) as problem:
            talk.print(f"pilotbus demo: {problem}", style="red", markup=False)
            talk.print(f"the logs are in {local.directory_of(NAME)}")
            return 1
        finally:
            ignore_signals()
            local.stop_all(NAME)
    step(f"everything is stopped; {time.monotonic() - started:.1f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
