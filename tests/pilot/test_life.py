"""A pilot's life, whole: the zip as a process, a real broker, real payloads."""

from __future__ import annotations

import io
import json
import signal
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.pilot.conftest import BOTH, Spoken, Start, through
from tests.pilot.counterpart import Cable, Services, Store
from tests.pilot.jobs import Jobs, tar
from tests.pilot.test_zip import interpreter


def states(services: Services, job_id: int) -> list[tuple[str, str]]:
    return [(data["state"], data["minor_status"]) for data in services.of("job.reported.v1", job_id=job_id)]


def last(services: Services, job_id: int) -> Any:
    """The job's final report, once it is heard."""

    def final() -> Any:
        found = services.of("job.reported.v1", job_id=job_id)
        return found[-1] if found and found[-1]["state"] in ("Done", "Failed", "Killed") else None

    return services.until(final, 40)


def phases(services: Services) -> list[str]:
    return [data["phase"] for data in services.of("pilot.reported.v1")]


def text_of(services: Services, job_id: int, stream: str) -> list[str]:
    batches = services.of("log.written.v1", job_id=job_id, stream=stream)
    return [line["text"] for data in sorted(batches, key=lambda data: data["first_number"]) for line in data["lines"]]


@pytest.fixture
def jobs(services: Services, store: Store) -> Iterator[Jobs]:
    yield Jobs(services, store)


@BOTH
def test_a_job_with_sandboxes_is_done_and_every_step_is_said(
    jobs: Jobs, services: Services, store: Store, start: Start, tmp_path: Path
) -> None:
    script = "#!/bin/sh\necho hello from $PILOTBUS_JOB_ID\necho oops >&2\ncat data.txt > result.txt\nenv > env.txt\n"
    given = store.keep(tar(run_sh=script, data_txt="42"))
    job = jobs.add("run.sh", "", input=given, OutputSandbox=["std.out", "std.err", "*.txt", "gone"])
    pilot = start("--max-jobs", "1")
    report = last(services, job)
    assert states(services, job) == [
        ("Running", "Job Initialization"),
        ("Running", "Downloading InputSandbox"),
        ("Running", "Application"),
        ("Completing", "Uploading Output Sandbox"),
        ("Done", "Execution Complete"),
    ]
    assert (report["application_status"], report["exit_code"]) == ("finished", 0)
    with tarfile.open(fileobj=io.BytesIO(store.kept[report["output"]["digest"]])) as output:
        files = {member.name: output.extractfile(member).read().decode() for member in output}  # type: ignore[union-attr]
    assert (files["std.out"], files["std.err"], files["result.txt"]) == (f"hello from {job}\n", "oops\n", "42")
    assert "amqps://" not in files["env.txt"]
    assert text_of(services, job, "std.out") == [f"hello from {job}"]
    assert any("nothing is named gone" in line for line in text_of(services, job, "pilot"))
    assert pilot.wait(30) == 0
    assert phases(services) == [
        *("booted", "checked", "described", "asking", "matched", "input_ready"),
        *("payload_started", "payload_ended", "uploaded", "leaving"),
    ]
    assert [data["number"] for data in services.of("pilot.reported.v1")] == list(range(1, 11))
    assert services.of("pilot.reported.v1")[-1]["details"]["reason"] == "max-jobs"
    assert list(tmp_path.iterdir()) == []


@BOTH
def test_a_job_is_done_under_the_oldest_python_that_is_promised(
    jobs: Jobs, services: Services, store: Store, start: Start
) -> None:
    python = interpreter("3.9")
    if not python:
        pytest.skip("no Python 3.9 is installed; name one in PILOTBUS_PYTHON_3_9")
    given = store.keep(tar(run_sh="#!/bin/sh\necho 42 > result.txt\n"))
    job = jobs.add("run.sh", input=given, OutputSandbox=["result.txt"])
    pilot = start("--max-jobs", "1", python=python)
    assert last(services, job)["output"]["digest"] in store.kept
    assert pilot.wait(30) == 0


def test_a_misspelt_executable_is_named_in_the_status(jobs: Jobs, services: Services, start: Start) -> None:
    job = jobs.add("/bin/lis")
    start("--max-jobs", "1")
    report = last(services, job)
    assert (report["state"], report["minor_status"]) == ("Failed", "Application not found")
    assert report["application_status"] == "executable /bin/lis is not on this node"


def test_a_failing_job_still_brings_its_output(jobs: Jobs, services: Services, store: Store, start: Start) -> None:
    job = jobs.add("/bin/sh", "-c 'echo before; exit 7'", OutputSandbox=["std.out"])
    start("--max-jobs", "1")
    report = last(services, job)
    assert (report["state"], report["minor_status"], report["exit_code"]) == ("Failed", "Application Finished With Errors", 7)
    assert report["output"]["digest"] in store.kept


