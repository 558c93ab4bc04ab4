"""A pilot with a pool: several jobs at once, each with its share, in a whole house."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bus.test_life_of_an_event import until
from tests.faults.conftest import House

SLOW_S = 90.0
# says that it has begun, and with how many processors; ends when it may
BEGIN = "echo $OMP_NUM_THREADS $$ > {0}/new.$JOBID; mv {0}/new.$JOBID {0}/began.$JOBID"
SCRIPT = BEGIN + "; while [ ! -e {0}/go.$JOBID ]; do sleep 0.1; done"

Pool = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def pool(house_with_pilots: House) -> Pool:
    """Start pilot p1 with a pool of four processors."""
    house_with_pilots.site(beat_s=5, lease_s=60)
    return lambda *flags: house_with_pilots.pilot("p1", "--pool", "--processors", "4", *flags)


def submit(house: House, tmp_path: Path, count: int = 1, script: str = SCRIPT, **description: Any) -> list[int]:
    """So many jobs; their ids."""
    told = {"Executable": "/bin/sh", "Arguments": f"-c '{script.format(tmp_path)}'", "CPUTime": 1000, **description}
    told |= {"Parameters": count} if count > 1 else {}
    reply = house.client.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": told})
    return list(range(reply["first_job_id"], reply["first_job_id"] + count))


def began(tmp_path: Path, *job_ids: int) -> bool:
    return all((tmp_path / f"began.{job_id}").exists() for job_id in job_ids)


def processors_of(tmp_path: Path, job_id: int) -> int:
    return int((tmp_path / f"began.{job_id}").read_text().split()[0])


def let_go(tmp_path: Path, *job_ids: int) -> None:
    for job_id in job_ids:
        (tmp_path / f"go.{job_id}").touch()


def state(house: House, job_id: int) -> str:
    return house.state(job_id)[0]


def are(house: House, wanted: str, *job_ids: int) -> bool:
    return all(state(house, job_id) == wanted for job_id in job_ids)


def steps(house: House) -> list[Any]:
    """What the pilot has said, in the order in which it was said."""
    return sorted(house.events("pilot.reported.v1"), key=lambda said: said["number"])


def together(house: House) -> list[dict[int, dict[str, Any]]]:
    """The jobs that the pilot had at once, each with its share: a row for every change."""
    rows: list[dict[int, dict[str, Any]]] = [{}]
    for said in steps(house):
        if said["phase"] == "matched":
            rows.append({**rows[-1], said["job_id"]: said["details"]})
        elif said["phase"] == "payload_ended":
            rows.append({job_id: share for job_id, share in rows[-1].items() if job_id != said["job_id"]})
    return rows


def most(house: House, what: str) -> int:
    return max(sum(int(share[what]) for share in row.values()) for row in together(house))


def test_eight_jobs_of_one_processor_run_four_at_a_time(house_with_pilots: House, pool: Pool, tmp_path: Path) -> None:
    house, pilot = house_with_pilots, pool("--max-jobs", "8")
    jobs = submit(house, tmp_path, 8)
    until(lambda: began(tmp_path, *jobs[:4]), SLOW_S)
    assert not any(began(tmp_path, job_id) for job_id in jobs[4:])
    assert {processors_of(tmp_path, job_id) for job_id in jobs[:4]} == {1}
    let_go(tmp_path, jobs[2])
    until(lambda: began(tmp_path, jobs[4]), SLOW_S)
    assert not any(began(tmp_path, job_id) for job_id in jobs[5:])
    let_go(tmp_path, *jobs)
    assert pilot.wait(SLOW_S) == 0
    until(lambda: are(house, "Done", *jobs))
    assert max(map(len, together(house))) == 4
    assert steps(house)[-1]["details"] == {"reason": "max-jobs", "jobs": 8}


def test_a_job_for_the_whole_node_has_it_alone(house_with_pilots: House, pool: Pool, tmp_path: Path) -> None:
    house, pilot = house_with_pilots, pool("--tag", "WholeNode", "--max-jobs", "3")
    (small,) = submit(house, tmp_path)
    until(lambda: began(tmp_path, small), SLOW_S)
    (whole,) = submit(house, tmp_path, WholeNode=True)
    until(lambda: state(house, whole) == "Waiting")
    let_go(tmp_path, small)
    until(lambda: began(tmp_path, whole), SLOW_S)
    (later,) = submit(house, tmp_path)
    until(lambda: state(house, later) == "Waiting")
    assert processors_of(tmp_path, whole) == 4
    let_go(tmp_path, whole, later)
    assert pilot.wait(SLOW_S) == 0
    until(lambda: are(house, "Done", small, whole, later))
    assert all(len(row) == 1 for row in together(house) if whole in row)


def test_a_job_takes_what_is_free_up_to_its_most(house_with_pilots: House, pool: Pool, tmp_path: Path) -> None:
    house = house_with_pilots
    pool()
    (one,) = submit(house, tmp_path)
    until(lambda: began(tmp_path, one), SLOW_S)
    (several,) = submit(house, tmp_path, MinNumberOfProcessors=2, MaxNumberOfProcessors=4)
    until(lambda: began(tmp_path, several), SLOW_S)
    assert processors_of(tmp_path, several) == 3
    (four,) = submit(house, tmp_path, NumberOfProcessors=4)
    let_go(tmp_path, one, several)
    # the request that was out while one of them ran offered less: it must have been taken back
    until(lambda: began(tmp_path, four), SLOW_S)
    assert processors_of(tmp_path, four) == 4
    let_go(tmp_path, four)
    until(lambda: are(house, "Done", one, several, four), SLOW_S)
    assert house.rows("SELECT DISTINCT attempt FROM job.jobs") == [(1,)]
    assert house.rows("SELECT count(*) > 0 FROM match.withdrawals") == [(True,)]
    assert most(house, "processors") == 4


def test_jobs_stay_on_processors_of_their_own(house_with_pilots: House, tmp_path: Path) -> None:
    house, usable = house_with_pilots, sorted(os.sched_getaffinity(0))
    house.site(beat_s=5, lease_s=60)
    house.pilot("p1", "--pool", "--processors", str(len(usable)))
    jobs = submit(house, tmp_path, len(usable), "grep Cpus_allowed_list /proc/self/status > {0}/cpus.$JOBID; " + SCRIPT)
    until(lambda: began(tmp_path, *jobs), SLOW_S)
    let_go(tmp_path, *jobs)
    assert sorted(int((tmp_path / f"cpus.{job_id}").read_text().split()[1]) for job_id in jobs) == usable


def test_memory_is_given_once(house_with_pilots: House, pool: Pool, tmp_path: Path) -> None:
    house = house_with_pilots
    pool("--max-ram", "1000")
    (large,) = submit(house, tmp_path, MinRAM=800)
    until(lambda: began(tmp_path, large), SLOW_S)
    (second,) = submit(house, tmp_path, MinRAM=600)
    (plain,) = submit(house, tmp_path)  # its fair share is 250 MB
    until(lambda: are(house, "Waiting", second, plain))
    let_go(tmp_path, large)
    until(lambda: began(tmp_path, second, plain), SLOW_S)
    let_go(tmp_path, second, plain)
    until(lambda: are(house, "Done", large, second, plain), SLOW_S)
    assert [row for row in together(house) if large in row and len(row) > 1] == []
    assert most(house, "memory_mb") == 850


def test_what_ends_one_job_leaves_the_others(house_with_pilots: House, pool: Pool, tmp_path: Path) -> None:
    house, pilot = house_with_pilots, pool()
    (good,) = submit(house, tmp_path)
    until(lambda: began(tmp_path, good), SLOW_S)
    (killed,) = submit(house, tmp_path)
    until(lambda: began(tmp_path, killed), SLOW_S)
    house.client.ask("job.kill.v1", {"job_ids": [killed]})
    until(lambda: state(house, killed) == "Killed", SLOW_S)
    # a file where their folder has to be: the pilot itself fails on each of these
    bad = [killed + 1, killed + 2, killed + 3]
    for job_id in bad:
        (tmp_path / "p1" / f"job-{job_id}-1").touch()
    assert submit(house, tmp_path, 3) == bad
    until(lambda: are(house, "Failed", *bad), SLOW_S)
    assert house.rows("SELECT DISTINCT minor_status FROM job.jobs WHERE state = 'Failed'") == [("Exception During Execution",)]
    (waiting,) = submit(house, tmp_path)
    assert state(house, good) == "Running"
    let_go(tmp_path, good)
    assert pilot.wait(SLOW_S) == 3
    until(lambda: state(house, good) == "Done")
    assert state(house, waiting) == "Waiting", "three failures in a row are enough"
    assert "because of the pilot or its node" in steps(house)[-1]["details"]["reason"]


def test_one_signal_lets_all_jobs_finish_and_takes_no_more(house_with_pilots: House, pool: Pool, tmp_path: Path) -> None:
    house, pilot = house_with_pilots, pool()
    jobs = submit(house, tmp_path, 3)
    until(lambda: began(tmp_path, *jobs), SLOW_S)
    pilot.send_signal(signal.SIGTERM)
    until(lambda: house.rows("SELECT count(*) FROM match.withdrawals") == [(1,)], SLOW_S)
    (late,) = submit(house, tmp_path)
    let_go(tmp_path, jobs[0])
    until(lambda: state(house, jobs[0]) == "Done", SLOW_S)
    assert are(house, "Running", *jobs[1:])
    let_go(tmp_path, *jobs)
    assert pilot.wait(SLOW_S) == 0
    until(lambda: are(house, "Done", *jobs))
    assert state(house, late) == "Waiting"


def test_two_signals_end_all_jobs(house_with_pilots: House, pool: Pool, tmp_path: Path) -> None:
    house, pilot = house_with_pilots, pool()
    jobs = submit(house, tmp_path, 3)
    until(lambda: began(tmp_path, *jobs), SLOW_S)
    pilot.send_signal(signal.SIGTERM)
    until(lambda: house.rows("SELECT count(*) FROM match.withdrawals") == [(1,)], SLOW_S)
    time.sleep(0.3)  # what comes sooner is the same signal
    pilot.send_signal(signal.SIGTERM)
    assert pilot.wait(SLOW_S) == 7
    until(lambda: are(house, "Failed", *jobs))
    assert house.rows("SELECT DISTINCT minor_status FROM job.jobs") == [("Received Kill signal",)]


def test_a_pilot_that_is_killed_leaves_no_payload(house_with_pilots: House, pool: Pool, tmp_path: Path) -> None:
    house, pilot = house_with_pilots, pool()
    jobs = submit(house, tmp_path, 4)
    until(lambda: began(tmp_path, *jobs), SLOW_S)
    processes = [Path("/proc") / (tmp_path / f"began.{job_id}").read_text().split()[1] for job_id in jobs]
    assert all(process.exists() for process in processes)
    pilot.kill()
    pilot.wait()
    until(lambda: not any(process.exists() for process in processes))


def test_many_jobs_of_many_sizes_are_each_run_once_and_never_too_many(
    house_with_pilots: House, pool: Pool, tmp_path: Path
) -> None:
    """Each end takes a request back while the matcher may be answering it."""
    house = house_with_pilots
    jobs = []
    pool("--max-ram", "4000")
    for number in range(8):
        jobs += submit(house, tmp_path, 2, "sleep 0.{0}".replace("{0}", str(number % 3)))
        jobs += submit(house, tmp_path, script="true", NumberOfProcessors=2 + number % 3)
        jobs += submit(house, tmp_path, script="true", MinRAM=1000 * (1 + number % 3))
    until(lambda: are(house, "Done", *jobs), 3 * SLOW_S)
    assert house.rows("SELECT DISTINCT attempt FROM job.jobs") == [(1,)]
    assert house.rows("SELECT count(*) FROM bus.events WHERE type = 'job.match_expired.v1'") == [(0,)]
    assert most(house, "processors") <= 4
    assert most(house, "memory_mb") <= 4000
    assert len([said for said in steps(house) if said["phase"] == "matched"]) == len(jobs)
