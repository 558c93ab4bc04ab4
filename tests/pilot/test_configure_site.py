"""configure_site: enrolment says where the pilot is; a node that says otherwise stops it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilot.command import WRONG_CONFIG, Pilot, Stop
from pilot.commands.configure_site import judge, measure, run
from pilot.config import configure, settled


def test_names_come_from_enrolment(tmp_path: Path) -> None:
    config = settled(
        configure(["--ce", "ce1.ihep.ac.cn"], {"PBS_JOBID": "1"}), {}, site="GRID.JINR.ru", ce="ce1.ihep.ac.cn", vo=""
    )
    assert measure(config)["site"] == "GRID.JINR.ru"
    pilot = Pilot(config, None, tmp_path)
    run(pilot)
    assert pilot.facts["ce_type"] == "Torque"


def test_another_name_than_the_true_one_is_a_clash(tmp_path: Path) -> None:
    config = settled(configure(["--ce", "ce9.ihep.ac.cn"], {}), {}, site="GRID.JINR.ru", ce="ce1.ihep.ac.cn", vo="")
    assert judge(measure(config)) == ["the ce is ce9.ihep.ac.cn by the configuration, and ce1.ihep.ac.cn by enrolment"]
    with pytest.raises(Stop, match="by enrolment") as caught:
        run(Pilot(config, None, tmp_path))
    assert caught.value.code == WRONG_CONFIG