@BOTH
def test_a_parked_pilot_starts_a_job_as_soon_as_there_is_one(jobs: Jobs, services: Services, start: Start) -> None:
    start("--max-jobs", "1")
    services.until(lambda: any(request["type"] == "match.request.v1" for request, _ in services.parked))
    began = time.monotonic()
    job = jobs.add("/bin/echo", "hi")
    services.until(lambda: states(services, job))
    assert time.monotonic() - began < 15  # it polls nothing: a poll would be minutes away
    assert last(services, job)["state"] == "Done"


@BOTH
def test_a_kill_order_ends_the_payload_and_one_for_another_attempt_does_not(jobs: Jobs, services: Services, start: Start) -> None:
    job = jobs.add("/bin/sh", "-c 'echo up; sleep 300'")
    start("--max-jobs", "1")
    services.until(lambda: text_of(services, job, "std.out") == ["up"])
    services.until(lambda: any(request["type"] == "pilot.listen.v1" for request, _ in services.parked))
    services.release("pilot.listen.v1", {"orders": [{"number": 5, "order": "kill", "job_id": job, "attempt": 9}]})
    services.until(lambda: any(request["data"].get("after") == 5 for request, _ in services.parked))
    services.until(lambda: states(services, job)[-1:] == [("Running", "Application")])
    began = time.monotonic()
    services.release("pilot.listen.v1", {"orders": [{"number": 6, "order": "kill", "job_id": job, "attempt": 1}]})
    assert (last(services, job)["state"], states(services, job)[-1][1]) == ("Killed", "Marked for termination")
    assert time.monotonic() - began < 15  # the payload would sleep for 300 s


def test_a_drained_pilot_finishes_its_job_and_leaves(jobs: Jobs, services: Services, start: Start) -> None:
    job = jobs.add("/bin/sh", "-c 'echo up; sleep 1; echo end'")
    pilot = start()
    services.until(lambda: text_of(services, job, "std.out") == ["up"])
    services.until(lambda: any(request["type"] == "pilot.listen.v1" for request, _ in services.parked))
    services.release("pilot.listen.v1", {"orders": [{"number": 1, "order": "drain"}]})
    assert last(services, job)["state"] == "Done"
    assert pilot.wait(30) == 0
    assert services.of("pilot.reported.v1")[-1]["details"]["reason"] == "drained"


def test_one_signal_drains_and_two_end_the_payload(jobs: Jobs, services: Services, start: Start) -> None:
    job = jobs.add("/bin/sh", "-c 'echo up; sleep 300'")
    pilot = start()
    services.until(lambda: text_of(services, job, "std.out") == ["up"])
    pilot.send_signal(signal.SIGTERM)
    with pytest.raises(AssertionError, match="not within"):
        services.until(lambda: [state for state, _ in states(services, job)[-1:]] == ["Failed"], 1)
    pilot.send_signal(signal.SIGTERM)
    assert last(services, job)["minor_status"] == "Received Kill signal"
    assert pilot.wait(30) == 7


def test_an_idle_pilot_leaves_after_its_limit(jobs: Jobs, services: Services, start: Start) -> None:
    services.answers["match.request.v1"] = lambda _: None
    pilot = start("--idle-limit", "1")
    request = services.until(lambda: services.of("match.request.v1"))[0]
    assert request["wait_s"] == 1
    why = {"headline": "no job waits", "queues": 0, "fits": 0, "fails": {}}
    services.answers["match.request.v1"] = lambda _: {"job": None}
    time.sleep(1)  # the wait that was asked for
    services.release("match.request.v1", {"job": None, "why": why})
    assert pilot.wait(30) == 0
    left = services.of("pilot.reported.v1")[-1]["details"]
    assert (left["reason"], left["why"]) == ("idle", "no job waits")


@BOTH
def test_a_broker_that_goes_away_loses_nothing_of_a_job(
    jobs: Jobs, services: Services, pilot_url: str, cable: Cable, start: Start
) -> None:
    job = jobs.add("/bin/sh", "-c 'for n in 1 2 3 4 5 6; do echo line $n; sleep 0.3; done'")
    pilot = start("--max-jobs", "1", url=through(pilot_url, cable))
    services.until(lambda: text_of(services, job, "std.out"))
    cable.cut()
    time.sleep(1)  # the payload goes on meanwhile
    cable.mend()
    assert last(services, job)["state"] == "Done"
    assert pilot.wait(60) == 0
    assert text_of(services, job, "std.out") == [f"line {n}" for n in range(1, 7)]
    assert [state for state, _ in states(services, job)] == ["Running", "Running", "Done"]
    assert phases(services)[-1] == "leaving"


