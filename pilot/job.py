"""One job from the match to its last report: input, payload, output, each step said in order."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pilot import credentials, sandbox, store, tree
from pilot.command import Job, Pilot
from pilot.heart import Lease
from pilot.limits import MINOR_STATUS, limits_of, sentence_of
from pilot.payload import CanNotStart, Outcome, Payload
from pilot.sandbox import BadSandbox
from pilot.wire.lines import Stream
from schemas.rules.isolation import is_enough
from schemas.rules.secrets import scrub

SAYS = ("job.reported.v1", "pilot.reported.v1", "log.written.v1")
_PATH = "/usr/local/bin:/usr/bin:/bin"
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ")
_LONGEST_SENTENCE = 240
_TO_LEASE_S = 100  # then its match is about to expire


class LeaseOver(Exception):
    """The attempt is not this pilot's any more, and nothing of it is to be reported."""


class Over(Exception):
    """The job's last report: its state, DIRAC's minor status and one sentence."""

    def __init__(self, state: str, minor: str, sentence: str = "", **more: Any) -> None:
        super().__init__(sentence)
        self.report = (state, minor, sentence)
        self.more = more


@dataclass(frozen=True)
class Result:
    """The end of a payload in a job's words."""

    state: str
    minor: str
    sentence: str


def run_job(pilot: Pilot, job: Job) -> None:
    """The job is run and its end is said, whatever the end is; nothing of it stays on the node."""
    with pilot.heart.hold(job.job_id, job.attempt) as lease:
        if not pilot.heart.decided(lease, _TO_LEASE_S):
            pilot.phase("lease_refused", job=job)
            return
        _run(pilot, job, lease)


def _run(pilot: Pilot, job: Job, lease: Lease) -> None:
    home = pilot.home_of(job)
    workdir = home / "work"
    report(pilot, job, "Running", "Job Initialization")
    try:
        _refuse_weak(pilot, job)
        tree.remove(home)
        workdir.mkdir(parents=True, mode=0o700)
        _bring_input(pilot, job, home, workdir)
        with credentials.of(pilot, job) as environment:
            outcome = _run_payload(pilot, job, lease, workdir, environment)
        _stop_if_unwanted(pilot, job, outcome)
        output = _save_output(pilot, job, home, workdir)
        if lease.over:
            raise LeaseOver
        result = judge(outcome, job.description)
        raise Over(result.state, result.minor, result.sentence, **_ends(outcome), **output)
    except LeaseOver:
        pilot.log("the lease is over: the job may be another pilot's by now, and is not this one's any more", job)
        pilot.phase("lease_over", job=job)
    except Over as over:
        if pilot.link is not None:
            pilot.link.settle(1.0, only_lines=True)  # so that whoever follows the log reads its end before the job's
        report(pilot, job, *over.report, **over.more)
    except BaseException as problem:
        report(pilot, job, "Failed", "Exception During Execution", f"the pilot failed: {type(problem).__name__}: {problem}")
        raise
    finally:
        tree.remove(home)
        if pilot.link is not None:
            pilot.link.outbox.lines.forget(job.job_id, job.attempt)


def report(pilot: Pilot, job: Job, state: str, minor: str, sentence: str = "", **more: Any) -> None:
    """The job's step is said, after all that was said before."""
    data = {**job.label, "pilot_id": pilot.pilot_id, "state": state, "minor_status": minor, **more}
    if sentence:
        data["application_status"] = scrub(sentence)[:_LONGEST_SENTENCE]  # first: half a secret is one too
    pilot.say("job.reported.v1", data)
    pilot.log(f"job {job.job_id}, attempt {job.attempt}: {state}, {minor}{': ' + sentence if sentence else ''}", job)


def judge(outcome: Outcome, description: dict[str, Any]) -> Result:
    """How this end of a payload is called."""
    if outcome.stopped in MINOR_STATUS:
        return Result("Failed", MINOR_STATUS[outcome.stopped], sentence_of(outcome, description))
    refused = ", after it was refused one more process" if outcome.refused_processes else ""
    if outcome.signal is not None:
        name = signal.Signals(outcome.signal).name if outcome.signal in set(signal.Signals) else "unknown"
        return Result("Failed", "Application Finished With Errors", f"ended by signal {outcome.signal} ({name}){refused}")
    if outcome.exit_code:
        return Result("Failed", "Application Finished With Errors", f"ended with exit code {outcome.exit_code}{refused}")
    return Result("Done", "Execution Complete", "finished")


