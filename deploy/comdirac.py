"""COMDIRAC's everyday commands, with its common options, by our verbs: dsub, dstat, dkill, doutput, dlogging.

Ids go with commas, as there, or as ranges, as here. Exit codes are those of `pilotbus`.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from bus import jobs as of_jobs
from bus.client import Client
from bus.errors import Invalid
from bus.selections import every_job, outcomes
from deploy.dsub import describe
from deploy.main import serve
from deploy.verbs import output
from deploy.verbs.common import NOT_FOUND, PARTIAL, Failure, client, job_ids, print_json, print_table, session, talk
from schemas.rules.job_states import FINAL, ROW_FINAL, STATES

FIELDS = ("Owner", "JobName", "OwnerGroup", "JobGroup", "Site", "Status", "MinorStatus", "SubmissionTime")
NAMES = {
    "JobID": "job_id", "Owner": "owner", "JobName": "job_name", "OwnerGroup": "owner_group", "JobGroup": "job_group",
    "Site": "site", "Status": "state", "MinorStatus": "minor_status", "ApplicationStatus": "application_status",
    "SubmissionTime": "submitted_at", "LastUpdateTime": "changed_at", "VO": "vo",
}  # fmt: skip
LOGGING = {
    "Status": "state",
    "MinorStatus": "minor_status",
    "ApplicationStatus": "application_status",
    "Time": "at",
    "Source": "source",
}
OUTPUT_DAYS = 30

Ids = Annotated[list[str] | None, typer.Argument(metavar="[JobID]...", help="17, 17,18 or 17-40.")]
Format = Annotated[str, typer.Option("-f", "--Fmt", help="pretty, csv or json.")]
InputFile = Annotated[Path | None, typer.Option("-i", "--input-file", help="Read JobIDs from a file.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say what is done.")]
Text = Annotated[str, typer.Option()]


def run_dsub(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[EXECUTABLE [ARGUMENTS]...]", help="-- before arguments with a dash.")
    ] = None,
    jdl: Annotated[str, typer.Option("-J", "--JDL", help="A file of JDL, or JDL.")] = "",
    job_name: Annotated[str, typer.Option("-N", "--JobName")] = "",
    std_error: Annotated[str, typer.Option("-E", "--StdError")] = "",
    std_output: Annotated[str, typer.Option("-O", "--StdOutput")] = "",
    output_sandbox: Annotated[str, typer.Option("--OutputSandbox")] = "",
    input_sandbox: Annotated[str, typer.Option("--InputSandbox")] = "",
    output_data: Annotated[str, typer.Option("--OutputData")] = "",
    input_data: Annotated[str, typer.Option("--InputData")] = "",
    output_path: Annotated[str, typer.Option("--OutputPath")] = "",
    output_se: Annotated[str, typer.Option("--OutputSE")] = "",
    cpu_time: Annotated[str, typer.Option("--CPUTime")] = "",
    site: Annotated[str, typer.Option("--Site")] = "",
    banned_site: Annotated[str, typer.Option("--BannedSite")] = "",
    platform: Annotated[str, typer.Option("--Platform")] = "",
    priority: Annotated[str, typer.Option("--Priority")] = "",
    job_group: Annotated[str, typer.Option("--JobGroup")] = "",
    parametric: Annotated[str, typer.Option("--Parametric", help="Values, or one start:stop[:step[:factor]].")] = "",
    force_upload: Annotated[bool, typer.Option("--ForceExecUpload")] = False,  # noqa: FBT002
    verbose: Verbose = False,  # noqa: FBT002
) -> None:
    """Submit a command, a script with lines `#JDL Name = value`, or JDL; without any, a script from standard input."""
    told = {
        "JobName": job_name, "StdError": std_error, "StdOutput": std_output, "OutputSandbox": output_sandbox,
        "InputSandbox": input_sandbox, "OutputData": output_data, "InputData": input_data, "OutputPath": output_path,
        "OutputSE": output_se, "CPUTime": cpu_time, "Site": site, "BannedSites": banned_site, "Platform": platform,
        "Priority": priority, "JobGroup": job_group,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        given = {name: value for name, value in told.items() if value}
        description = describe(jdl, command or [], given, parametric, force_upload=force_upload, folder=Path(folder))
        if verbose:
            talk.print(json.dumps(description, indent=2), markup=False, soft_wrap=True)
        with session("dsub") as bus:
            done = bus.submit(description)
    sys.stdout.write(",".join(map(str, done.job_ids)) + "\n")


def run_dstat(
    jobs: Ids = None,
    user: Annotated[str, typer.Option("-u", "--User", help="Whose; yours without it.")] = "",
    status: Annotated[str, typer.Option("-S", "--Status", help=f"States, with commas: {', '.join(STATES)}.")] = "",
    every: Annotated[bool, typer.Option("-a", "--StatusAll", help="Jobs in any state.")] = False,  # noqa: FBT002
    job_group: Annotated[str, typer.Option("-g", "--JobGroup")] = "",
    job_name: Annotated[str, typer.Option("-n", "--JobName")] = "",
    form: Format = "pretty",
    days: Annotated[int, typer.Option("-D", "--JobDate", min=0, max=36500, help="Not older than so many days.")] = 10,
    fields: Annotated[str, typer.Option("-F", "--Fields", help=f"Columns, with commas, such as {','.join(FIELDS)}.")] = "",
    input_file: InputFile = None,
) -> None:
    """Show jobs: those named, or yours that are not over."""
    columns = ["JobID", *(_known(fields.split(",")) if fields else FIELDS)]
    states = _states(status, every=every)
    ids, whose = ids_of(jobs, input_file), _owner(user)
    with client("dstat") as bus:
        found = of_jobs.all_of(bus, ids) if ids else selected(bus, states, days, owner=whose, job_group=job_group)
        shown = (job for job in found if job["state"] in states and job_name in ("", job["job_name"]))
        rows = [{name: job.get(NAMES[name], "") for name in columns} for job in shown]
    show(columns, rows, form, key="JobID")


def run_dkill(
    jobs: Ids = None,
    delete: Annotated[bool, typer.Option("-D", "--delete", help="Delete, not kill.")] = False,  # noqa: FBT002
    every: Annotated[bool, typer.Option("-a", "--all", help="All your jobs that are not over.")] = False,  # noqa: FBT002
    verbose: Verbose = False,  # noqa: FBT002
    input_file: InputFile = None,
) -> None:
    """Kill jobs, or delete them; it is asked and not waited for."""
    ids = ids_of(jobs, input_file)
    if not ids and not every:
        raise Invalid("name the jobs, or all by -a")
    with client("dkill") as bus:
        if every:
            wanted = set(STATES) - (ROW_FINAL if delete else FINAL | ROW_FINAL)
            ids += [job["job_id"] for job in selected(bus, wanted)]
        results = list(outcomes(bus.ask, "job.delete.v1" if delete else "job.kill.v1", list(dict.fromkeys(ids))))
    if verbose:
        for result in results:
            sys.stdout.write(f"{result['outcome']} job {result['job_id']}\n")
    refused = [result for result in results if result["outcome"] == "refused"]
    if refused:
        done = "deleted" if delete else "killed"
        raise Failure(f"{len(refused)} of {len(results)} jobs were not {done}: {refused[0]['reason']}", PARTIAL)


def run_doutput(
    jobs: Ids = None,
    directory: Annotated[Path, typer.Option("-D", "--OutputDir")] = Path(),
    wants_data: Annotated[bool, typer.Option("--Data", help="Output data: there is no data management yet.")] = False,  # noqa: FBT002
    wants_sandbox: Annotated[bool, typer.Option("--Sandbox", help="The output sandbox; so without it.")] = False,  # noqa: FBT002
    verbose: Verbose = False,  # noqa: FBT002
    no_job_dir: Annotated[bool, typer.Option("-n", "--NoJobDir", help="Not possible here: names would clash.")] = False,  # noqa: FBT002
    job_group: Annotated[list[str] | None, typer.Option("-g", "--JobGroup", help="Jobs of this group that are over.")] = None,
    input_file: InputFile = None,
) -> None:
    """Fetch output sandboxes, each into a folder named by its job; what is here already is not fetched again."""
    if no_job_dir:
        raise Invalid("--NoJobDir: outputs of several jobs have files of the same name; each goes into its job's folder")
    if wants_data and not wants_sandbox:
        raise Invalid("--Data: no storage for output data is configured; leave it out for the output sandbox")
    ids = ids_of(jobs, input_file)
    with client("doutput") as bus:
        for group in job_group or ():
            ids += [job["job_id"] for job in selected(bus, {"Done", "Failed"}, OUTPUT_DAYS, job_group=group)]
    if not ids:
        raise Failure("there are no such jobs", NOT_FOUND)
    output.run(list(map(str, ids)), directory=directory)
    if verbose:
        talk.print(f"{len(ids)} outputs are in {directory}", markup=False)


def run_dlogging(
    jobs: Annotated[list[str], typer.Argument(metavar="JobID...", help="17, 17,18 or 17-40.")], form: Format = "pretty"
) -> None:
    """Show what has happened to jobs."""
    with client("dlogging") as bus:
        for job in of_jobs.all_of(bus, ids_of(jobs, None), history=True):
            rows = [{name: step[key] for name, key in LOGGING.items()} for step in job["history"]]
            show(list(LOGGING), rows, form)


def ids_of(words: Sequence[str] | None, input_file: Path | None) -> list[int]:
    """The ids of words and of a file, with commas or spaces between them. Raises Invalid, naming the word."""
    read = input_file.read_text(encoding="utf-8") if input_file else ""
    return job_ids(" ".join([*(words or ()), read]).replace(",", " ").split())


def selected(bus: Client, states: Collection[str], days: int = 0, **only: str) -> Iterator[dict[str, Any]]:
    """One's own jobs, or another's, in these states, and not older than so many days; 0 is any age."""
    asked: dict[str, Any] = {"states": sorted(states), **{name: value for name, value in only.items() if value}}
    if days:
        asked["submitted_after"] = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return every_job(bus, asked)


def _owner(user: str) -> str:
    if user.lower() in {"*", "__all__"}:
        raise Invalid(f"{user}: name an account; `pilotbus status --owner-group` shows the jobs of a group")
    return user


def _states(status: str, *, every: bool) -> set[str]:
    if every or status.lower() == "all":
        return set(STATES)
    if not status:
        return set(STATES) - FINAL - ROW_FINAL
    known = {state.lower(): state for state in STATES}
    for word in status.split(","):
        if word.strip().lower() not in known:
            raise Invalid(f"{word} is no state of a job; there are {', '.join(STATES)}")
    return {known[word.strip().lower()] for word in status.split(",")}


def _known(fields: Iterable[str]) -> list[str]:
    for field in fields:
        if field not in NAMES:
            raise Invalid(f"{field} is no field of a job; there are {', '.join(NAMES)}")
    return list(fields)


def show(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], form: str, key: str = "") -> None:
    """The rows on standard output in COMDIRAC's three forms; JSON by the key, if there is one."""
    if form == "json":
        print_json({str(row[key]): row for row in rows} if key else rows)
    elif form == "csv":
        written = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        written.writeheader()
        written.writerows(rows)
    elif form == "pretty":
        print_table(columns, ([row[name] for name in columns] for row in rows))
    else:
        raise Invalid(f"{form} is no format; there are pretty, csv and json")


def _entry(name: str, verb: Callable[..., None]) -> Callable[[], None]:
    def run() -> None:
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command(name, help=verb.__doc__, context_settings={"help_option_names": ["-h", "--help"]})(verb)
        sys.exit(serve(app, sys.argv[1:], name))

    return run


dsub = _entry("dsub", run_dsub)
dstat = _entry("dstat", run_dstat)
dkill = _entry("dkill", run_dkill)
doutput = _entry("doutput", run_doutput)
dlogging = _entry("dlogging", run_dlogging)