@BOTH
def test_what_a_killed_pilot_could_not_say_is_said_by_the_next_one(
    jobs: Jobs, vhost: Any, spoken: Spoken, cable: Cable, start: Start, tmp_path: Path
) -> None:
    services = jobs.services
    job = jobs.add("/bin/sh", "-c 'echo up; sleep 1'")
    pilot = start("--keep-token", url=through(spoken(vhost.pilot("first")), cable))
    services.until(lambda: text_of(services, job, "std.out") == ["up"])
    cable.cut()
    spool = tmp_path / "first" / "pilotbus-spool.jsonl"
    while b'"Done"' not in spool.read_bytes():
        time.sleep(0.05)  # the disk tells nobody
    pilot.kill()
    pilot.wait()
    start("--idle-limit", "60", url=spoken(vhost.pilot("second")))
    assert last(services, job)["pilot_id"] == "first"
    services.until(lambda: services.of("pilot.reported.v1", pilot_id="second", phase="asking"))
    assert not (tmp_path / "first").exists()
    assert "pilot-first" in services.senders, "said in its own name"


def test_without_its_token_the_last_words_of_a_dead_pilot_are_counted_and_nobody_elses(
    jobs: Jobs, vhost: Any, spoken: Spoken, cable: Cable, start: Start, tmp_path: Path
) -> None:
    services = jobs.services
    job = jobs.add("/bin/sh", "-c 'echo up; sleep 60'")
    pilot = start(url=through(spoken(vhost.pilot("first")), cable))
    services.until(lambda: text_of(services, job, "std.out") == ["up"])
    cable.cut()
    spool = tmp_path / "first" / "pilotbus-spool.jsonl"
    while b'"Failed"' not in spool.read_bytes():
        pilot.send_signal(signal.SIGTERM)  # twice at least; two at once may be one
        time.sleep(0.05)  # the disk tells nobody
    pilot.kill()
    pilot.wait()
    start("--idle-limit", "60", url=spoken(vhost.pilot("second")))
    services.until(lambda: services.of("pilot.reported.v1", pilot_id="second", phase="asking"))
    assert not (tmp_path / "first").exists()
    assert not services.of("job.reported.v1", state="Failed")


def test_the_store_may_fail_once_but_not_for_ever(jobs: Jobs, services: Services, store: Store, start: Start) -> None:
    store.fail_with = [503]
    once = jobs.add("/bin/echo", "hi", OutputSandbox=["std.out"])
    start("--max-jobs", "2")
    assert last(services, once)["output"]["digest"] in store.kept
    store.fail_with = [507]
    never = jobs.add("/bin/echo", "other", OutputSandbox=["std.out"])
    report = last(services, never)
    assert (report["state"], report["minor_status"]) == ("Failed", "Uploading Output Sandbox")
    assert report["application_status"] == "output sandbox: the store says no"


def test_an_input_that_is_not_there_or_not_what_was_promised_fails_the_job(
    jobs: Jobs, services: Services, store: Store, start: Start
) -> None:
    gone = jobs.add("/bin/echo", input={"digest": "0" * 64, "size_bytes": 1})
    evil = jobs.add("/bin/echo", input=store.keep(b"not a tar"))
    start("--max-jobs", "2")
    for job, said in ((gone, "there is no such sandbox"), (evil, "can not be unpacked")):
        report = last(services, job)
        assert (report["state"], report["minor_status"]) == ("Failed", "Failed Downloading InputSandbox")
        assert said in report["application_status"]


@BOTH
def test_services_that_refuse_a_pilot_end_it_with_their_reason(services: Services, start: Start) -> None:
    services.answers["match.request.v1"] = lambda _: {"refuse": {"code": "denied", "reason": "site LCG.Test.org is banned"}}
    pilot = start()
    _, said = pilot.communicate(timeout=30)
    assert pilot.returncode == 5
    assert "site LCG.Test.org is banned" in said
    assert "Traceback" not in said
    assert "banned" in services.of("pilot.reported.v1")[-1]["details"]["reason"]


@BOTH
def test_a_broker_that_is_not_there_is_exit_code_4(start: Start, pilot_url: str, cable: Cable, tmp_path: Path) -> None:
    cable.cut()
    (tmp_path / "pilot.json").write_text(json.dumps({"connect_limit": 2}))
    pilot = start("--config", str(tmp_path / "pilot.json"), url=through(pilot_url, cable))
    _, said = pilot.communicate(timeout=30)
    assert pilot.returncode == 4
    assert "can not be reached" in said
    assert "Traceback" not in said


@BOTH
def test_the_password_can_not_be_read_by_others_and_stands_nowhere_in_what_is_said(
    jobs: Jobs, services: Services, pilot_url: str, start: Start
) -> None:
    secret = unquote(urlsplit(pilot_url).password or "")
    job = jobs.add("/bin/sh", "-c 'env; echo $$; cat /proc/self/environ; ps -ef || true'")
    pilot = start("--max-jobs", "1")
    assert last(services, job)["state"] == "Done"
    _, said = pilot.communicate(timeout=30)
    assert secret not in said
    assert secret not in json.dumps(services.heard)
