"""`import pilotbus`, through the whole house with a real pilot: submit, wait, outputs, kill, events."""

from __future__ import annotations

import ast
import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

import pilotbus
from bus.runner import Runner
from bus.session import Session
from tests.bulk_service import Bulk, serving, words
from tests.bus.test_client import cut, told
from tests.bus.test_life_of_an_event import until
from tests.fix_broker import Vhost
from tests.fix_stand import Stand

ROOT = Path(__file__).resolve().parents[2]
ECHO = {"Executable": "/bin/echo", "Arguments": "hello %s", "CPUTime": 300}
WAITS = ECHO | {"Arguments": "hello"}


def test_jobs_go_in_and_outputs_come_out(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "greet.sh").write_text('#!/bin/sh\necho "$1, $2"\n')
    template = {"Executable": "greet.sh", "Arguments": "%(word)s %(name)s", "InputSandbox": ["greet.sh"]}
    template["OutputSandbox"] = ["std.out", "std.err"]
    with stand.session() as bus:
        done = bus.submit(template, {"word": ["hello", "bye"], "name": ["ada", "ben"]}, base=tmp_path)
        assert bus.wait(done, timeout_s=100) == {"Done": 2}
        assert [job["state"] for job in bus.status(done, history=True)] == ["Done", "Done"]
        found = {output.job_id: output for output in bus.outputs(done, tmp_path / "out")}
        said = [(tmp_path / "out" / str(job_id) / "std.out").read_text() for job_id in done.job_ids]
        assert said == ["hello, ada\n", "bye, ben\n"]
        assert all(path.is_file() for output in found.values() for path in output.files)

        (tmp_path / "out" / str(done.first_job_id) / "std.out").write_text("kept")
        again = {output.job_id: output for output in bus.outputs(done, tmp_path / "out")}
        assert {n: output.files for n, output in again.items()} == {n: output.files for n, output in found.items()}
        assert (tmp_path / "out" / str(done.first_job_id) / "std.out").read_text() == "kept"
        (tmp_path / "out" / str(done.first_job_id) / "std.out").unlink()
        list(bus.outputs(done, tmp_path / "out"))
        assert (tmp_path / "out" / str(done.first_job_id) / "std.out").read_text() == "hello, ada\n"


def test_the_same_key_is_the_same_jobs_and_what_is_not_there_is_told(vhost: Vhost, house: Runner) -> None:
    with Session(vhost.person("ada"), vhost.ca_file) as bus:
        key = pilotbus.new_key()
        once = bus.submit(WAITS, key=key)
        assert bus.submit(WAITS, key=key) == once
        assert bus.counts(once).total() == 1
        assert [result["outcome"] for result in bus.kill(once)["results"]] == ["killed"]
        assert bus.wait(once, timeout_s=60) == {"Killed": 1}
        (absent,) = bus.outputs(once, "nowhere")
        assert (absent.code, absent.files) == ("not_found", ())
        with pytest.raises(pilotbus.Refused, match="you have no job 99"):
            list(bus.status([once.first_job_id, 99]))
        with pytest.raises(pilotbus.Invalid, match="Executabel"):
            bus.submit({"Executabel": "/bin/echo"})
        nothings: tuple[Any, ...] = ([], {}, {"energy": []})
        for nothing in nothings:
            with pytest.raises(pilotbus.Invalid, match="no parameters, and so no job"):
                bus.submit(ECHO, parameters=nothing)
        waits = bus.submit(WAITS)
        with pytest.raises(TimeoutError, match=r"1 of 1 jobs are not over after 0 s"):
            bus.wait(waits, timeout_s=0.1)
    with Session(vhost.person("mallory"), vhost.ca_file) as other, pytest.raises(pilotbus.Refused, match="you have no job"):
        other.wait(waits)


