"""isolation: what the node gives is tried, said and used; what it does not give is refused in one sentence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pilot import container
from pilot.config import WrongConfig, configure
from pilot.isolation import Isolation, NotGiven, detect
from tests.pilot.conftest import Start
from tests.pilot.counterpart import Services, Store
from tests.pilot.jobs import Jobs
from tests.pilot.test_life import last

pytestmark = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed; `make setup` does it for root")
# a node that lets nobody make namespaces any more
POOR = ["bwrap", "--dev-bind", "/", "/", "--unshare-user", "--disable-userns", "--"]


def poor(*flags: str, zipped: Path, workdir: Path) -> subprocess.CompletedProcess[str]:
    command = [*POOR, sys.executable, str(zipped), "--plan", "check", "--workdir", str(workdir), *flags]
    return subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False, timeout=60)


def test_a_job_is_told_apart_by_the_level_that_its_pilot_measured(
    services: Services, store: Store, start: Start, tmp_path: Path
) -> None:
    jobs = Jobs(services, store)
    job = jobs.add("/bin/echo", "hi")
    pilot = start("--isolation", "bubblewrap", "--max-jobs", "1")
    assert last(services, job)["state"] == "Done"
    assert pilot.wait(30) == 0
    (described,) = services.of("pilot.reported.v1", phase="described")
    (started,) = services.of("pilot.reported.v1", phase="payload_started")
    assert described["details"]["isolation"] == started["details"]["isolation"] == "bubblewrap"
    (running,) = [data for data in services.of("job.reported.v1") if "isolation" in data]
    assert (running["minor_status"], running["isolation"]) == ("Application", "bubblewrap")
    (request,) = services.of("match.request.v1")
    assert request["resource"]["Isolation"] == "bubblewrap"
    assert "Isolation_bubblewrap" in request["resource"]["Tag"]
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_demands_more_than_its_pilot_gives_is_not_run(
    services: Services, store: Store, start: Start, tmp_path: Path
) -> None:
    jobs = Jobs(services, store)
    weak = jobs.add("/bin/touch", str(tmp_path / "ran"), least_isolation="userns")
    enough = jobs.add("/bin/echo", "hi", least_isolation="none")
    start("--isolation", "none", "--max-jobs", "2")
    report = last(services, weak)
    assert (report["state"], report["minor_status"]) == ("Failed", "Job Initialization")
    assert report["application_status"] == "community lhcb demands isolation userns, this pilot gives none"
    assert not (tmp_path / "ran").exists()
    assert last(services, enough)["state"] == "Done"


def test_auto_takes_the_strongest_that_works_and_none_is_none(tmp_path: Path) -> None:
    (tmp_path / "p1").mkdir()
    found = detect(configure(["--workdir", str(tmp_path)], {}), tmp_path / "p1")
    assert found.level == "bubblewrap"
    assert str(tmp_path) in found.hidden
    assert detect(configure(["--isolation", "none"], {}), tmp_path) == Isolation()
    assert list((tmp_path / "p1").iterdir()) == []


@pytest.mark.parametrize("level", ["bubblewrap", "userns"])
def test_a_level_that_the_node_does_not_give_is_one_sentence_and_exit_code_3(pilot_zip: Path, tmp_path: Path, level: str) -> None:
    done = poor("--isolation", level, zipped=pilot_zip, workdir=tmp_path)
    assert done.returncode == 3
    assert f"isolation {level} is wanted, and this node does not give it: " in done.stderr
    assert "Traceback" not in done.stderr


def test_auto_on_a_poor_node_is_none(pilot_zip: Path, tmp_path: Path) -> None:
    done = poor(zipped=pilot_zip, workdir=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Tag"] == []
    assert "isolation=none " in done.stderr


def test_a_level_that_does_not_exist_is_a_wrong_configuration() -> None:
    with pytest.raises(WrongConfig, match="isolation is 'prison', which is none of auto, apptainer, bubblewrap, userns, none"):
        configure(["--isolation", "prison"], {})


def test_the_environment_is_handed_over_by_a_descriptor_only(tmp_path: Path) -> None:
    order = Isolation("bubblewrap", "/usr/bin/bwrap", None, (str(tmp_path),)).order(["/bin/true"], tmp_path, {"A": "canary"})
    assert order.command == ["/usr/bin/bwrap", "/bin/true"]
    assert order.environment == {}
    assert order.options[-3:] == ["--setenv", "A", "canary"]


def test_a_wrapper_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilot.isolation.shutil.which", lambda *_, **__: str(tmp_path / "bwrap"))
    with pytest.raises(NotGiven, match=r"bubblewrap is wanted, and this node does not give it: .*No such file or directory"):
        detect(configure(["--isolation", "bubblewrap", "--workdir", str(tmp_path)], {}), tmp_path)


def test_apptainer_wants_an_image_and_without_one_auto_does_without(tmp_path: Path) -> None:
    with pytest.raises(NotGiven, match="does not give it: it wants an image: --container-image"):
        detect(configure(["--isolation", "apptainer", "--workdir", str(tmp_path)], {}), tmp_path)
    assert detect(configure(["--workdir", str(tmp_path)], {}), tmp_path).level != "apptainer"


def test_a_node_without_apptainer_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilot.container.shutil.which", lambda *_, **__: None)
    flags = ["--isolation", "apptainer", "--container-image", "/image", "--workdir", str(tmp_path)]
    with pytest.raises(NotGiven, match="does not give it: there is no apptainer on this node"):
        detect(configure(flags, {}), tmp_path)


@pytest.mark.skipif(not container.program(), reason="apptainer is not installed")
def test_an_image_that_is_not_there_is_named_by_apptainer_itself(tmp_path: Path) -> None:
    flags = ["--isolation", "apptainer", "--container-image", "/no/such.sif", "--workdir", str(tmp_path)]
    with pytest.raises(NotGiven, match=r"does not give it: FATAL: .*/no/such\.sif"):
        detect(configure(flags, {}), tmp_path)


def test_an_environment_for_an_image_is_in_a_file_that_others_can_not_read(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    environment = {"A": "it's canary $(touch x) `touch y`\nB=2", "NOT-A-NAME": "1", "LD_PRELOAD": "/no/such.so"}
    order = Isolation("apptainer", "/bin/apptainer", None, (), "/image").order(["env", "a b"], tmp_path, environment)
    assert "canary" not in json.dumps([order.command, dict(order.environment), order.options])
    assert "LD_PRELOAD" not in order.environment
    script = tmp_path / "environment.sh"
    assert script.stat().st_mode & 0o777 == 0o600
    assert order.command[-3:] == [str(script), "env", "a b"]
    (tmp_path / "show").write_text('#!/bin/sh\nprintf %s "$A"\n')
    (tmp_path / "show").chmod(0o755)
    shown = subprocess.run(
        ["/bin/sh", str(script), str(tmp_path / "show")], cwd=tmp_path / "work", capture_output=True, check=True
    )
    assert shown.stdout.decode() == environment["A"]
    assert list((tmp_path / "work").iterdir()) == []
    lost = subprocess.run(["/bin/sh", str(script), "/no/such"], capture_output=True, check=False)
    assert (lost.returncode, lost.stderr) == (127, b"pilotbus: can not be started: it is not in the image\n")


@pytest.mark.skipif(os.getuid() != 0, reason="only root has somebody else to become")
def test_the_payload_of_a_superuser_is_nobodys(services: Services, store: Store, start: Start, tmp_path: Path) -> None:
    open_to_all = Path("/tmp") / f"pilotbus-{tmp_path.name}-{os.getpid()}"
    open_to_all.mkdir(mode=0o755)
    try:
        jobs = Jobs(services, store)
        job = jobs.add("/bin/sh", "-c 'id -u > who; head -c1 /etc/shadow; exit 0'", OutputSandbox=["who"])
        pilot = start("--max-jobs", "1", "--workdir", str(open_to_all))
        assert last(services, job)["output"]["digest"] in store.kept
        assert pilot.wait(30) == 0
        (started,) = services.of("pilot.reported.v1", phase="payload_started")
        assert started["details"] == {"isolation": "bubblewrap", "user": "nobody"}
        assert any("Permission denied" in line["text"] for log in services.of("log.written.v1") for line in log["lines"])
    finally:
        shutil.rmtree(open_to_all)
