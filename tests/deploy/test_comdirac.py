"""COMDIRAC's commands with its options, through the whole house and a real pilot."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bus.errors import Invalid
from deploy import comdirac
from deploy.dsub import describe
from tests.fix_stand import Stand

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """One of the commands in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [name, *words])
        with pytest.raises(SystemExit) as ended:
            getattr(comdirac, name)()
        told = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, told.out, told.err

    return run


@pytest.fixture
def ada(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Ada sits here."""
    for name, value in stand.told().items():
        monkeypatch.setenv(name, value)
    return stand


def test_a_day_with_comdirac(ada: Stand, command: Command, tmp_path: Path) -> None:
    (tmp_path / "greet.sh").write_text('#!/bin/sh\n#JDL JobGroup = "greets"\n#JDL CPUTime = 300;\necho "hello $1"\n')
    code, out, err = command("dsub", "-N", "first", "greet.sh", "ada lovelace")
    assert code == 0, err
    job = out.strip()
    with ada.session() as bus:
        assert bus.wait(int(job), 100) == {"Done": 1}
    assert command("doutput", "-D", "got", "-g", "greets")[:2] == (0, f"got/{job}/std.err\ngot/{job}/std.out\n")
    assert (tmp_path / "got" / job / "std.out").read_text() == "hello ada lovelace\n"
    steps = json.loads(command("dlogging", "-f", "json", job)[1])
    assert (steps[0]["Status"], steps[-1]["Status"]) == ("Submitting", "Done")

    code, out, err = command("dsub", "-J", "MinRAM = 900000;", "--JobGroup", "waits", "--Parametric", "1:4", "/bin/echo", "%s")
    assert code == 0, err
    waiting = out.strip()
    assert len(waiting.split(",")) == 3
    shown = list(csv.DictReader(io.StringIO(command("dstat", "-f", "csv")[1])))
    assert [(row["JobID"], row["JobGroup"]) for row in shown] == [(n, "waits") for n in waiting.split(",")]
    every = json.loads(command("dstat", "-a", "-f", "json", "-F", "JobName,Status")[1])
    assert every[job] == {"JobID": int(job), "JobName": "first", "Status": "Done"}
    assert json.loads(command("dstat", "-S", "done,failed", "-g", "waits", "-f", "json")[1]) == {}
    assert command("dstat", job, "-S", "Done", "-F", "Owner")[1].split() == ["JobID", "Owner", job, "ada"]

    first, *others = waiting.split(",")
    (tmp_path / "ids").write_text(",".join(others) + "\n")
    assert command("dkill", "-v", first)[:2] == (0, f"killed job {first}\n")
    assert command("dkill", "-i", "ids")[0] == 0
    assert json.loads(command("dstat", "-f", "json")[1]) == {}
    assert command("dkill", "-D", *others)[0] == 0
    deleted = json.loads(command("dstat", "-S", "Deleted", "-f", "json", "-F", "Status")[1])
    assert deleted == {n: {"JobID": int(n), "Status": "Deleted"} for n in others}
    assert sorted(json.loads(command("dstat", "-a", "-f", "json")[1])) == sorted([job, first, *others])
    named = json.loads(command("dstat", "-a", "-n", "first", "-f", "json", "-F", "Owner")[1])
    assert named == {job: {"JobID": int(job), "Owner": "ada"}}
    code, _, err = command("dkill", job)
    assert (code, err.startswith("dkill: 1 of 1 jobs were not killed: ")) == (6, True)


def test_what_is_not_there_is_told_in_the_commands_name(ada: Stand, command: Command) -> None:
    for words, code, sentence in (
        (("dstat", "99"), 3, "dstat: you have no job 99"),
        (("doutput", "-g", "nothing"), 3, "doutput: there are no such jobs"),
        (("dlogging", "99"), 3, "dlogging: you have no job 99"),
        (("dkill", "99"), 6, "dkill: 1 of 1 jobs were not killed"),
    ):
        found, out, err = command(*words)
        assert (found, out, err.startswith(sentence)) == (code, "", True), err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("dstat", "-S", "Over"), 2, "Over is no state of a job"),
        (("dstat", "-F", "Colour"), 2, "Colour is no field of a job"),
        (("dstat", "-u", "*"), 2, "name an account"),
        (("dstat",), 5, "no broker answers at 127.0.0.1:1"),
        (("dkill",), 2, "name the jobs"),
        (("dkill", "seven"), 2, "seven is no job id"),
        (("dkill", "7"), 5, "no broker answers"),
        (("doutput", "--NoJobDir", "7"), 2, "files of the same name"),
        (("doutput", "--Data", "7"), 2, "no storage for output data"),
        (("doutput", "7"), 5, "no broker answers"),
        (("dlogging", "7"), 5, "no broker answers"),
        (("dsub", "absent.sh"), 2, "there is no file absent.sh to run"),
        (("dsub", "-J", 'Executabel = "/x";'), 2, "unknown attribute Executabel"),
        (("dsub", "/bin/echo"), 5, "no broker answers"),
        (("dsub", "-J", f'Arguments = "{"a" * 300}"; Executable = "/bin/echo";'), 5, "no broker answers"),
        (("dstat", "-D", "999999999"), 2, "Invalid value for '-D'"),
    ],
)
def test_each_failure_is_one_sentence_and_a_code(
    command: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, sentence: str
) -> None:
    monkeypatch.setenv("PILOTBUS_CLIENT_AMQP_URL", "amqp://ada:x@127.0.0.1:1/")
    found, out, err = command(*words)
    assert (found, out) == (code, ""), err
    assert sentence in err


def test_what_is_no_text_is_told(command: Command, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"17\xff")
    for words in (("dstat", "-i", "binary"), ("dsub", "-J", "binary")):
        code, out, err = command(*words)
        assert (code, out, err) == (2, "", f"{words[0]}: what was read is no text in UTF-8 (byte 2)\n")


def described(*command: str, jdl: str = "", parametric: str = "", folder: Path = Path(), **given: str) -> dict[str, Any]:
    return describe(jdl, command, given, parametric, force_upload=False, folder=folder)


def test_options_win_over_the_script_and_the_script_over_jdl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.sh").write_text('#!/bin/sh\n#JDL JobName = script\n#JDL Site = {"A", "B"}\n')
    Path("j.jdl").write_text('[ jobname = "jdl"; Priority = 3; site = "C"; ]')
    assert described("s.sh", "a b", jdl="j.jdl", JobName="option") == {
        "JobName": "option", "Priority": 3, "Site": ["A", "B"], "Executable": "s.sh", "InputSandbox": ["s.sh"],
        "Arguments": "'a b'",
    }  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.StringIO("#JDL CPUTime = 300\ntrue\n"))
    typed = described(folder=tmp_path)
    assert typed["OutputSandbox"] == ["std.out", "std.err"]
    assert (typed["Executable"], typed["JobName"], typed["CPUTime"]) == ("stdin.sh", "STDIN", 300)
    assert described("/bin/x", BannedSites="A,B", InputSandbox="{a,b}")["BannedSites"] == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "values"),
    [("a,b", ["a", "b"]), ("1:4", (3, 1, 1, 1)), ("8:1:0:0.5", (3, 8, 0, 0.5)), ("0:1:0.25", (4, 0, 0.25, 1))],
)
def test_parametric_is_comdiracs(text: str, values: Any) -> None:
    found = described("/bin/x", parametric=text)
    if isinstance(values, list):
        assert found["Parameters"] == values
    else:
        assert tuple(found[name] for name in ("Parameters", "ParameterStart", "ParameterStep", "ParameterFactor")) == values


@pytest.mark.parametrize("text", ["1:4:-1", "1:1", "1:4:0", "a,1:4", "1:10000000"])
def test_a_loop_that_leads_nowhere_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="--Parametric"):
        described("/bin/x", parametric=text)
