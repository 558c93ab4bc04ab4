"""Canaries in a payload: what it prints, what the pilot prints, and what it can see of its pilot."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.house.test_no_secret_leaks import SONG, silent
from tests.pilot.conftest import Start
from tests.pilot.counterpart import Services, Store
from tests.pilot.jobs import Jobs
from tests.pilot.test_life import last, text_of


@pytest.fixture
def jobs(services: Services, store: Store) -> Iterator[Jobs]:
    """Jobs for the pilot."""
    yield Jobs(services, store)


@pytest.mark.parametrize("level", ["auto", "none"])
def test_a_payload_that_prints_secrets_leaks_none_and_finds_none(jobs: Jobs, start: Start, vhost: Any, level: str) -> None:
    url = vhost.pilot("p1")
    token = url.split(":")[2].split("@")[0]
    look = f"printf '%s\\n' {shlex.quote(SONG)}; env; tr '\\0' '\\n' < /proc/$PPID/cmdline; cat /proc/$PPID/environ; echo over"
    job = jobs.add("/bin/sh", f"-c {shlex.quote(look)}")
    pilot = start("--max-jobs", "1", "--isolation", level, url=url)
    assert last(jobs.services, job)["state"] == "Done"
    _, printed = pilot.communicate(timeout=60)
    lines = "\n".join(text_of(jobs.services, job, "std.out"))
    assert lines.endswith("over")
    silent(lines)
    silent(printed)
    assert token not in lines + printed
    assert "PILOTBUS_PILOT_AMQP_URL" not in lines, "nothing of the pilot's own environment"
