"""The executor as concurrent.futures has it, over real jobs and a real pilot; a lost connection loses no result."""

from __future__ import annotations

import concurrent.futures
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pilotbus
from bus import pilotbus_call
from bus.runner import Runner
from bus.session import Session
from tests.bus import sums
from tests.bus.test_client import cut
from tests.bus.test_life_of_an_event import until
from tests.fix_broker import Vhost
from tests.fix_stand import Stand

SHORT = {"CPUTime": 300}


def test_commands_and_functions_run_as_jobs(stand: Stand) -> None:
    with pilotbus.Executor(SHORT, session=stand.session()) as executor:
        hello = executor.submit("/bin/echo", "hello", "a b")
        fails = executor.submit({"Executable": "/bin/sh", "Arguments": "-c 'exit 3'"})
        added, raised = executor.submit(sums.total, 1, 2, start=10), executor.submit(sums.share, 1, 0)
        opaque = executor.submit(sums.opaque)
        assert {hello, fails, added, raised, opaque} == set(pilotbus.as_completed([hello, fails, added, raised, opaque], 150))

        finished = hello.result()
        assert (finished.job_id, finished.exit_code, finished.text()) == (hello.job_id, 0, "hello a b\n")
        assert hello.state() == "Done"
        with pytest.raises(pilotbus.JobFailed, match=r"is Failed: .*3"):
            fails.result()
        assert added.result() == 13
        with pytest.raises(pilotbus.JobFailed, match="ZeroDivisionError: division by zero"):
            raised.result()
        with pytest.raises(pilotbus.JobFailed, match="TypeError: Object of type set is not JSON serializable"):
            opaque.result()
        executor.session.close()


def test_a_map_is_in_order_and_one_submission(stand: Stand, db: psycopg.Connection[object]) -> None:
    session = stand.session()
    with pilotbus.Executor(SHORT, session=session) as executor:
        assert list(executor.map(sums.total, [1, 2, 3], [10, 20, 30], timeout=150)) == [11, 22, 33]
        told = [finished.text() for finished in executor.map("/bin/echo", ["100%", "%s {x}"], timeout=150)]
        assert told == ["100%\n", "%s {x}\n"]
    assert db.execute("SELECT count(*) FROM job.submissions").fetchone() == (2,)
    session.close()


def test_a_future_is_cancelled_by_killing_its_job(vhost: Vhost, house: Runner) -> None:
    session = Session(vhost.person("ada"), vhost.ca_file)
    executor = pilotbus.Executor(SHORT, session=session)
    future, called = executor.submit("/bin/sleep", 1000), list[object]()
    future.add_done_callback(called.append)
    assert not future.running()
    assert future.cancel()
    assert future.cancelled()
    assert called == [future]
    assert future.state() == "Killed"
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(1)
    other = executor.submit("/bin/sleep", 1000)
    session.kill(other.job_id)
    with pytest.raises(pilotbus.JobFailed, match="is Killed"):
        other.result(60)
    assert not other.cancel()
    left = executor.map("/bin/sleep", [1000, 1001], timeout=0.1)
    with pytest.raises(TimeoutError):
        next(left)
    last = executor.submit("/bin/sleep", 1000)
    executor.shutdown(cancel_futures=True)
    assert last.cancelled()
    with pytest.raises(RuntimeError, match="was shut down"):
        executor.submit("/bin/true")
    session.close()


