"""pilotbus submit --dry-run: the jobs of every form are shown as they would be, without a broker, or refused with the place."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.main import application, serve
from schemas.rules.description import load, normalise

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "deploy" / "examples"
JOB = 'Executable = "/bin/echo"; Arguments = "{}";\n'


@pytest.fixture(autouse=True)
def no_bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of its own, and a bus that cannot be reached."""
    monkeypatch.setenv("PILOTBUS_CLIENT_AMQP_URL", "amqp://ada:x@127.0.0.1:1/")
    monkeypatch.chdir(tmp_path)


def dry_run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """The exit code and what was said."""
    code = serve(application(), ["submit", "--dry-run", *words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def document(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """What a program reads."""
    code, out, err = dry_run(capsys, "--json", *words)
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_jdl_json_and_yaml_show_the_job_that_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.jdl").write_text('Executable = "x"; Sites = "A"; OutputData = {"a.root"}; OutputSE = "SE"; OutputPath = {"/p"};')
    Path("a.json").write_text('{"executable": "x", "Site": ["A"], "OutputData": "a.root", "OutputSE": "SE", "OutputPath": "/p"}')
    Path("a.yaml").write_text("Executable: x\nSite: A\nOutputData: [a.root]\nOutputSE: SE\nOutputPath: /p\n")
    job = load(Path("a.jdl").read_text())
    wanted = {"count": 1, "more": 0, "jobs": [job]}
    assert (job["OutputData"], job["OutputSE"], job["OutputPath"]) == (["a.root"], ["SE"], "/p")
    for name in ("a.jdl", "a.json", "a.yaml"):
        assert document(capsys, name) == wanted


def test_a_sweep_shows_its_first_jobs_and_says_how_many_more(capsys: pytest.CaptureFixture[str]) -> None:
    sweep = str(EXAMPLES / "pi.jdl")
    few = document(capsys, sweep)
    assert (few["count"], few["more"], len(few["jobs"])) == (100, 90, 10)
    everything = document(capsys, sweep, "--all")
    assert (everything["count"], everything["more"], len(everything["jobs"])) == (100, 0, 100)
    assert everything["jobs"][:10] == few["jobs"]
    assert [job["Arguments"] for job in everything["jobs"]] == [f"{seed} 200000" for seed in range(1, 101)]


def test_people_see_what_is_alike_once_and_a_row_for_each_job(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = dry_run(capsys, str(EXAMPLES / "pi.jdl"))
    assert code == 0
    assert out.count("pi.sh") == 2  # Executable and InputSandbox
    rows = [line.split() for line in out.splitlines()]
    assert ["Job", "JobName", "Arguments", "Parameter"] in rows
    assert rows[-1] == ["9", "pi-09", "10", "200000", "10"]
    assert err == "100 jobs, not submitted; 90 more, which --all shows\n"
    code, out, err = dry_run(capsys, str(EXAMPLES / "pi.jdl"), "--all")
    assert out.splitlines()[-1].split() == ["99", "pi-99", "100", "200000", "100"]
    assert err == "100 jobs, not submitted\n"


def test_all_of_more_than_a_page_are_shown_with_their_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.jdl").write_text('Executable = "x"; Parameters = 2001; Arguments = "%n";')
    code, out, _ = dry_run(capsys, "a.jdl", "--all")
    assert code == 0
    shown = [line.split() for line in out.splitlines()]
    assert [row[0] for row in shown if row and row[0].isdecimal()] == [str(number) for number in range(2000)]
    assert ["Arguments", "2000"] in shown  # the last page has one job


def test_json_lines_show_their_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.jsonl").write_text("".join(json.dumps({"Executable": "x", "Arguments": str(n)}) + "\n" for n in range(25)))
    few = document(capsys, "a.jsonl")
    assert (few["count"], few["more"]) == (25, 15)
    assert few["jobs"] == [normalise({"Executable": "x", "Arguments": str(n)}) for n in range(10)]


@pytest.mark.parametrize("name", ["t.jdl", "t.yaml", "t.json"])
def test_a_table_fills_a_template_of_any_form(capsys: pytest.CaptureFixture[str], name: str) -> None:
    Path("t.jdl").write_text('Executable = "x"; CPUTime = %(Cpu)s; Arguments = "%(Energy)s";')
    Path("t.yaml").write_text("Executable: x\nCPUTime: '%(Cpu)s'\nArguments: '%(Energy)s'\n")
    Path("t.json").write_text('{"Executable": "x", "CPUTime": "%(Cpu)s", "Arguments": "%(Energy)s"}')
    Path("rows.csv").write_text("Energy,Cpu\n3.686,500\n4.26,1000\n")
    found = document(capsys, name, "--table", "rows.csv")
    assert [(job["Arguments"], job["CPUTime"]) for job in found["jobs"]] == [("3.686", 500), ("4.26", 1000)]


def test_a_table_may_come_by_a_pipe_and_a_description_too(tmp_path: Path) -> None:
    (tmp_path / "t.jdl").write_text('Executable = "x"; Arguments = "%(A)s";')

    def shown(text: str, *words: str) -> list[str]:
        command = [sys.executable, "-m", "deploy.main", "submit", "--dry-run", "--json", *words]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, input=text, capture_output=True, text=True, check=True)
        return [job["Arguments"] for job in json.loads(done.stdout)["jobs"]]

    assert shown("A\n1\n2\n", "t.jdl", "--table", "-") == ["1", "2"]
    assert shown('Executable = "x"; Arguments = "%s"; Parameters = {a, b};', "-") == ["a", "b"]


@pytest.mark.parametrize(
    ("files", "words", "code", "sentence"),
    [
        ({"a.jdl": 'Executable = "x";\nSitte = "A";'}, ["a.jdl"], 2, "a.jdl: line 2, column 1: unknown attribute Sitte, did you"),
        ({"a.jdl": 'Executable = "x"; Parameters = {500, 1}; CPUTime = %s;'}, ["a.jdl"], 2, "a.jdl: job 1: CPUTime must be"),
        ({"a.jdl": "Executable = x; Parameters = 1000001;"}, ["a.jdl"], 2, "a.jdl: Parameters makes 1000001 jobs, the limit"),
        ({"a.jsonl": '{"Executable": "x", "Parameters": 1000001}'}, ["a.jsonl"], 2, "a.jsonl: line 1: Parameters makes 1000001"),
        ({"a.yaml": "Executable: x\nCPUTime: 1"}, ["a.yaml"], 2, "a.yaml: CPUTime must be 100 to 500000 and not 1"),
        ({"a.jsonl": '{"Executable": "x"}\n' * 15 + "{"}, ["a.jsonl"], 2, "a.jsonl: line 16, column 2: the text is not JSON"),
        ({"a.jsonl": '{"Executable": "x"}\n\udcff\n'}, ["a.jsonl"], 2, "a.jsonl: line 2: is not text in UTF-8"),
        ({"a.jsonl": "\n"}, ["a.jsonl"], 2, "there is no job in it"),
        ({"t.jdl": JOB.format("%(A)s"), "r.csv": "A\n1\n1,2\n"}, ["t.jdl", "--table", "r.csv"], 2, "r.csv: line 3: the row has"),
        ({"t.jdl": JOB.format("%(B)s"), "r.csv": "A\n1\n"}, ["t.jdl", "--table", "r.csv"], 2, "t.jdl: Arguments names %(B)s"),
        ({"t.jdl": "Executable = x; Parameters = 2;", "r.csv": "A\n1\n"}, ["t.jdl", "--table", "r.csv"], 2, "t.jdl: a template"),
        ({"t.jdl": JOB.format("x")}, ["t.jdl", "--table", "absent.csv"], 3, "there is no file absent.csv"),
        ({}, ["absent.jsonl"], 3, "there is no file absent.jsonl"),
        ({}, ["rows.csv"], 2, "rows.csv: a table fills a template: pilotbus submit TEMPLATE --table rows.csv"),
        ({}, ["-", "--table", "-"], 2, "template and table can not both be standard input"),
        ({}, ["a.jsonl", "--table", "r.csv"], 2, "a.jsonl: JSON lines are jobs and no template for --table"),
        ({"a.jdl": 'Executable = "x"; InputSandbox = {"no.txt"};'}, ["a.jdl"], 2, "job 0: there is no file"),
        (
            {"a.jdl": 'Executable = "x"; InputSandbox = {"a.jdl", "%s"}; Parameters = {"LFN:/a", "b.txt"};'},
            ["a.jdl"], 2, "a.jdl: a parameter names the local file b.txt for the InputSandbox, which all jobs share",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence_with_its_place_and_code_and_nothing_is_shown(
    capsys: pytest.CaptureFixture[str], files: dict[str, str], words: list[str], code: int, sentence: str
) -> None:
    for name, text in files.items():
        Path(name).write_bytes(text.encode(errors="surrogateescape"))
    found, out, err = dry_run(capsys, *words)
    assert (found, out) == (code, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_what_differs_from_job_to_job_may_be_stored(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.jdl").write_text('Executable = "x"; InputSandbox = {"a.jdl", "%s"}; Parameters = {"{LFN:/a, LFN:/b}", "lfn:/c"};')
    jobs = document(capsys, "a.jdl")["jobs"]
    assert [job["InputSandbox"] for job in jobs] == [["a.jdl", "LFN:/a", "LFN:/b"], ["a.jdl", "lfn:/c"]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a.jdl", "--all"], "--all goes with --dry-run"),
        (["a.jdl", "--key", "seven"], "the key seven is no uuid"),
    ],
)
def test_what_makes_no_sense_is_refused(capsys: pytest.CaptureFixture[str], words: list[str], sentence: str) -> None:
    assert serve(application(), ["submit", *words]) == 2
    assert capsys.readouterr().err == f"pilotbus: {sentence}\n"


def test_all_jobs_are_written_as_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    from deploy.verbs._descriptions import Jobs
    from deploy.verbs._dry_run import show

    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    made = ({"Executable": "x", "at": written.tell()} for _ in range(50))
    show(Jobs(made), everything=True, as_json=True)
    places = [job["at"] for job in json.loads(written.getvalue())["jobs"]]
    assert places[10:] == sorted(set(places[10:]))  # of the first ten, none is written before the tenth is there
