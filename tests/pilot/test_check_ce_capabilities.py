"""check_ce_capabilities: the batch system tells the slot, and what is to be offered beyond it stops the pilot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pilot.command import Pilot, Stop
from pilot.commands.check_ce_capabilities import judge, measure, run
from pilot.commands.check_wn_capabilities import measure as node
from pilot.config import configure
from tests.pilot.test_batch import DAY_BUT_AN_HOUR_S, play

SLOT = {"system": "SLURM", "processors": 4, "memory_mb": 8192, "wall_left_s": 3600}


def test_each_thing_that_is_offered_and_not_there_is_one_sentence() -> None:
    config = configure(["--processors", "8", "--max-ram", "8192", "--cpu-time", "7200"], {})
    assert judge(SLOT, config) == [
        "processors of the slot is 4 by SLURM, and 8 is to be offered",
        "wall_left_s of the slot is 3600 by SLURM, and 7200 is to be offered",
    ]
    assert judge({"system": "OAR"}, config) == [], "what the system does not say is believed"
    assert judge(SLOT, configure([], {})) == []


def test_a_slot_gives_its_facts_its_end_and_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(tmp_path, scontrol="scontrol.txt", squeue="squeue.txt")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "4711", "SLURM_CPUS_ON_NODE": "1"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    pilot = Pilot(configure([], {}), None, tmp_path)
    run(pilot)
    assert pilot.facts["slot"]["system"] == "SLURM"
    left_s = pilot.seconds_left()
    assert left_s is not None
    assert DAY_BUT_AN_HOUR_S - 60 < left_s <= DAY_BUT_AN_HOUR_S
    assert node(tmp_path, (), pilot.facts["slot"])["processors"] == 1
    with pytest.raises(Stop, match="2 is to be offered"):
        run(Pilot(configure(["--processors", "2"], {}), None, tmp_path))


def test_outside_of_any_batch_system_nothing_is_said(tmp_path: Path) -> None:
    pilot = Pilot(configure([], {}), None, tmp_path)
    pilot.facts.clear()
    assert measure({}) == {}
    assert pilot.seconds_left() is None
