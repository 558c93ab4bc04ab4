"""The zip: one file, the same bytes each time, running under the oldest Python that is promised and under this one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.pilot_zip import build
from pilot import VERSION

ROOT = Path(__file__).resolve().parents[2]


def interpreter(version: str) -> str:
    """A Python of this version: as the environment, `make setup`, the path or pyenv has it; "" when there is none."""
    named = os.environ.get(f"PILOTBUS_PYTHON_{version.replace('.', '_')}")
    unpacked = ROOT / ".run" / "pythons" / version / "usr" / "bin" / f"python{version}"
    kept = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python"))
    for found in (named, str(unpacked), shutil.which(f"python{version}"), *map(str, kept)):
        if (
            found
            and Path(found).exists()
            and subprocess.run([found, "-V"], capture_output=True, text=True, check=False).stdout.startswith(f"Python {version}.")
        ):
            return found
    return ""


@pytest.fixture(params=["3.9", "3.13", "this one"])
def python(request: pytest.FixtureRequest) -> str:
    found = sys.executable if request.param == "this one" else interpreter(request.param)
    if not found:
        pytest.skip(f"no Python {request.param} is installed; name one in PILOTBUS_PYTHON_{request.param.replace('.', '_')}")
    return found


def run(python: str, archive: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"]} | environment
    return subprocess.run(
        [python, "-I", str(archive), *flags], env=clean, capture_output=True, text=True, check=False, timeout=60
    )


def test_it_says_its_version_and_its_flags(python: str, pilot_zip: Path) -> None:
    assert run(python, pilot_zip, "--version").stdout == f"pilotbus pilot {VERSION}\n"
    assert "--idle-limit" in run(python, pilot_zip, "--help").stdout


def test_it_checks_and_describes_a_node_without_a_broker(python: str, pilot_zip: Path, tmp_path: Path) -> None:
    done = run(python, pilot_zip, "--plan", "check", "--site", "LCG.Test.org", "--workdir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Site"] == "LCG.Test.org"
    assert "checked" in done.stderr


def test_its_version_is_the_distributions() -> None:
    assert f'version = "{VERSION}"' in (ROOT / "pyproject.toml").read_text()


def test_a_second_build_has_the_same_bytes(pilot_zip: Path, tmp_path: Path) -> None:
    build(tmp_path / "again.pyz")
    assert (tmp_path / "again.pyz").read_bytes() == pilot_zip.read_bytes()


def test_it_is_small_and_carries_the_licence_of_what_it_carries(pilot_zip: Path) -> None:
    assert pilot_zip.stat().st_size < 400_000
    assert os.access(pilot_zip, os.X_OK)
    names = zipfile.ZipFile(pilot_zip).namelist()
    assert any(name.startswith("pika-") and "LICENSE" in name for name in names)
    assert "schemas/events/job/reported.v1.json" in names
    assert not [name for name in names if name.startswith(("bus/", "handlers/", "schemas/tables")) or "job/submit" in name]


def test_a_second_transport_costs_little(pilot_zip: Path) -> None:
    entries = zipfile.ZipFile(pilot_zip).infolist()
    own = sum(entry.compress_size for entry in entries if entry.filename in ("pilot/wire/stomp.py", "pilot/wire/frames.py"))
    print(f"the zip has {pilot_zip.stat().st_size} bytes, {own} of them for STOMP")
    assert 0 < own < 8_000


def test_an_extension_adds_a_command_and_never_replaces_one(tmp_path: Path) -> None:
    folder = tmp_path / "lhcb" / "pilot" / "commands"
    folder.mkdir(parents=True)
    (folder / "lhcb_setup.py").write_text('"""Says hello."""\nSAYS = ()\n\n\ndef run(pilot):\n    pilot.log("hello from lhcb")\n')
    build(tmp_path / "pilot.pyz", [tmp_path / "lhcb"])
    done = run(sys.executable, tmp_path / "pilot.pyz", "--plan", "lhcb_setup")
    assert (done.returncode, "hello from lhcb" in done.stderr) == (0, True)
    (folder / "launch_agent.py").write_text("SAYS = ()\n")
    with pytest.raises(LookupError, match=r"launch_agent\.py is already taken"):
        build(tmp_path / "pilot.pyz", [tmp_path / "lhcb"])


EXTENSION = ROOT / "tests" / "example_extension"


def test_the_example_extension_brings_its_command_and_its_plan(tmp_path: Path) -> None:
    build(tmp_path / "pilot.pyz", [EXTENSION])
    done = run(sys.executable, tmp_path / "pilot.pyz", "--plan", "example", "--workdir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Example_ready" in json.loads(done.stdout)["Tag"]
    listed = run(sys.executable, tmp_path / "pilot.pyz", "--list-commands").stdout
    assert "example_setup                Offer a tag" in listed
    assert "example                      check_worker_node, " in listed


@pytest.mark.parametrize(
    ("plans", "reason"),
    [
        ('[{"plan": "default", "commands": ["launch_agent"]}]', "plan default is already taken"),
        ('[{"plan": "own", "commands": ["own_setup"]}]', "plan own names own_setup, and there is no such command"),
        ('[{"plan": "own", "nonsense": 1}]', "does not know 'nonsense'"),
        ('{"plan": "own"}', "wants a list of plans"),
        ("[", "is not JSON"),
    ],
)
def test_a_plan_of_an_extension_that_can_not_be_is_said_when_the_zip_is_built(tmp_path: Path, plans: str, reason: str) -> None:
    (tmp_path / "own" / "pilot").mkdir(parents=True)
    (tmp_path / "own" / "pilot" / "plans.json").write_text(plans)
    with pytest.raises(LookupError, match=reason):
        build(tmp_path / "pilot.pyz", [tmp_path / "own"])


def test_a_community_changes_a_plan_by_its_configuration(pilot_zip: Path, tmp_path: Path) -> None:
    changes = [{"plan": "check", "without": ["configure_cpu_requirements"]}]
    (tmp_path / "pilot.json").write_text(json.dumps({"by_vo": {"bes": {"plans": changes}}}))
    for vo, measured in (("bes", False), ("juno", True)):
        flags = ("--plan", "check", "--vo", vo, "--config", str(tmp_path / "pilot.json"), "--workdir", str(tmp_path))
        done = run(sys.executable, pilot_zip, *flags)
        assert ("PilotBenchmark" in json.loads(done.stdout)) is measured


def test_a_command_that_fails_stops_the_pilot_unless_its_plan_says_otherwise(tmp_path: Path) -> None:
    folder = tmp_path / "own" / "pilot" / "commands"
    folder.mkdir(parents=True)
    (folder / "own_stop.py").write_text("from pilot.command import Stop\nSAYS = ()\ndef run(pilot):\n    raise Stop('no disk')\n")
    (folder / "own_bug.py").write_text("SAYS = ()\ndef run(pilot):\n    pilot.facts['none']\n")
    build(tmp_path / "pilot.pyz", [tmp_path / "own"])
    stopped = run(sys.executable, tmp_path / "pilot.pyz", "--plan", "own_stop,configure_site")
    assert stopped.returncode == 3
    assert 'command_failed command=own_stop reason="no disk" goes_on=false' in stopped.stderr
    assert 'leaving reason="failed: own_stop: no disk"' in stopped.stderr
    broken = run(sys.executable, tmp_path / "pilot.pyz", "--plan", "own_bug,configure_site")
    assert broken.returncode == 1
    assert "command=own_bug reason=\"KeyError: 'none'\" goes_on=false" in broken.stderr
    assert "Traceback" in broken.stderr
    going_on = run(sys.executable, tmp_path / "pilot.pyz", "--plan", "own_stop?,own_bug?,configure_site")
    assert going_on.returncode == 0
    assert going_on.stderr.count("goes_on=true") == 2
    assert 'leaving reason="plan ended"' in going_on.stderr


def test_a_command_that_says_an_unknown_event_stops_the_build(tmp_path: Path) -> None:
    folder = tmp_path / "ilc" / "pilot" / "commands"
    folder.mkdir(parents=True)
    (folder / "ilc_setup.py").write_text('SAYS = ("ilc.setup.v1",)\n')
    with pytest.raises(LookupError, match=r"no schema for ilc\.setup\.v1"):
        build(tmp_path / "pilot.pyz", [tmp_path / "ilc"])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "launch_agent needs a broker"),
        (("--plan", "nothing"), "no command 'nothing'"),
        (("--url", "amqps://pilot:secret@host/v"), "every user of this node can read"),
        (("--config", "/no/such/file"), "No such file"),
        (("--idle-limit", "-1"), "less than nothing"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(pilot_zip: Path, flags: tuple[str, ...], said: str) -> None:
    done = run(sys.executable, pilot_zip, *flags)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_an_unfit_node_is_exit_code_3(pilot_zip: Path, tmp_path: Path) -> None:
    (tmp_path / "pilot.json").write_text(json.dumps({"least": {"free_mb": 1 << 60}}))
    done = run(sys.executable, pilot_zip, "--plan", "check", "--config", str(tmp_path / "pilot.json"))
    assert done.returncode == 3
    assert "free_mb is" in done.stderr


def test_the_command_line_prints_size_and_digest(tmp_path: Path) -> None:
    target = tmp_path / "pilot.pyz"
    done = subprocess.run(
        [sys.executable, "-m", "deploy.pilot_zip", str(target)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert f"{target.stat().st_size} bytes sha256:" in done.stdout