def command_of(description: dict[str, Any], job_id: int, workdir: Path, path: str, *, on_node: bool = True) -> list[str]:
    """The words of the command line: an executable shipped in the sandbox first, then one of the node. Raises Over.

    In an image, which is not the node, it is looked for when it starts.
    """
    executable = str(description.get("Executable", ""))
    try:
        arguments = shlex.split(_at_start(description.get("Arguments"), description, job_id))
    except ValueError as problem:
        raise Over("Failed", "Job Initialization", f"the arguments can not be split: {problem}") from problem
    shipped = workdir / executable
    if shipped.is_file() and workdir.resolve() in shipped.resolve().parents:
        shipped.chmod(shipped.stat().st_mode | 0o700)
        return [str(shipped), *arguments]
    if not on_node and ("/" not in executable or executable.startswith("/")):
        return [executable, *arguments]
    # a relative path means the work directory, never the directory that the pilot happens to be in
    found = shutil.which(executable, path=path) if "/" not in executable or executable.startswith("/") else None
    if found is None:
        there = executable.startswith("/") and Path(executable).is_file()
        place = "is on this node but can not be executed" if there else "is not on this node"
        raise Over("Failed", "Application not found", f"executable {executable} {place}")
    return [found, *arguments]


def environment_of(pilot: Pilot, job: Job, workdir: Path) -> dict[str, str]:
    """A payload's whole environment: small, and without anything that lets it speak as the pilot."""
    temporary = workdir.parent / "tmp"
    temporary.mkdir(mode=0o700, exist_ok=True)
    processors = str(job.processors)
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    passed["PATH"] = pilot.isolation.reachable(passed.get("PATH", "")) or _PATH
    own = [str(pair).partition("=") for pair in job.description.get("ExecutionEnvironment") or ()]
    return {
        "LANG": "C.UTF-8",
        **passed,
        **{name: value for name, equals, value in own if name and equals},
        "HOME": str(workdir),
        "PWD": str(workdir),
        "TMPDIR": str(temporary),
        "JOBID": str(job.job_id),
        "DIRACSITE": pilot.config.site,
        "DIRAC_JOB_PROCESSORS": processors,
        "OMP_NUM_THREADS": processors,
        "PILOTBUS_JOB_ID": str(job.job_id),
        "PILOTBUS_ATTEMPT": str(job.attempt),
        "PILOTBUS_PILOT_ID": pilot.pilot_id,
        "PILOTBUS_SITE": pilot.config.site,
        **_gpus(pilot, job),
    }


def _given(pilot: Pilot, job: Job) -> dict[str, Any]:
    """The description with what the job has been given: beside others, no more memory than its share."""
    given = {**job.description, "NumberOfProcessors": job.processors}
    return {**given, "MaxRAM": job.share.memory_mb} if pilot.config.pool and job.share and job.share.memory_mb else given


def _gpus(pilot: Pilot, job: Job) -> dict[str, str]:
    """Which GPUs the job may use, where the pilot has several jobs and any GPU."""
    if job.share is None or not pilot.config.pool or not pilot.resource.get("NumberOfGPUs"):
        return {}
    own = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    named = [own[number] if number < len(own) else str(number) for number in job.share.gpus]
    return {"CUDA_VISIBLE_DEVICES": ",".join(named)}


def _at_start(text: Any, description: dict[str, Any], job_id: int) -> str:
    # %j is only a parametric job's: elsewhere it may be a format of date
    return str(text or "").replace("%j", str(job_id)) if "ParameterNumber" in description else str(text or "")


def _refuse_weak(pilot: Pilot, job: Job) -> None:
    """The community's demand holds here too, whatever the matcher was told. Raises Over."""
    level, least = pilot.isolation.level, job.least_isolation
    if not is_enough(level, least):
        sentence = f"community {job.vo} demands isolation {least}, this pilot gives {level}"
        raise Over("Failed", "Job Initialization", sentence)


def _bring_input(pilot: Pilot, job: Job, home: Path, workdir: Path) -> None:
    _stop_if_unwanted(pilot, job)
    began = time.monotonic()
    if job.input:
        report(pilot, job, "Running", "Downloading InputSandbox")
        try:
            store.fetch(pilot, job, home / "input.tar.gz")
            sandbox.unpack(home / "input.tar.gz", workdir, pilot.config.unpacked_limit_mb)
        except BadSandbox as problem:
            _stop_if_unwanted(pilot, job)
            raise Over("Failed", "Failed Downloading InputSandbox", f"input sandbox: {problem}") from problem
        (home / "input.tar.gz").unlink()
    pilot.phase("input_ready", job=job, seconds=time.monotonic() - began)


