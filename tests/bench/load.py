"""Waiting jobs by the million, straight into the tables, as job.submit, job.check and job.schedule would have left them."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from schemas.rules.matching import digest, requirements

SUBMISSION = "7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01"
ROWS_AT_ONCE = 5_000
_NAMED = {"Sites": "Site", "BannedSites": "BannedSites", "Platforms": "Platform", "Tags": "Tags", "MinRAM": "MinRAM"}
_OURS = """SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname IN ('job', 'match', 'share')
   OR (schemaname = 'bus' AND tablename IN ('events', 'unsent', 'inbox', 'timers', 'failures'))
   OR (schemaname = 'trust' AND tablename = 'enrolments')
   OR (schemaname = 'registry' AND tablename IN ('users', 'members'))"""
_CONSTRAINTS = """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE (conrelid = 'job.jobs'::regclass OR confrelid = 'job.jobs'::regclass) AND contype IN ('p', 'u', 'f') AND conparentid = 0
ORDER BY contype = 'f'"""
_INDEXES = """SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i
WHERE i.indrelid = 'job.jobs'::regclass AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)"""
_COPY = """COPY job.jobs (job_id, priority, description, submission, owner, owner_group, vo, job_name, job_group, job_type,
state, minor_status, queue_id, submitted_at, changed_at) FROM STDIN WITH (FREEZE)"""
_QUEUES = """INSERT INTO match.queues (queue_id, digest, requirements) OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s)"""
_NEXT_QUEUE = "SELECT setval(pg_get_serial_sequence('match.queues', 'queue_id'), greatest(1, max(queue_id))) FROM match.queues"
_VO = "INSERT INTO registry.vos (vo, described_at) VALUES (%s, now()) ON CONFLICT DO NOTHING"
_GROUP = (
    """INSERT INTO registry.groups ("group", vo, properties, described_at) VALUES (%s, %s, %s, now()) ON CONFLICT DO NOTHING"""
)
_MEMBERS = """INSERT INTO registry.members (account, number, "group")
SELECT account, row_number() OVER (PARTITION BY account ORDER BY "group"), "group"
FROM json_to_recordset(%s::json) AS (account text, "group" text)"""


@dataclass(frozen=True, slots=True)
class Shape:
    """The text of a row, but for the job's number and priority."""

    before: str
    between: str
    after: str

    def row(self, job_id: int, priority: int) -> str:
        """One line for COPY."""
        return f"{job_id}\t{priority}\t{self.before}{priority}{self.between}{job_id}{self.after}"


class Shapes:
    """Task queues as they come up in the workload, and who owns their jobs."""

    def __init__(self, at: str) -> None:
        self._at = at
        self._ids: dict[str, int] = {}
        self.queues: list[tuple[int, str, str]] = []
        self.owners: set[tuple[str, str, str]] = set()

    def shape(self, asked: Mapping[str, Any]) -> Shape:
        """The rows of jobs that ask for this; its task queue is known from now on."""
        owner, group, vo = asked["Owner"], asked["OwnerGroup"], asked["VO"]
        job = described(asked)
        needs = requirements(job, owner, group, vo)
        mark = digest(needs)
        if mark not in self._ids:
            self._ids[mark] = len(self._ids) + 1
            self.queues.append((self._ids[mark], mark, json.dumps(needs)))
        self.owners.add((owner, group, vo))
        before, between, after = json.dumps(job | {"Priority": "<", "Arguments": "--events 1000 --first >"}).partition('"<"')
        between, _, after = after.partition(">")
        state = ("Waiting", "Pilot Agent Submission", str(self._ids[mark]), self._at, self._at)
        rest = (SUBMISSION, owner, group, vo, job["JobName"], job["JobGroup"], job["JobType"], *state)
        return Shape(before, between, "\t".join((after, *rest)) + "\n")


def described(asked: Mapping[str, Any]) -> dict[str, Any]:
    """A job's normalised description."""
    return {
        "Priority": 1,
        "JobName": f"{asked['OwnerGroup']}_{asked['CPUTime']}",
        "JobGroup": asked["OwnerGroup"],
        "JobType": (asked.get("JobTypes") or ["User"])[0],
        "Executable": "/cvmfs/software.example.org/bin/run",
        "Arguments": "",
        "StdOutput": "std.out",
        "StdError": "std.err",
        "OutputSandbox": ["std.out", "std.err", "summary.xml"],
        "CPUTime": asked["CPUTime"],
        **{ours: asked[theirs] for theirs, ours in _NAMED.items() if asked.get(theirs)},
    }