def test_what_ends_while_the_connection_is_lost_is_heard_of(
    vhost: Vhost, house: Runner, db: psycopg.Connection[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.jobs.LOOK_AGAIN_S", 1e9)
    session = Session(vhost.person("ada"), vhost.ca_file)
    with pilotbus.Executor(SHORT, session=session) as executor:
        futures = [executor.submit("/bin/sleep", 1000) for _ in range(3)]
        removed = executor.submit("/bin/sleep", 1000)
        until(lambda: db.execute("SELECT count(*) FROM job.jobs WHERE state = 'Waiting'").fetchone() == (4,))
        until(lambda: executor._watch is not None and len(executor._watch.left) == 4)
        assert [future.state() for future in futures] == ["Waiting"] * 3
        # no event tells this: only who asks anew sees it
        db.execute("DELETE FROM job.jobs WHERE job_id = %s", (removed.job_id,))
        db.execute("UPDATE job.jobs SET state = 'Killed', version = version + 1")
        cut(vhost, "ada")
        for future in futures:
            with pytest.raises(pilotbus.JobFailed, match="is Killed"):
                future.result(50)
        with pytest.raises(pilotbus.JobFailed, match="is Deleted: it is not there any more"):
            removed.result(50)
    session.close()


def test_a_job_that_is_gone_before_it_is_watched_harms_no_other(
    vhost: Vhost, house: Runner, db: psycopg.Connection[object]
) -> None:
    session = Session(vhost.person("ada"), vhost.ca_file)
    with pilotbus.Executor(SHORT, session=session) as executor:
        other = executor.submit("/bin/sleep", 1000)
        gone = pilotbus.JobFuture(executor, other.job_id + 1, other.call)
        with executor._lock:
            executor._open[gone.job_id] = gone
            executor._new.append(gone.job_id)
        with pytest.raises(pilotbus.JobFailed, match="is Deleted: it is not there any more"):
            gone.result(50)
        assert other.cancel()
    session.close()


def test_an_executor_that_has_failed_takes_no_job_and_says_why(
    vhost: Vhost, house: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(vhost.person("ada"), vhost.ca_file)
    executor = pilotbus.Executor(SHORT, session=session)
    future = executor.submit("/bin/sleep", 1000)

    def refuse(*_: object) -> None:
        raise pilotbus.Refused("denied", "ada is banned")

    monkeypatch.setattr("bus.jobs.Watch.step", refuse)
    with pytest.raises(pilotbus.Refused, match="ada is banned"):
        future.result(50)
    with pytest.raises(RuntimeError, match="the executor has failed: ada is banned"):
        executor.submit("/bin/sleep", 1000)
    session.kill(future.job_id)
    executor.shutdown()
    session.close()


def test_whoever_submits_while_it_is_shut_down_gets_a_future_that_ends_or_none(
    vhost: Vhost, house: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(vhost.person("ada"), vhost.ca_file)
    executor = pilotbus.Executor(SHORT, session=session)
    sent, goes_on, submit = threading.Event(), threading.Event(), session.submit

    def slowly(*asked: Any, **named: Any) -> pilotbus.Submission:
        done = submit(*asked, **named)
        sent.set()
        goes_on.wait(50)
        return done

    monkeypatch.setattr(session, "submit", slowly)
    futures = list[pilotbus.JobFuture]()
    submits = threading.Thread(target=lambda: futures.append(executor.submit("/bin/sleep", 1000)))
    submits.start()
    assert sent.wait(50)
    ends = threading.Thread(target=lambda: executor.shutdown(cancel_futures=True))
    ends.start()
    ends.join(1)
    goes_on.set()
    submits.join(50)
    ends.join(50)
    assert not ends.is_alive()
    assert [future.cancelled() for future in futures] == [True]
    session.close()


def test_what_no_node_could_run_is_refused_at_once(vhost: Vhost, house: Runner) -> None:
    session = Session(vhost.person("ada"), vhost.ca_file)
    with pilotbus.Executor(session=session) as executor:
        for work in (lambda: 1, len, sums.total.__get__):
            with pytest.raises(pilotbus.Invalid, match="no function of the top of a Python file"):
                executor.submit(work)
        with pytest.raises(pilotbus.Invalid, match="sent as JSON"):
            executor.submit(sums.total, object())
        with pytest.raises(pilotbus.Invalid, match="no argument by name"):
            executor.submit("/bin/echo", start=1)
        with pytest.raises(pilotbus.Invalid, match="put what is large in a file"):
            executor.submit("/bin/echo", "x" * 20_000)
        with pytest.raises(pilotbus.Refused, match="bytes is more than"):
            executor.submit({"Executable": "/bin/echo", "Arguments": "x" * 50_000})
    session.close()


def test_the_runner_says_what_went_wrong_before_the_call(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import pilotbus\nimport nowhere\n")
    runner = shutil.copy(pilotbus_call.__file__, tmp_path)  # it stands among a job's files, and not among the bus's
    command = [sys.executable, runner, "bad.py", "f", "e30="]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode == 1
    assert json.loads((tmp_path / "result.json").read_text()) == {"error": "ModuleNotFoundError: No module named 'nowhere'"}