def _outputs(job: Job, workdir: Path) -> tuple[Path, Path]:
    """The files of standard output and error, both inside the work directory."""
    paths = []
    for attribute, default in (("StdOutput", "std.out"), ("StdError", "std.err")):
        name = _at_start(job.description.get(attribute) or default, job.description, job.job_id)
        inner = PurePosixPath(name)
        path = workdir / inner
        if (
            inner.is_absolute()
            or ".." in inner.parts
            or workdir.resolve() not in path.resolve().parents
            or path.is_dir()
            or path.is_symlink()
        ):
            raise Over("Failed", "Job Initialization", f"{attribute} {name!r} is no file inside the work directory")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        paths.append(path)
    return paths[0], paths[1]


def _run_payload(pilot: Pilot, job: Job, lease: Lease, workdir: Path, more: dict[str, str]) -> Outcome:
    link = pilot.link

    def lines(stream: str, texts: Sequence[str]) -> None:
        if link is not None:
            link.lines(Stream(job.job_id, job.attempt, stream), texts)

    environment = {**environment_of(pilot, job, workdir), **more}
    outputs = _outputs(job, workdir)
    command = command_of(job.description, job.job_id, workdir, environment["PATH"], on_node=pilot.isolation.shows_node)
    _stop_if_unwanted(pilot, job)
    try:
        limits = limits_of(_given(pilot, job), pilot.config, pilot.seconds_left())
    except ValueError as problem:
        raise Over("Failed", "Job Initialization", str(problem)) from problem
    try:
        payload = Payload(command, workdir.parent, environment, outputs, lines, limits, pilot.isolation)
        lease.measure = lambda: {**payload.usage(), "last_lines": link.outbox.lines.tail(job.job_id, job.attempt) if link else []}
        report(pilot, job, "Running", "Application", isolation=pilot.isolation.level)
        pilot.phase("payload_started", job=job, **pilot.isolation.details)
        outcome = payload.wait(pilot.orders.wait, pilot.orders.changed, lambda: pilot.unwanted(job))
    except CanNotStart as problem:
        raise Over("Failed", "Application not found", str(problem)) from problem
    pilot.phase("payload_ended", job=job, seconds=outcome.wall_s, cpu_seconds=round(outcome.cpu_s, 2), **_ends(outcome))
    return outcome


def _ends(outcome: Outcome) -> dict[str, int]:
    ends = {"exit_code": outcome.exit_code, "signal": outcome.signal}
    return {name: number for name, number in ends.items() if number is not None}


def _stop_if_unwanted(pilot: Pilot, job: Job, outcome: Outcome | None = None) -> None:
    """Raises Over when this attempt was killed, or the pilot told to leave at once, unless the payload was faster."""
    reason = pilot.unwanted(job) if outcome is None else outcome.stopped
    if reason == "lease":
        raise LeaseOver
    ends = _ends(outcome) if outcome else {}
    if reason == "kill":
        raise Over("Killed", "Marked for termination", "killed as requested", **ends)
    if reason == "leave":
        raise Over("Failed", "Received Kill signal", pilot.orders.why, **ends)


def _save_output(pilot: Pilot, job: Job, home: Path, workdir: Path) -> dict[str, Any]:
    """What to say about the output: its digest and size, or nothing when there is none. Raises Over."""
    names = [_at_start(name, job.description, job.job_id) for name in job.description.get("OutputSandbox") or ()]
    if not names:
        return {}
    began = time.monotonic()
    report(pilot, job, "Completing", "Uploading Output Sandbox")
    files, missing = sandbox.find(workdir, names)
    if missing:
        pilot.log(f"output sandbox: nothing is named {', '.join(missing)}", job)
    if not files:
        return {}
    try:
        packed = sandbox.pack(workdir, files, home / "output.tar.gz", pilot.config.sandbox_limit_mb)
        store.store(pilot, job, packed)
    except BadSandbox as problem:
        _stop_if_unwanted(pilot, job)
        raise Over("Failed", "Uploading Output Sandbox", f"output sandbox: {problem}") from problem
    pilot.phase("uploaded", job=job, seconds=time.monotonic() - began, files=packed.files, size_bytes=packed.size_bytes)
    return {"output": {"digest": packed.digest, "size_bytes": packed.size_bytes}}
