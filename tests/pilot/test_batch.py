"""batch: each system's own answer becomes numbers; by its own commands on this node, and by nothing where it does not answer."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from pilot import batch
from pilot.batch import htcondor, lsf, oar, sge, slurm, torque, units
from pilot.remaining import Remaining

ANSWERS = Path(__file__).parent / "batch_answers"
HOUR_S = 3600
NOW_S = time.mktime((2026, 11, 21, 4, 0, 0, 0, 0, -1))  # an hour after the jobs in these answers have begun
CONDOR_NOW_S = 1795230010 + HOUR_S
DAY_BUT_AN_HOUR_S = 23 * HOUR_S

# the system, its environment, its commands' answers, and what these say
CASES: dict[str, tuple[Any, dict[str, str], dict[str, str], dict[str, Any]]] = {
    "slurm": (
        slurm,
        {"SLURM_JOB_ID": "4711", "SLURM_CPUS_ON_NODE": "4", "SLURM_JOB_GPUS": "0,1"},
        {"job": "scontrol.txt", "left": "squeue.txt"},
        {"queue": "long", "processors": 4, "memory_mb": 8192, "gpus": 2, "whole_node": True, "wall_limit_s": 86400},
    ),
    "slurm by squeue alone": (
        slurm,
        {"SLURM_JOBID": "4711", "SLURM_JOB_PARTITION": "long", "SLURM_CPUS_ON_NODE": "4", "SLURM_MEM_PER_CPU": "2048"},
        {"left": "squeue.txt"},
        {"queue": "long", "processors": 4, "memory_mb": 8192},
    ),
    "htcondor": (
        htcondor,
        {"_CONDOR_JOB_AD": str(ANSWERS / "condor_job.ad"), "_CONDOR_MACHINE_AD": str(ANSWERS / "condor_machine.ad")},
        {"job": "condor_job.ad", "machine": "condor_machine.ad"},
        {"queue": "group_bes.pilot", "processors": 4, "memory_mb": 8192, "gpus": 1},
    ),
    "torque": (
        torque,
        {"PBS_JOBID": "1.pbs"},
        {"job": "qstat_pbs.txt"},
        {"queue": "workq", "processors": 4, "memory_mb": 8192, "gpus": 1, "wall_limit_s": 86400, "cpu_left_s": 171000},
    ),
    "sge": (
        sge,
        {"JOB_ID": "21", "SGE_ROOT": "/sge", "SGE_TASK_ID": "undefined", "QUEUE": "long.q", "NSLOTS": "4"},
        {"job": "qstat_sge.txt"},
        {"queue": "long.q", "processors": 4, "memory_mb": 8192, "wall_limit_s": 86400, "cpu_left_s": 171000},
    ),
    "lsf": (
        lsf,
        {"LSB_JOBID": "109", "LSB_QUEUE": "long", "LSB_MCPU_HOSTS": "wn1 4"},
        {"job": "bjobs.txt"},
        {"queue": "long", "processors": 4, "wall_limit_s": 86400, "cpu_limit_s": 172800, "cpu_left_s": 171000},
    ),
    "oar": (
        oar,
        {"OAR_JOB_ID": "21"},
        {"job": "oarstat.txt", "nodes": "wn1\nwn1\nwn1\nwn1\n"},
        {"queue": "long", "processors": 4, "wall_limit_s": 86400},
    ),
}


def text(name: str) -> str:
    return (ANSWERS / name).read_text() if (ANSWERS / name).exists() else name


@pytest.mark.parametrize("case", CASES)
def test_an_answer_becomes_numbers(case: str) -> None:
    system, environment, answers, wanted = CASES[case]
    now_s = CONDOR_NOW_S if system is htcondor else NOW_S
    found = system.parse({name: text(file) for name, file in answers.items()}, environment, now_s)
    assert {name: found.get(name) for name in wanted} == wanted
    assert found["wall_left_s"] == DAY_BUT_AN_HOUR_S
    assert set(found) <= set(batch.SLOT)


@pytest.mark.parametrize("case", CASES)
def test_each_system_knows_its_own_jobs_and_no_others(case: str) -> None:
    system, environment, _, _ = CASES[case]
    assert batch.system(environment) is system
    assert [other for other in batch.SYSTEMS if other is not system and other.here(environment)] == []


@pytest.mark.parametrize("system", batch.SYSTEMS, ids=lambda system: str(system.NAME))
def test_an_answer_that_is_none_says_nothing_of_time(system: Any) -> None:
    for nothing in ({}, {"job": "error: can not connect\n"}, {"job": "\x00\xff = :\n\n", "left": "UNLIMITED"}):
        assert "wall_left_s" not in system.parse(nothing, {}, NOW_S)


def test_the_nearer_end_counts_the_jobs_own_or_the_queues() -> None:
    of_lsf = lsf.parse({"job": text("bjobs.txt"), "queue": text("bqueues.txt")}, {}, NOW_S)
    assert (of_lsf["wall_limit_s"], of_lsf["wall_left_s"]) == (72000, 72000 - HOUR_S)
    of_sge = sge.parse({"job": text("qstat_sge.txt"), "queue": text("qconf_sge.txt")}, {}, NOW_S)
    assert of_sge["wall_limit_s"] == 80000


def test_openlavas_own_answer_is_understood() -> None:
    now_s = time.mktime((2026, 11, 21, 3, 44, 10, 0, 0, -1))
    assert lsf.parse({"job": text("openlava.txt")}, {}, now_s) == {"wall_limit_s": 600, "wall_left_s": 300}


def test_a_start_of_last_year_is_not_taken_for_one_to_come() -> None:
    after_midnight_s = time.mktime((2027, 1, 1, 0, 30, 0, 0, 0, -1))
    job = text("bjobs.txt").replace("Sat Nov 21 03:00:00: Started", "Thu Dec 31 23:30:00: Started")
    assert lsf.parse({"job": job}, {}, after_midnight_s)["wall_left_s"] == DAY_BUT_AN_HOUR_S


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("1-02:03:04", 93784), ("1:02:03:04", 93784), ("02:03:04", 7384), ("3:04", 184), ("86400", 86400), ("UNLIMITED", None),
     ("INFINITY", None), ("", None), ("Partition_Limit", None)],
)  # fmt: skip
def test_durations_are_read_as_they_are_written(written: str, seconds: int | None) -> None:
    assert units.seconds(written) == seconds


@pytest.mark.parametrize(("written", "mb"), [("8gb", 8192), ("2G", 2048), ("512000kb", 500), ("7.5G", 7680), ("-", None)])
def test_sizes_are_read_as_they_are_written(written: str, mb: int | None) -> None:
    assert units.megabytes(written) == mb


def play(folder: Path, **files: str) -> None:
    """Commands of these names answer with these files, when asked for the job."""
    for name, file in files.items():
        (folder / name).write_text(f"#!/bin/sh\nexec cat {ANSWERS / file}\n")
        (folder / name).chmod(0o755)


def test_the_slot_is_asked_of_the_systems_own_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(tmp_path, scontrol="scontrol.txt", squeue="squeue.txt")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    slot = batch.slot({"SLURM_JOB_ID": "4711"})
    assert (slot["system"], slot["job"], slot["wall_left_s"]) == ("SLURM", "4711", DAY_BUT_AN_HOUR_S)
    assert batch.seconds_left(slot) == DAY_BUT_AN_HOUR_S
    assert batch.slot({}) == {}


@pytest.mark.parametrize("behaviour", ["exit 1", "echo nonsense", "kill -9 $$"])
def test_a_command_that_does_not_answer_leaves_the_end_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    for name in ("scontrol", "squeue"):
        (tmp_path / name).write_text(f"#!/bin/sh\n{behaviour}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert batch.seconds_left(batch.slot({"SLURM_JOB_ID": "4711"})) is None


def test_processor_time_ends_a_slot_too() -> None:
    assert batch.seconds_left({"wall_left_s": 1000, "cpu_left_s": 2000, "processors": 4}) == 500
    assert batch.seconds_left({"cpu_left_s": 0}) == 0
    assert batch.seconds_left({}) is None


def test_what_is_left_is_measured_anew_while_it_is_asked_for() -> None:
    remaining = Remaining()
    assert remaining.seconds() is None
    answers = iter([500.0, None])
    asked: list[float | None] = []

    def again() -> float | None:
        asked.append(next(answers, None))
        return asked[-1]

    remaining.tell(1000.0, again, again_s=0.01)
    end_s = time.monotonic() + 10
    while len(asked) < 2:
        assert time.monotonic() < end_s
        assert (remaining.seconds() or 0) > 400
        time.sleep(0.02)
    left_s = remaining.seconds()
    assert left_s is not None
    assert 400 < left_s <= 500, "an answer that is none takes back nothing"
