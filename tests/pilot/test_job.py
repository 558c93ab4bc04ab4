"""job: which command runs, in which environment, within which limits, and how its end is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pilot.command import Job, Pilot
from pilot.config import configure
from pilot.job import Over, command_of, environment_of, judge
from pilot.limits import limits_of
from pilot.payload import Limits, Outcome

PATH = "/usr/local/bin:/usr/bin:/bin"


def ended(**changes: Any) -> Outcome:
    return Outcome(**{"exit_code": 0, "signal": None, "wall_s": 5.0, "cpu_s": 2.0, "stopped": "", **changes})


def test_an_executable_of_the_sandbox_is_run_although_it_came_without_the_right(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    assert command_of({"Executable": "run.sh", "Arguments": "a 'b c'"}, 1, tmp_path, PATH) == [
        str(tmp_path / "run.sh"),
        "a",
        "b c",
    ]
    assert (tmp_path / "run.sh").stat().st_mode & 0o100


def test_an_executable_of_the_node_is_found_by_path_or_in_full(tmp_path: Path) -> None:
    assert command_of({"Executable": "ls"}, 1, tmp_path, PATH)[0].endswith("/ls")
    assert command_of({"Executable": "/bin/ls", "Arguments": "-l"}, 1, tmp_path, PATH) == ["/bin/ls", "-l"]


@pytest.mark.parametrize(
    ("executable", "sentence"),
    [
        ("/bin/lis", "executable /bin/lis is not on this node"),
        ("lis", "executable lis is not on this node"),
        ("bin/ls", "executable bin/ls is not on this node"),
        ("../../../../bin/ls", "executable ../../../../bin/ls is not on this node"),
        ("/etc/passwd", "executable /etc/passwd is on this node but can not be executed"),
    ],
)
def test_an_executable_that_is_not_there_is_named(tmp_path: Path, executable: str, sentence: str) -> None:
    with pytest.raises(Over) as caught:
        command_of({"Executable": executable}, 1, tmp_path, PATH)
    assert caught.value.report == ("Failed", "Application not found", sentence)


def test_arguments_that_can_not_be_split_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Over, match="can not be split"):
        command_of({"Executable": "ls", "Arguments": "'open"}, 1, tmp_path, PATH)


def test_the_job_id_is_put_into_the_arguments_of_parametric_jobs_only(tmp_path: Path) -> None:
    assert command_of({"Executable": "ls", "Arguments": "%j", "ParameterNumber": 0}, 42, tmp_path, PATH)[1:] == ["42"]
    assert command_of({"Executable": "date", "Arguments": "+%j"}, 42, tmp_path, PATH)[1:] == ["+%j"]


def test_nothing_of_the_pilots_environment_reaches_the_payload_but_a_few_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILOTBUS_PILOT_AMQP_URL", "amqps://pilot:secret@host/")
    monkeypatch.setenv("X509_USER_PROXY", "/secret")
    pilot = Pilot(configure(["--site", "LCG.Test.org"], {}), None, tmp_path)
    (tmp_path / "work").mkdir()
    job = Job(7, 2, {"ExecutionEnvironment": ["MODE=fast", "HOME=/elsewhere", "nothing"], "NumberOfProcessors": 4})
    found = environment_of(pilot, job, tmp_path / "work")
    assert "secret" not in str(found)
    assert (found["PILOTBUS_JOB_ID"], found["DIRACSITE"], found["MODE"]) == ("7", "LCG.Test.org", "fast")
    assert (found["HOME"], found["OMP_NUM_THREADS"]) == (str(tmp_path / "work"), "4")


def test_limits_follow_the_description_and_the_end_of_the_slot() -> None:
    config = configure([], {})
    four = limits_of({"CPUTime": 1000, "NumberOfProcessors": 4}, config, None)
    assert (four.cpu_s, four.wall_s, four.processors) == (4000, 3000, 4)
    assert limits_of({"CPUTime": 1000}, config, 500.0).wall_s == 440


def test_the_least_of_the_memories_is_the_limit() -> None:
    config = configure(["--max-ram", "2000"], {})
    assert [limits_of({"MaxRAM": most}, config, None).memory_bytes >> 20 for most in (0, 500, 3000)] == [2000, 500, 2000]
    assert limits_of({"MinRAM": 500}, configure([], {}), None).memory_bytes == 0


def test_a_job_says_how_it_wants_to_be_stopped() -> None:
    described = {"StopSigNumber": 10, "StopSigRegex": "ga[u]ss", "StopSigFinishWork": 60}
    limits = limits_of(described, configure([], {}), None)
    assert (limits.stop_signal, limits.stop_regex, limits.asked_before_s, limits.asked_after_s) == (10, "ga[u]ss", 60, 60)
    assert limits_of({}, configure([], {}), None).stop_signal == 15
    with pytest.raises(ValueError, match="StopSigRegex '\\['"):
        limits_of({"StopSigRegex": "["}, configure([], {}), None)


@pytest.mark.parametrize(
    ("outcome", "report"),
    [
        (ended(), ("Done", "Execution Complete", "finished")),
        (ended(exit_code=3), ("Failed", "Application Finished With Errors", "ended with exit code 3")),
        (ended(exit_code=None, signal=11), ("Failed", "Application Finished With Errors", "ended by signal 11 (SIGSEGV)")),
        (ended(exit_code=None, signal=9, stopped="wall"), ("Failed", "Job has exceeded maximum wall clock time", "ran for 5 s")),
        (
            ended(exit_code=1, refused_processes=True),
            ("Failed", "Application Finished With Errors", "ended with exit code 1, after it was refused one more process"),
        ),
        (
            ended(signal=9, stopped="memory", memory_bytes=9 << 20, limits=Limits(1, 1, memory_bytes=5 << 20)),
            ("Failed", "Job has exceeded maximum memory", "used 9 MB of memory, and may have 5 MB"),
        ),
        (
            ended(signal=9, stopped="memory", limits=Limits(1, 1, memory_bytes=5 << 20)),
            ("Failed", "Job has exceeded maximum memory", "ran out of memory, and may have 5 MB"),
        ),
        (
            ended(signal=9, stopped="output", limits=Limits(1, 1, output_bytes=5 << 20)),
            ("Failed", "Job has exceeded maximum output", "wrote more than 5 MB to its standard output and error"),
        ),
        (
            ended(exit_code=None, signal=9, stopped="cpu"),
            ("Failed", "Job has reached the CPU limit of the queue", "used 2 s of processor time, its CPUTime is 1 s"),
        ),
    ],
)
def test_each_end_has_a_name_and_a_sentence(outcome: Outcome, report: tuple[str, str, str]) -> None:
    result = judge(outcome, {"CPUTime": 1})
    assert (result.state, result.minor, result.sentence) == report
