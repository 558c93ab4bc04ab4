"""Submit what FILE describes (JDL, YAML or JSON; - is standard input): one job, or a parameter sweep.

FILE may also be JSON lines, a job on each, or with --table a template with a %(column)s wherever the rows differ.
What it holds is told by how its name ends, and of standard input, or any other name, by --format; else it is JDL.
Prints the job ids. All jobs are accepted or none is; the same --key always gets the same ids, whatever was lost on the way.
With --dry-run the jobs are made and shown and nothing is sent.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from bus.errors import Invalid
from bus.submission import PATIENCE_S, Submission, key_of
from deploy.verbs._descriptions import FORMS, JSON_LINES, describe, folder_of, form_of, jobs_in, rows_of, shared_files
from deploy.verbs._dry_run import show
from deploy.verbs.common import Json, print_json, progress, session, talk
from schemas.rules.parametric import count, is_parametric

MANY = 1000


def run(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A job description; - is standard input.")],
    key: Annotated[str, typer.Option(help="The submission's own uuid; made up when not given.")] = "",
    owner_group: Annotated[str, typer.Option(help="In which of your groups; the default one when not given.")] = "",
    table: Annotated[str, typer.Option(metavar="CSV", help="Rows that fill FILE, a template; - is standard input.")] = "",
    form: Annotated[str, typer.Option("--format", help=f"What FILE holds: {', '.join(FORMS)}.", show_default=False)] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the jobs.")] = False,  # noqa: FBT002
    everything: Annotated[bool, typer.Option("--all", help="With --dry-run: all jobs, not the first few.")] = False,  # noqa: FBT002
    patience: Annotated[float, typer.Option(help="Seconds to go on trying when the bus is lost.")] = PATIENCE_S,
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Submit what FILE describes."""
    submission = key_of(key)
    form = form_of(file, form)
    _refuse_senseless(file, table, form, dry_run=dry_run, everything=everything)
    if dry_run:
        show(jobs_in(file, table, form), everything=everything, as_json=json)
        return
    told: dict[str, Any] = {"key": submission, "owner_group": owner_group, "base": folder_of(file), "patience_s": patience}
    done = _many(file, table, form, told) if table or form == JSON_LINES else _one(file, form, told)
    if json:
        print_json({"submission": submission, "first_job_id": done.first_job_id, "count": done.count})
    else:
        talk.print(f"submitted {done.count} job{'s' * (done.count > 1)} under key {submission}")
        sys.stdout.write(shown(done) + "\n")


def shown(done: Submission) -> str:
    """The ids, as every verb takes them."""
    return f"{done.first_job_id}-{done.first_job_id + done.count - 1}" if done.count > 1 else f"{done.first_job_id}"


def _one(file: str, form: str, told: dict[str, Any]) -> Submission:
    description = describe(file, form)
    shared_files(file, description)  # what is wrong here is told before anybody is asked
    if is_parametric(description) and count(description) > MANY:
        _tell(told)
    with session("submit") as bus:
        return bus.submit(description, **told)


def _many(file: str, table: str, form: str, told: dict[str, Any]) -> Submission:
    """The jobs are read while they are checked, and sent when all are; no more than a few are held at a time."""
    if table:
        template = describe(file, form, template=True)
        with session("submit") as bus, rows_of(table, template=file) as text:
            _tell(told)
            return bus.bulk_table(template, text, **told)
    with session("submit") as bus, progress() as bar:
        _tell(told)
        return bus.bulk_jobs(bar.track(jobs_in(file, form=form).jobs, description="checking"), **told)


def _tell(told: dict[str, Any]) -> None:
    """Whoever is stopped in the middle knows under which key to go on."""
    talk.print(f"the key is {told['key']}: with --key the same may be submitted again, and no job comes twice", soft_wrap=True)


def _refuse_senseless(file: str, table: str, form: str, *, dry_run: bool, everything: bool) -> None:
    if everything and not dry_run:
        raise Invalid("--all goes with --dry-run")
    if file.endswith(".csv"):
        raise Invalid(f"{file}: a table fills a template: pilotbus submit TEMPLATE --table {file}")
    if table and form == JSON_LINES:
        raise Invalid(f"{file}: JSON lines are jobs and no template for --table")
    if file == table == "-":
        raise Invalid("template and table can not both be standard input")
