"""register_pilot: the first word of a pilot says which one it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilot import VERSION
from pilot.command import Pilot
from pilot.commands.register_pilot import measure, run
from pilot.config import configure


def test_a_pilot_says_its_version_and_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert measure()["version"] == VERSION
    run(Pilot(configure([], {}), None, tmp_path))
    assert "booted" in capsys.readouterr().err
