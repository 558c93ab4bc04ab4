"""The services that the matcher's benches start, and what they, the broker and the database use."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika
import psycopg

from bus.apply import Words
from bus.discover import handlers
from bus.publisher import parameters
from bus.settings import Settings
from bus.topology import topology
from bus.transport import Transport
from tests.bench.crowd import broker
from tests.bench.pilot import processor_s
from tests.bench.report import FOLDER

ROOT = Path(__file__).resolve().parents[2]
# one machine says here what thousands do; and the crowd's account is one that no real house lets in
_TOLD = {"PILOTBUS_RATE_PER_S": "0", "PILOTBUS_DEVELOPMENT": "yes", "PILOTBUS_HTTP_BIND": ""}


def start(names: str, number: int = 0) -> subprocess.Popen[bytes]:
    """The services with these handlers are on their way; what they have to say is kept beside the figures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "deploy.main", "run", "--handlers", names]
    with (FOLDER / f"match-{names.replace(',', '-')}-{number}.log").open("wb") as said:
        return subprocess.Popen(command, cwd=ROOT, env=os.environ | _TOLD, stdout=subprocess.PIPE, stderr=said)


def ready(process: subprocess.Popen[bytes]) -> None:
    """Everything consumes."""
    if process.stdout is None or process.stdout.readline() != b"ready\n":
        raise AssertionError(f"the services did not start; see {FOLDER}/match-*.log")


def end(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """The process is over."""
    if process.poll() is None:
        process.send_signal(how)
    process.wait(timeout=120)
    if process.stdout is not None:
        process.stdout.close()


@contextlib.contextmanager
def services(*names: str) -> Iterator[list[int]]:
    """While the block lasts, a process for each of these sets of handlers is ready; gives their ids."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name in names:
            started.append(start(name))
        for process in started:
            ready(process)
        yield [process.pid for process in started]
    finally:
        for process in started:
            end(process)


def quiet(told: Settings) -> None:
    """Every queue of the house is there and empty."""
    words = Words()
    found = topology(handlers(known=words.known), words.known)
    with Transport(told.amqp_url, told.ca_file).closing() as transport:
        transport.declare(found)
    connection = pika.BlockingConnection(parameters(told.amqp_url, told.ca_file))
    channel = connection.channel()
    for queue in found.queues:
        channel.queue_purge(queue.name)
    connection.close()


def depth(told: Settings, queue: str) -> int:
    """How many messages wait in a queue for somebody to take them."""
    with Transport(told.amqp_url, told.ca_file).closing() as transport:
        return int(transport.depth(queue))


def resident_mib(process_id: int) -> float:
    """The memory that a process has now."""
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def broker_mib(told: Settings) -> float:
    """The memory that the broker has now."""
    return resident_mib(int(broker(told)["os_pid"]))


def database_processes(database: psycopg.Connection[Any]) -> list[int]:
    """The server's process and those below it."""
    (own,) = database.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    above = parents[own]
    return [above, *(child for child, parent in parents.items() if parent == above)]


def stopwatch(told: Settings, matchers: list[int]) -> Callable[[], dict[str, float]]:
    """Called later, it gives the processor seconds since now of matcher, broker and database."""
    with psycopg.connect(told.dsn) as database:
        server = database_processes(database)
    groups = {"matcher": matchers, "broker": [int(broker(told)["os_pid"])], "postgres": server}
    before = {number: _processor_s(number) for numbers in groups.values() for number in numbers}
    began_s = time.monotonic()

    def since() -> dict[str, float]:
        with psycopg.connect(told.dsn) as database:
            groups["postgres"] = database_processes(database)  # services connect when they first have something to do
        spent = {name: sum(max(0.0, _processor_s(n) - before.get(n, 0.0)) for n in numbers) for name, numbers in groups.items()}
        return spent | {"seconds": time.monotonic() - began_s}

    return since


def _processor_s(number: int) -> float:
    with contextlib.suppress(OSError):
        return processor_s(number)
    return 0.0
