"""asking: what is taken back and what was given meanwhile, with services that are slower than any real ones."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pilot.conftest import Start
from tests.pilot.counterpart import Services, Store
from tests.pilot.jobs import Jobs
from tests.pilot.test_life import last, states


@pytest.fixture
def jobs(services: Services, store: Store) -> Iterator[Jobs]:
    """The first job is given at once, a second waits until the test gives it."""
    yield Jobs(services, store)


def blocked(jobs: Jobs, tmp_path: Path) -> int:
    """A job that ends when the file is there."""
    return jobs.add("/bin/sh", f"-c 'while [ ! -e {tmp_path}/go ]; do sleep 0.1; done'")


def asked(services: Services, kind: str) -> list[Any]:
    """What was asked of this kind."""
    return services.of(kind)


def given(jobs: Jobs, services: Services) -> dict[str, Any]:
    """A job to answer with by hand."""
    services.answers["match.request.v1"] = lambda _: None
    jobs.last_id += 1
    description = {"Executable": "/bin/echo", "Arguments": "hi", "CPUTime": 1000}
    return {"job_id": jobs.last_id, "attempt": 1, "owner": "ada", "vo": "lhcb", "description": description}


def test_nothing_new_is_asked_before_the_old_request_is_taken_back(
    jobs: Jobs, services: Services, start: Start, tmp_path: Path
) -> None:
    first = blocked(jobs, tmp_path)
    start("--pool", "--processors", "2", "--max-ram", "2000", "--isolation", "none")
    services.until(lambda: len(asked(services, "match.request.v1")) == 2)
    assert asked(services, "match.request.v1")[1]["resource"]["NumberOfProcessors"] == 1
    (tmp_path / "go").touch()
    taken_back = services.until(lambda: asked(services, "match.withdraw.v1"))[0]
    assert taken_back["request_id"] == asked(services, "match.request.v1")[1]["request_id"]
    assert last(services, first)["state"] == "Done"
    with pytest.raises(AssertionError, match="not within"):
        services.until(lambda: len(asked(services, "match.request.v1")) == 3, 2)
    services.release("match.withdraw.v1", {"withdrawn": True})
    services.until(lambda: len(asked(services, "match.request.v1")) == 3)
    assert asked(services, "match.request.v1")[2]["resource"]["NumberOfProcessors"] == 2


def test_a_job_that_was_given_before_the_request_was_taken_back_is_run(
    jobs: Jobs, services: Services, start: Start, tmp_path: Path
) -> None:
    blocked(jobs, tmp_path)
    start("--pool", "--processors", "2", "--isolation", "none")
    services.until(lambda: len(asked(services, "match.request.v1")) == 2)
    job = given(jobs, services)
    (tmp_path / "go").touch()
    services.until(lambda: asked(services, "match.withdraw.v1"))
    services.release("match.withdraw.v1", {"withdrawn": False})
    with pytest.raises(AssertionError, match="not within"):
        services.until(lambda: len(asked(services, "match.request.v1")) == 3, 2)
    services.release("match.request.v1", {"job": job})
    assert last(services, job["job_id"])["state"] == "Done"
    services.until(lambda: len(asked(services, "match.request.v1")) == 3)


def test_a_pilot_that_leaves_takes_its_request_back_and_runs_what_was_faster(
    jobs: Jobs, services: Services, start: Start
) -> None:
    job = given(jobs, services)
    pilot = start("--isolation", "none")
    services.until(lambda: asked(services, "match.request.v1"))
    pilot.send_signal(signal.SIGTERM)
    services.until(lambda: asked(services, "match.withdraw.v1"))
    services.release("match.request.v1", {"job": job})
    assert last(services, job["job_id"])["state"] == "Done"
    assert pilot.wait(30) == 0
    assert len(asked(services, "match.request.v1")) == 1


def test_a_pilot_leaves_though_nobody_takes_its_request_back(jobs: Jobs, services: Services, start: Start) -> None:
    given(jobs, services)
    pilot = start("--isolation", "none")
    services.until(lambda: asked(services, "match.request.v1"))
    pilot.send_signal(signal.SIGTERM)
    assert pilot.wait(30) == 0
    assert services.of("pilot.reported.v1")[-1]["details"] == {"reason": "signal", "jobs": 0}


def test_a_job_that_comes_when_the_pilot_leaves_at_once_is_left_to_others(
    jobs: Jobs, services: Services, start: Start, tmp_path: Path
) -> None:
    running = blocked(jobs, tmp_path)
    pilot = start("--pool", "--processors", "2", "--isolation", "none")
    services.until(lambda: len(asked(services, "match.request.v1")) == 2)
    services.until(lambda: states(services, running)[-1:] == [("Running", "Application")])
    job = given(jobs, services)
    services.until(lambda: any(request["type"] == "pilot.listen.v1" for request, _ in services.parked))
    services.release("pilot.listen.v1", {"orders": [{"number": 1, "order": "stop"}]})
    services.until(lambda: asked(services, "match.withdraw.v1"))
    services.release("match.request.v1", {"job": job})
    assert last(services, running)["minor_status"] == "Received Kill signal"
    assert pilot.wait(30) == 7
    assert states(services, job["job_id"]) == []
