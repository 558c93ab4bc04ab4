"""The wrapper and its zip run where pilots are: as nobody in particular, without an environment, from a file or a pipe."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from deploy.pilot_wrapper import ReleaseKey, wrap
from tests.bench.pilot_start import measure_start
from tests.pilot.test_zip import interpreter

STRANGER = 54321  # a user that no file of this machine knows
CHECK = ("--plan", "check", "--site", "LCG.Test.org")


@pytest.fixture(scope="module")
def script(pilot_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wrapper that all may read, as a batch system's spool has it."""
    folder = tmp_path_factory.mktemp("wrapper")
    path = folder / "wrapper"
    path.write_text(wrap(pilot_zip.read_bytes(), ReleaseKey(folder / "release"), addresses={}))
    path.chmod(0o755)
    return path


@pytest.fixture(params=["3.9", "3.13"])
def python(request: pytest.FixtureRequest) -> str:
    found = interpreter(request.param)
    if not found:
        pytest.skip(f"no Python {request.param} is installed; name one in PILOTBUS_PYTHON_{request.param.replace('.', '_')}")
    return found


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that a stranger may write, reached by folders that all may enter."""
    path = Path("/tmp") / f"pilotbus-anywhere-{os.getpid()}"
    path.mkdir(mode=0o777)
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def as_stranger(command: Sequence[str], place: Path, feed: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What came of it with an empty environment; without rights where this test has any to give away."""
    lower = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"] if os.getuid() == 0 else []
    with (feed or Path(os.devnull)).open("rb") as source:
        return subprocess.run(
            [*lower, "/usr/bin/env", "-i", *command],
            cwd=place,
            stdin=source,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def reachable(python: str) -> str:
    """This Python, when a stranger may reach it."""
    path = Path(os.path.realpath(python))
    if os.getuid() == 0 and not all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents):
        pytest.skip(f"{path} is in a folder that only its owner may enter")
    return str(path)


def described(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    assert found["Site"] == "LCG.Test.org"
    assert "Traceback" not in done.stderr
    return found


def test_the_zip_describes_a_node_for_a_stranger_without_an_environment(python: str, pilot_zip: Path, place: Path) -> None:
    archive = place / "pilot.pyz"
    shutil.copy(pilot_zip, archive)
    described(as_stranger([reachable(python), "-I", str(archive), *CHECK], place))
    figures = measure_start(archive, python)
    print(f"{python}: {figures['zip_kib']} KiB, starts in {figures['start_ms']} ms")
    assert figures["zip_kib"] < 400


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_wrapper_runs_for_a_stranger_from_a_file(script: Path, place: Path, shell: str) -> None:
    shutil.copy(script, place / "wrapper")
    described(as_stranger([f"/bin/{shell}", str(place / "wrapper"), *CHECK], place))
    assert [path.name for path in place.iterdir()] == ["wrapper"]


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_wrapper_runs_from_a_login_that_reads_it(script: Path, place: Path, shell: str) -> None:
    described(as_stranger([f"/bin/{shell}", "-s", "--", *CHECK], place, feed=script))


def test_the_wrapper_runs_as_a_vms_user_data(script: Path, tmp_path: Path) -> None:
    """From the root directory, with nothing in its environment and an empty path."""
    done = subprocess.run([str(script), *CHECK], cwd="/", env={"PATH": ""}, capture_output=True, text=True, check=False)
    described(done)
    assert list(tmp_path.iterdir()) == []


def test_the_wrapper_takes_the_python_that_it_is_told(script: Path, place: Path) -> None:
    told = place / "python"
    told.write_text('#!/bin/sh\necho "it is me" >&2\nexec python3 "$@"\n')
    told.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "PILOTBUS_PYTHON": str(told)}
    done = subprocess.run(["dash", str(script), *CHECK], cwd=place, env=environment, capture_output=True, text=True, check=False)
    described(done)
    assert "it is me" in done.stderr


def test_a_python_that_is_too_old_or_broken_is_passed_over(script: Path, place: Path) -> None:
    for name, text in (("python3", "exit 1"), ("python3.14", "kill -9 $$"), ("python3.13", f'exec {sys.executable} "$@"')):
        (place / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / name).chmod(0o755)
    environment = {"PATH": f"{place}:{os.environ['PATH']}"}
    done = subprocess.run(["dash", str(script), *CHECK], cwd=place, env=environment, capture_output=True, text=True, check=False)
    described(done)
