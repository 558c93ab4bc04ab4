"""The heart: no payload without a lease, none beyond it, and what it uses is said."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from pilot.heart import Heart, Lease, clock_s
from tests.pilot.conftest import Start
from tests.pilot.counterpart import Services, Store, leases
from tests.pilot.jobs import Jobs
from tests.pilot.test_life import last, phases, states

CLOCKING = "-c 'while :; do date +%s.%N > {0}.new && mv {0}.new {0}; sleep 0.02; done'"


@pytest.fixture
def jobs(services: Services, store: Store) -> Iterator[Jobs]:
    yield Jobs(services, store)


def beats(services: Services) -> list[dict[str, Any]]:
    return [job for beat in services.of("pilot.beat.v1") for job in beat["jobs"]]


def test_a_lease_holds_until_it_ends_and_what_is_over_stays_over() -> None:
    lease = Lease(1, 1)
    assert (lease.granted, lease.over) == (False, False)
    lease.give(clock_s() + 100)
    assert (lease.granted, lease.over) == (True, False)
    lease.give(clock_s() + 1)
    assert lease.left_s() > 50, "an older beat's answer takes nothing away"
    lease.lose()
    lease.give(clock_s() + 100)
    assert lease.over


class Speechless:
    """A pilot whose services answer each beat at once, and whose beats are kept."""

    pilot_id = "p1"

    def __init__(self, home: Path) -> None:
        self.home, self.beats, self.complaints = home, list[dict[str, Any]](), list[str]()

    def ask(self, _name: str, data: dict[str, Any], _again_after_s: float) -> Future[dict[str, Any]]:
        self.beats.append(data)
        reply: Future[dict[str, Any]] = Future()
        named = [{name: job[name] for name in ("job_id", "attempt")} for job in data["jobs"]]
        reply.set_result({"beat_s": 1, "leases": [{**job, "lease_s": 60} for job in named]})
        return reply

    def complain(self, text: str) -> None:
        self.complaints.append(text)


def test_a_job_that_can_not_be_measured_stops_no_heart(tmp_path: Path) -> None:
    def deep() -> dict[str, Any]:
        raise RecursionError

    pilot = Speechless(tmp_path)
    heart = Heart(pilot, lambda: None)
    with heart.hold(1, 1) as lease:
        assert heart.decided(lease, 10)
        lease.measure = deep
        with heart.hold(2, 1) as other:
            assert heart.decided(other, 10)
    assert pilot.complaints == []
    assert pilot.beats[-1]["number"] >= 2
    heart.stop()


def test_a_job_that_is_not_the_pilots_is_never_started(jobs: Jobs, services: Services, start: Start, tmp_path: Path) -> None:
    services.answers["pilot.beat.v1"] = lambda _beat: {"beat_s": 60, "leases": []}
    witness = tmp_path / "witness"
    jobs.add("/usr/bin/touch", str(witness))
    start("--max-jobs", "1", "--isolation", "none").wait(60)
    assert "lease_refused" in phases(services)
    assert services.of("job.reported.v1") == []
    assert not witness.exists()


def test_a_payload_waits_for_its_lease_which_a_slow_service_gives(jobs: Jobs, services: Services, start: Start) -> None:
    services.answers["pilot.beat.v1"] = lambda beat: None if beat["data"]["jobs"] else leases(beat)
    job = jobs.add("/bin/true")
    start("--max-jobs", "1")
    asked = services.until(lambda: [pair for pair in services.parked if pair[0]["type"] == "pilot.beat.v1"])
    assert states(services, job) == []
    request, reply_to = asked[0]
    services.reply(request, reply_to, leases(request))
    assert last(services, job)["state"] == "Done"


def test_whose_lease_ends_is_dead_by_then_and_says_nothing_more_of_it(
    jobs: Jobs, services: Services, start: Start, tmp_path: Path
) -> None:
    def once(beat: dict[str, Any]) -> dict[str, Any] | None:
        return None if services.of("job.reported.v1", minor_status="Application") else {**leases(beat, 3), "beat_s": 1}

    services.answers["pilot.beat.v1"] = once
    clock = tmp_path / "clock"
    job = jobs.add("/bin/sh", CLOCKING.format(clock))
    pilot = start("--max-jobs", "1", "--isolation", "none")
    services.until(lambda: "lease_over" in phases(services), 30)
    told_at = time.time()
    asked = [event for event in services.heard if event["type"] == "pilot.beat.v1" and event["data"]["jobs"]]
    assert told_at - float(clock.read_text()) < 5
    assert len(asked) >= 2
    assert states(services, job)[-1] == ("Running", "Application")
    assert pilot.wait(30) == 0


def test_a_lease_that_is_renewed_goes_on(jobs: Jobs, services: Services, start: Start) -> None:
    services.answers["pilot.beat.v1"] = lambda beat: {**leases(beat, 3), "beat_s": 1}
    job = jobs.add("/bin/sleep", "6")
    start("--max-jobs", "1")
    assert last(services, job)["state"] == "Done"
    assert len(beats(services)) >= 4


def test_a_job_that_was_taken_back_dies_at_the_next_beat(jobs: Jobs, services: Services, start: Start) -> None:
    gone: list[bool] = []
    services.answers["pilot.beat.v1"] = lambda beat: {"beat_s": 1, "leases": [] if gone else leases(beat)["leases"]}
    job = jobs.add("/bin/sleep", "1000")
    start("--max-jobs", "1")
    services.until(lambda: ("Running", "Application") in states(services, job))
    gone.append(True)
    services.until(lambda: "lease_over" in phases(services), 30)


def test_a_peek_is_a_beat_at_once_with_what_the_job_uses_and_its_last_lines(jobs: Jobs, services: Services, start: Start) -> None:
    job = jobs.add("/bin/sh", "-c 'for i in 1 2 3; do echo line $i; done; sleep 1000'")
    start("--max-jobs", "1")
    services.until(lambda: services.of("log.written.v1", job_id=job, stream="std.out"))
    orders = [{"number": 1, "order": "peek", "job_id": job, "attempt": 1, "valid_s": 60}]
    services.until(lambda: [pair for pair in services.parked if pair[0]["type"] == "pilot.listen.v1"])
    services.release("pilot.listen.v1", {"orders": orders})
    services.until(functools.partial(services.of, "pilot.obeyed.v1", number=1, outcome="taken"))
    told = beats(services)[-1]
    assert told["last_lines"] == ["line 1", "line 2", "line 3"]
    assert {"wall_s", "cpu_s"} <= told.keys()
    assert services.of("pilot.beat.v1")[-1]["free_disk_mb"] > 0
