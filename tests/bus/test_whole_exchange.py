"""The two steps with the house's own service, from the command line and from Python; as soon as the house has one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import psycopg
import pytest

import pilotbus
from schemas import catalogue
from tests.bus.test_life_of_an_event import until
from tests.deploy.test_cli_bad_input import pilotbus as command
from tests.fix_stand import Stand
from tests.handlers.people import SITE

pytestmark = pytest.mark.skipif("bulk.submit.v1" not in catalogue(), reason="this house takes no lists yet")

NOWHERE = {"Executable": "/bin/echo", "MinRAM": 900_000}
KEY = "7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01"


def test_many_of_every_form_are_accepted_once(stand: Stand, db: psycopg.Connection[object], tmp_path: Path) -> None:
    db.execute(SITE)
    lines = "".join(json.dumps(NOWHERE | {"Arguments": f"{n}"}) + "\n" for n in range(2000))
    (tmp_path / "many.jsonl").write_text(lines)
    (tmp_path / "t.jdl").write_text('Executable = "/bin/echo"; Arguments = "%(A)s"; MinRAM = 900000;')
    (tmp_path / "rows.csv").write_text("A\n" + "".join(f"{n}\n" for n in range(1500)))
    (tmp_path / "sweep.jdl").write_text('Executable = "/bin/echo"; Arguments = "%s"; MinRAM = 900000; Parameters = 5000;')
    forms = {("many.jsonl", "--key", KEY): 2000, ("t.jdl", "--table", "rows.csv"): 1500, ("sweep.jdl",): 5000}
    for words, count in forms.items():
        done = command(tmp_path, stand.told(), "submit", *words, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["count"] == count
    repeated = command(tmp_path, stand.told(), "submit", "many.jsonl", "--key", KEY)
    assert repeated.stdout == "1-2000\n", repeated.stderr
    (tmp_path / "many.jsonl").write_text(lines + json.dumps(NOWHERE) + "\n")
    other = command(tmp_path, stand.told(), "submit", "many.jsonl", "--key", KEY)
    assert (other.returncode, other.stdout) == (7, ""), other.stderr
    until(lambda: db.execute("SELECT state, count(*) FROM job.jobs GROUP BY state").fetchall() == [("Waiting", 8500)], 100)

    with stand.session() as bus:
        assert bus.counts(range(1, 8501)) == Counter(Waiting=8500)
        assert bus.kill(range(1, 301))["counts"] == {"killed": 300, "requested": 0, "acknowledged": 0, "already": 0, "refused": 0}
        assert bus.wait(range(1, 301), 60) == {"Killed": 300}
        again = bus.bulk(NOWHERE | {"Arguments": str(n)} for n in range(50))
        assert again.job_ids == range(8501, 8551)
        with pytest.raises(pilotbus.Refused, match=r"(?i)site"):
            bus.bulk([NOWHERE, NOWHERE | {"Site": "CLOUD.CNIC.ch"}])


def test_what_is_wrong_for_the_bus_is_one_sentence(stand: Stand, db: psycopg.Connection[object], tmp_path: Path) -> None:
    db.execute(SITE)
    (tmp_path / "a.jdl").write_text('Executable = "x"; Parameters = 2000; NumberOfProcessors = 512;')
    done = command(tmp_path, stand.told(), "submit", "a.jdl")
    assert (done.returncode, done.stdout) == (2, "")
    assert "512" in done.stderr.splitlines()[-1]
    assert command(tmp_path, stand.told(), "submit", "a.jdl", "--owner-group", "nobodys").returncode == 4