def test_a_group_is_found_counted_and_commanded_as_a_whole(vhost: Vhost, house: Runner) -> None:
    with Session(vhost.person("ada"), vhost.ca_file) as bus:
        done = bus.submit(WAITS | {"JobGroup": "round16"}, parameters=range(150))
        other = bus.submit(WAITS)
        until(lambda: bus.counts(done) == {"Waiting": 150})
        assert [job["job_id"] for job in bus.find(job_group="round16")] == list(done.job_ids)
        assert [(each["job_group"], each["jobs"]) for each in bus.groups(job_group="round16")] == [("round16", 150)]
        assert bus.reschedule(job_group="round16")["counts"]["rescheduled"] == 0  # what has failed alone is meant
        assert bus.reschedule(job_group="round16", states=["Waiting"])["counts"]["rescheduled"] == 150
        told = bus.kill(job_group="round16")
        assert (told["counts"]["killed"], told["results"]) == (150, [])
        assert bus.delete(done)["counts"] == {"deleted": 150, "already": 0, "refused": 0}
        with pytest.raises(pilotbus.Invalid, match="name the jobs"):
            bus.kill()
        with pytest.raises(pilotbus.Invalid, match="there are no job ids"):
            bus.kill([], states=["Waiting"])  # and not all that wait
        with pytest.raises(pilotbus.Invalid, match="jobgroup"):
            bus.kill(jobgroup="round16")
        assert bus.counts(other) == {"Waiting": 1}


def test_a_wait_outlives_a_lost_connection(vhost: Vhost, house: Runner) -> None:
    with Session(vhost.person("ada"), vhost.ca_file) as bus:
        done = bus.submit(WAITS, parameters=range(3))
        over = list[object]()
        waiting = threading.Thread(target=lambda: over.append(bus.wait(done, timeout_s=100)))
        waiting.start()
        cut(vhost, "ada")
        bus.kill(done)  # also the session's own connection was cut
        waiting.join(timeout=100)
        assert over == [{"Killed": 3}]


def test_events_come_to_a_loop_and_to_an_asynchronous_one(vhost: Vhost) -> None:
    with Session(vhost.person("ada"), vhost.ca_file) as bus:
        with bus.events("job.running.v1.*", quiet_s=20) as events:
            told(vhost, 7)
            assert next(events).subject == "7"

        async def first_two() -> list[str]:
            found = []
            async with bus.events() as following:
                await asyncio.to_thread(told, vhost, 8)
                async for event in following:
                    found.append(event.subject)
                    if len(found) == 2:
                        break
                    with pytest.raises(TimeoutError):  # whoever gives up meanwhile loses nothing
                        await asyncio.wait_for(anext(following), 0.1)
                    await asyncio.to_thread(told, vhost, 9)
            return found

        assert asyncio.run(first_two()) == ["8", "9"]
        assert list(bus.events("job.#", quiet_s=0.1)) == []
        with pytest.raises(pilotbus.Refused, match="may not follow"):
            bus.events("job.#", everybody=True)
        with bus.events() as events:
            cut(vhost, "ada")
            with pytest.raises(pilotbus.Unavailable, match="connection to the broker was lost"):
                next(events)


def test_many_different_jobs_travel_as_a_file_and_are_confirmed(vhost: Vhost, stand: Stand) -> None:
    with stand.session(words=words()) as bus, serving(vhost, Bulk()) as service:
        done = bus.bulk([ECHO | {"Arguments": "one"}, {"Executable": "x", "Parameters": 2}])
        assert done.count == 3
        stored, sure = (data for _, data in service.asked[:2])
        assert set(stored) == {"submission", "dataref"}
        assert stored["dataref"]["format"] == "jsonl"
        assert sure == {"submission": done.key, "first_job_id": 1, "count": 3}
        with pytest.raises(pilotbus.Invalid, match=r"description 1: .*Executabel"):
            bus.bulk([ECHO, {"Executabel": "x"}])
        with pytest.raises(pilotbus.Invalid, match="description 1: is no mapping of attributes"):
            bus.bulk([ECHO, "/bin/echo"])  # type: ignore[list-item]
        with pytest.raises(pilotbus.Invalid, match="there is no job in it"):
            bus.bulk([])


def test_the_module_is_a_face_and_nothing_more() -> None:
    tree = ast.parse((ROOT / "pilotbus.py").read_text())
    rooms = {node.module.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert rooms == {"__future__", "concurrent", "bus"}
    assert all(hasattr(pilotbus, name) for name in pilotbus.__all__)
