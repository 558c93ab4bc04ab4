"""`pilotbus submit` of many: JSON lines, tables and long sweeps in two steps, under a key that is told and may be used again."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import resource
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bus.inputs import Inputs
from bus.many import json_lines, table
from bus.runner import Runner
from deploy.main import application, serve
from tests.bulk_service import Bulk, serving, words
from tests.bus.test_client import cut
from tests.deploy.test_cli_bad_input import pilotbus, refused
from tests.fix_broker import Vhost
from tests.fix_stand import Stand

KEY = str(uuid.uuid4())
NO_BUS = {"PILOTBUS_CLIENT_AMQP_URL": "amqp://ada:x@127.0.0.1:1/"}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def submit(stand: Stand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """The verb in this process, which knows of the exchange."""
    monkeypatch.chdir(tmp_path)
    made = lambda component: stand.session(component=component, words=words())  # noqa: E731 - as short as it is
    monkeypatch.setattr("deploy.verbs.submit.session", made)

    def run(*more: str) -> tuple[int, str, str]:
        code = serve(application(), ["submit", *more])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def bytes_of(stand: Stand, dataref: dict[str, Any]) -> bytes:
    """What the store has under this name."""
    found = next(Path(stand.folder).rglob(dataref["digest"])).read_bytes()
    assert (hashlib.sha256(found).hexdigest(), len(found)) == (dataref["digest"], dataref["size_bytes"])
    return gzip.decompress(found)


def test_json_lines_are_checked_here_stored_and_confirmed(submit: Run, stand: Stand, vhost: Vhost, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("in")
    lines = [{"Executable": "/bin/echo", "Arguments": str(n), "InputSandbox": ["in.txt"]} for n in range(3)]
    (tmp_path / "many.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with serving(vhost, Bulk()) as service:
        code, out, err = submit("many.jsonl", "--key", KEY)
        assert (code, out) == (0, "1-3\n"), err
        assert f"the key is {KEY}: with --key the same may be submitted again" in err
        again = submit("many.jsonl", "--key", KEY, "--json")
    assert json.loads(again[1]) == {"submission": KEY, "first_job_id": 1, "count": 3}
    stored, sure, *repeated = service.asked
    assert repeated == [stored, sure]
    sent = [json.loads(line) for line in bytes_of(stand, stored[1]["dataref"]).splitlines()]
    (sandbox,) = {entry for job in sent for entry in job["InputSandbox"]}
    assert sandbox.startswith("SB:")
    assert gzip.decompress(next(Path(stand.folder).rglob(sandbox[3:])).read_bytes())
    assert [job["Arguments"] for job in sent] == ["0", "1", "2"]


def test_a_table_travels_with_its_template(submit: Run, stand: Stand, vhost: Vhost, tmp_path: Path) -> None:
    (tmp_path / "t.jdl").write_text('Executable = "/bin/echo"; Arguments = "%(A)s"; OutputSandbox = {"std.out"};')
    (tmp_path / "rows.csv").write_text("A,B\n1,x\n\n2,y\n3,z\n")
    with serving(vhost, Bulk()) as service:
        code, out, err = submit("t.jdl", "--table", "rows.csv")
    assert (code, out) == (0, "1-3\n"), err
    _, asked = service.asked[0]
    assert (asked["description"]["Arguments"], asked["dataref"]["format"]) == ("%(A)s", "table")
    assert bytes_of(stand, asked["dataref"]) == (tmp_path / "rows.csv").read_bytes()


def test_a_sweep_that_is_too_long_for_a_request_travels_as_a_file(
    submit: Run, stand: Stand, vhost: Vhost, tmp_path: Path
) -> None:
    many = ", ".join(f'"{n:09}"' for n in range(10_000))
    (tmp_path / "long.jdl").write_text(f'Executable = "x"; Arguments = "%s"; Parameters = {{{many}}};')
    (tmp_path / "short.jdl").write_text('Executable = "x"; Arguments = "%s"; Parameters = 10000;')
    for name in ("long.jdl", "short.jdl"):
        with serving(vhost, Bulk(counts=10_000)) as service:
            code, out, err = submit(name)
        assert (code, out) == (0, "1-10000\n"), err
        assert "the key is " in err
        assert ("dataref" in service.asked[0][1]) == (name == "long.jdl")


def test_what_is_wrong_is_told_with_its_line_and_nothing_is_sent(submit: Run, vhost: Vhost, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"Executable": "x"}\n{"Exectuable": "x"}\n')
    (tmp_path / "t.jdl").write_text('Executable = "x"; Arguments = "%(A)s";')
    (tmp_path / "rows.csv").write_text("A\n1\n1,2\n")
    with serving(vhost, Bulk()) as service:
        assert submit("bad.jsonl")[0] == 2
        code, _, err = submit("t.jdl", "--table", "rows.csv")
        assert (code, "rows.csv: line 3: the row has" in err) == (2, True)
        (tmp_path / "t.jdl").write_text('Executable = "x"; Arguments = "%(B)s";')
        assert "t.jdl: Arguments names %(B)s" in submit("t.jdl", "--table", "rows.csv")[2]
    assert service.asked == []


def test_another_count_is_a_conflict_and_a_lost_reply_is_not_told(submit: Run, vhost: Vhost, tmp_path: Path) -> None:
    (tmp_path / "a.jdl").write_text('Executable = "x"; Arguments = "%s"; Parameters = 4;')
    with serving(vhost, Bulk(counts=3)):
        code, out, err = submit("a.jdl")
        assert (code, out) == (7, "")
        assert "counts 3 jobs where 4 were meant" in err
    with serving(vhost, Bulk(counts=4, troubles=["cut", "cut"]), cut=lambda: cut(vhost, "ada")) as service:
        assert submit("a.jdl")[:2] == (0, "1-4\n")
    assert len({data["submission"] for _, data in service.asked}) == 1


def test_a_pipe_holds_what_is_said_of_it(stand: Stand, tmp_path: Path) -> None:
    told = stand.told()
    lines = '{"Executable": "x", "Arguments": "a"}\n{"Executable": "x", "Arguments": "b"}\n'
    done = pilotbus(tmp_path, told, "submit", "-", "--format", "jsonl", text=lines)
    assert done.stdout == "1-2\n", done.stderr
    assert pilotbus(tmp_path, told, "submit", "-", "--format", "yaml", text="Executable: x\n").stdout == "3\n"
    assert pilotbus(tmp_path, told, "submit", "-", text='Executable = "x";').stdout == "4\n"
    (tmp_path / "t.jdl").write_text('Executable = "x"; Arguments = "%(A)s";')
    assert pilotbus(tmp_path, told, "submit", "t.jdl", "--table", "-", text="A\n1\n2\n").stdout == "5-6\n"
    refused(pilotbus(tmp_path, told, "submit", "-", "--format", "csv"), 2, "csv is no format; there are jdl, json, yaml, jsonl")


def test_without_a_bus_the_key_is_told_where_it_can_have_been_used(tmp_path: Path) -> None:
    (tmp_path / "a.jdl").write_text('Executable = "x";')
    (tmp_path / "a.jsonl").write_text('{"Executable": "x"}')
    for name in ("a.jdl", "a.jsonl"):
        refused(pilotbus(tmp_path, NO_BUS, "submit", name), 5, "no broker answers at 127.0.0.1:1")
    refused(pilotbus(tmp_path, NO_BUS, "submit", "a.jdl", "--key", "seven"), 2, "the key seven is no uuid")


def test_the_house_takes_a_thousand_by_one_description(
    vhost: Vhost, house: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jdl").write_text('Executable = "x"; Arguments = "%s"; Parameters = 1000;')
    told = {"PILOTBUS_CLIENT_AMQP_URL": vhost.client_url, "PILOTBUS_CA_FILE": vhost.ca_file}
    first = pilotbus(tmp_path, told, "submit", "a.jdl", "--key", KEY)
    assert first.returncode == 0, first.stderr
    assert pilotbus(tmp_path, told, "submit", "a.jdl", "--key", KEY).stdout == first.stdout
    (tmp_path / "b.jdl").write_text('Executable = "x";')
    refused(pilotbus(tmp_path, told, "submit", "b.jdl", "--key", KEY), 7, "was used for something else")


def test_a_hundred_thousand_need_no_more_memory_than_a_thousand(tmp_path: Path) -> None:
    inputs = Inputs(lambda _packed: None, tmp_path)

    def grown(jobs: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        made = ({"Executable": "/bin/echo", "Arguments": f"{n}"} for n in range(jobs))
        assert json_lines(made, tmp_path / "jobs", inputs).count == jobs
        text = io.StringIO("A\n" + "".join(f"{n}\n" for n in range(jobs)))
        assert table({"Executable": "x", "Arguments": "%(A)s"}, text, tmp_path / "rows").count == jobs
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    grown(1000)
    assert grown(100_000) < 20_000, sys.platform  # KiB