def empty(database: psycopg.Connection[Any]) -> None:
    """No job, claim, pilot or person is there, and nothing is owed to the broker."""
    tables = ", ".join(name for (name,) in database.execute(_OURS).fetchall())
    database.execute(f"TRUNCATE {tables} CASCADE")


def load(dsn: str, jobs: Iterable[dict[str, Any]], count: int) -> tuple[int, float]:
    """Exactly these jobs wait; gives the number of task queues and the seconds that it took."""
    began_s = time.monotonic()
    with psycopg.connect(dsn, autocommit=True) as database:
        database.execute("SET maintenance_work_mem = '1GB'")
        (at,) = database.execute("SELECT now()::text").fetchone() or ("",)
        shapes = Shapes(at)
        built = _without_indexes(database)
        try:
            with database.transaction(), database.cursor() as cursor:
                empty(database)
                accepted = "INSERT INTO job.submissions VALUES (%s, 'bench', '', 1, %s, now())"
                database.execute(accepted, (SUBMISSION, count))
                database.execute("SELECT setval('job.ids', %s)", (count,))
                with cursor.copy(_COPY) as copy:
                    for lines in _shown(_rows(jobs, shapes), count):
                        copy.write(lines)
                cursor.executemany(_QUEUES, shapes.queues)
                database.execute(_NEXT_QUEUE)
                _register(cursor, shapes.owners)
        finally:
            for statement in built:
                database.execute(statement)
        database.execute("VACUUM (ANALYZE) job.jobs")
        database.execute("VACUUM (ANALYZE) match.queues")
        # or the matches that are measured next would wait for the disk to take the load
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege):  # a server that is not ours
            database.execute("CHECKPOINT")
    os.sync()
    return len(shapes.queues), time.monotonic() - began_s


def _without_indexes(database: psycopg.Connection[Any]) -> list[str]:
    """The table has neither indexes nor keys any more; gives what makes them again."""
    constraints = database.execute(_CONSTRAINTS).fetchall()
    indexes = database.execute(_INDEXES).fetchall()
    for table, name, _ in reversed(constraints):  # foreign keys before what they need
        database.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    for name, _ in indexes:
        database.execute(f"DROP INDEX {name}")
    return [
        *(statement for _, statement in indexes),
        *(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}' for table, name, definition in constraints),
    ]


def _rows(jobs: Iterable[dict[str, Any]], shapes: Shapes) -> Iterator[list[str]]:
    known: dict[str, Shape] = {}
    lines: list[str] = []
    for job in jobs:
        number, priority = job.pop("JobID"), job.pop("UserPriority")
        key = str(job)
        shape = known.get(key)
        if shape is None:
            shape = known[key] = shapes.shape(job)
        lines.append(shape.row(number, priority))
        if len(lines) == ROWS_AT_ONCE:
            yield lines
            lines = []
    yield lines


def _shown(pages: Iterable[list[str]], count: int) -> Iterator[str]:
    """The text of each page, with a bar for who looks on."""
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(f"loading {count:,} jobs", total=count)
        for lines in pages:
            yield "".join(lines)
            bar.advance(task, len(lines))


def _register(cursor: psycopg.Cursor[Any], owners: set[tuple[str, str, str]]) -> None:
    groups = {(group, vo) for _, group, vo in owners}
    cursor.executemany(_VO, [(vo,) for vo in sorted({vo for _, vo in groups})])
    # a production's jobs are the group's, a user's the user's own
    shared = [(group, vo, ["NormalUser"] if group.endswith("_user") else ["NormalUser", "JobSharing"]) for group, vo in groups]
    cursor.executemany(_GROUP, sorted(shared))
    people = sorted({account for account, _, _ in owners})
    cursor.executemany("INSERT INTO registry.users (account, described_at) VALUES (%s, now())", [(one,) for one in people])
    pairs = sorted({(account, group) for account, group, _ in owners})
    cursor.execute(_MEMBERS, (json.dumps([{"account": account, "group": group} for account, group in pairs]),))
