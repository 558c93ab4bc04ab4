"""`pilotbus output` of many: side by side, gone on with after a failure, and each failure told with its code."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bus.outputs import Output, fetch
from bus.runner import Runner
from tests.bus.test_life_of_an_event import until
from tests.deploy.test_cli_bad_input import pilotbus, refused
from tests.fix_broker import Vhost
from tests.fix_stand import Stand

PART = f".{'0' * 16}.tar.gz.part"
SWEEP = 'Executable = "/bin/echo"; Arguments = "job %s"; Parameters = 5; ParameterStep = 1; OutputSandbox = "std.out";'


def test_many_outputs_come_and_what_is_missing_comes_the_next_time(stand: Stand, tmp_path: Path) -> None:
    told = stand.told()
    (tmp_path / "sweep.jdl").write_text(SWEEP)
    ids = pilotbus(tmp_path, told, "submit", "sweep.jdl").stdout.strip()
    waited = pilotbus(tmp_path, told, "wait", ids, "--json")
    assert waited.returncode == 0, waited.stderr
    assert json.loads(waited.stdout)["counts"] == {"Done": 5}
    jobs = {job["job_id"]: job for job in json.loads(waited.stdout)["jobs"]}
    first, second = sorted(jobs)[:2]
    # it was over before its pilot told how it is
    until(lambda: '"last_lines": [\n      "job 1"\n' in pilotbus(tmp_path, told, "job", str(first), "--json").stdout, 60)
    store = {job_id: next(stand.folder.rglob(job["output"]["digest"])) for job_id, job in jobs.items()}
    whole, aside = store[second].read_bytes(), tmp_path / "aside"
    store[first].rename(aside)
    part = tmp_path / "out" / str(second) / f".{jobs[second]['output']['digest'][:16]}.tar.gz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(whole[:40])

    some = pilotbus(tmp_path, told, "output", ids, "--dir", "out", "--parallel", "2", "--json")
    assert some.returncode == 6
    assert f"1 of {len(jobs)} jobs have no output to fetch" in some.stderr
    found = json.loads(some.stdout)
    assert sorted(found["fetched"]) == sorted(str(job_id) for job_id in jobs if job_id != first)
    assert "does not have" in found["refused"][str(first)]

    aside.rename(store[first])
    store[second].unlink()  # it was fetched, and is not asked of the store again
    store[second].write_bytes(b"other bytes")
    rest = pilotbus(tmp_path, told, "output", ids, "--dir", "out")
    assert (rest.returncode, rest.stderr) == (0, "")  # and no bar where there is no terminal
    assert sorted(rest.stdout.splitlines()) == sorted(f"out/{job_id}/std.out" for job_id in jobs)
    said = sorted((tmp_path / path).read_text() for path in rest.stdout.splitlines())
    assert said == [f"job {n}\n" for n in range(1, 6)]
    assert {path.name for path in (tmp_path / "out" / str(second)).iterdir()} == {"std.out", ".pilotbus-output"}


def test_an_output_that_is_not_there_or_not_ones_own_is_told(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "waits.jdl").write_text('Executable = "x"; CPUTime = 500000; MinRAM = 900000;')
    job = pilotbus(tmp_path, stand.told(), "submit", "waits.jdl").stdout.strip()
    none = pilotbus(tmp_path, stand.told(), "output", job)
    assert (none.returncode, none.stdout) == (3, "")
    assert f"job {job} has no output yet" in none.stderr
    refused(pilotbus(tmp_path, stand.told("mallory"), "output", job), 3, f"you have no job {job}")
    refused(pilotbus(tmp_path, stand.told(), "output", "--group", "nothing"), 3, "there are no such jobs")
    waits = pilotbus(tmp_path, stand.told(), "output", "--group", "NoGroup")
    assert (waits.returncode, waits.stdout, waits.stderr) == (0, "", "none of 1 job has an output\n")


def test_no_more_are_asked_for_than_can_be_fetched_in_time(vhost: Vhost, house: Runner, tmp_path: Path) -> None:
    asked = []

    class Bus:
        ca_file = ""

        def insist(self, kind: str, data: dict[str, int], patience_s: float) -> dict[str, str]:
            asked.append(data["job_id"])
            return {"url": "https://127.0.0.1:1/x", "digest": "0" * 64}

    coming = fetch(Bus(), range(100), tmp_path, 2)  # type: ignore[arg-type]
    assert isinstance(next(coming), Output)
    assert len(asked) <= 6
    assert isinstance(coming, Generator)
    coming.close()


class _Slow(BaseHTTPRequestHandler):
    """Gives a piece, and then the next now and then, for a minute."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(600 << 16))
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(600):
                self.wfile.write(bytes(1 << 16))
                time.sleep(0.1)


def test_who_breaks_off_does_not_wait_for_the_store_and_keeps_what_came(tmp_path: Path) -> None:
    store = ThreadingHTTPServer(("127.0.0.1", 0), _Slow)
    threading.Thread(target=store.serve_forever, daemon=True).start()

    class Bus:
        ca_file = ""

        def insist(self, kind: str, data: dict[str, int], patience_s: float) -> dict[str, str]:
            if data["job_id"] == 2:
                until((tmp_path / "1" / PART).exists)
                raise KeyboardInterrupt
            return {"url": f"http://127.0.0.1:{store.server_port}/x", "digest": "0" * 64}

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(fetch(Bus(), [1, 2], tmp_path, 2))  # type: ignore[arg-type]
    assert time.monotonic() - began < 20
    assert (tmp_path / "1" / PART).stat().st_size > 0
    store.shutdown()
    store.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is away is not waited for."""
    monkeypatch.setattr("bus.transfer._FIRST_WAIT_S", 0.01)
