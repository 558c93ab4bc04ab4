"""Claims as a matcher makes them: limits locked, judged by the rule, counted and written with the claims."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from schemas.rules.limits import FIELDS, Limits, concerns

Wish = tuple[int, str, str, dict[str, str]]  # job_id, site, ce, what the job is

OFF = """SELECT l.site, l.ce, l.attribute, l.value, l.running,
    (SELECT count(*) FROM match.claims c WHERE c.released_at IS NULL AND c.site = l.site AND (l.ce = '' OR c.ce = l.ce)
        AND (l.attribute = '*'
        OR l.attribute = 'Owner' AND c.owner = l.value OR l.attribute = 'OwnerGroup' AND c.owner_group = l.value
        OR l.attribute = 'VO' AND c.vo = l.value OR l.attribute = 'JobType' AND c.job_type = l.value
        OR l.attribute = 'JobGroup' AND c.job_group = l.value))
FROM match.limits l ORDER BY limit_id"""


def job(**changes: str) -> dict[str, str]:
    """What limits tell jobs apart by."""
    plain = {"owner": "ada", "owner_group": "bes_user", "vo": "bes", "job_type": "User", "job_group": "NoGroup"}
    return plain | changes


def claim(connection: Connection[Any], wishes: Sequence[Wish], attempt: int = 1, processors: int = 1) -> list[int]:
    """The jobs that could be matched, in one transaction; the others would pass a limit."""
    given = []
    with connection.transaction():
        sites = sorted({site for _, site, _, _ in wishes})
        rows = connection.cursor(row_factory=dict_row).execute("SELECT * FROM match.locked_limits(%s)", (sites,)).fetchall()
        now_s = rows[0]["now_s"] if rows else time.time()
        limits = Limits(rows, now_s)
        for job_id, site, ce, about in wishes:
            if any(concerns(attribute, value, about) for attribute, value in limits.blocked(site, ce)):
                continue
            limits.take(site, ce, about)
            where = {"pilot_id": "p1", "request_id": uuid.uuid4(), "job_id": job_id, "attempt": attempt}
            row = where | {"site": site, "ce": ce, "processors": processors} | {name: about[name] for name in FIELDS.values()}
            names = ", ".join(row)
            connection.execute(
                f"INSERT INTO match.claims (claimed_at, {names}) VALUES (to_timestamp(%s), {', '.join(['%s'] * len(row))})",
                [now_s, *row.values()],
            )
            given.append(job_id)
        connection.execute("SELECT match.write_limits(%s::json)", (json.dumps(limits.changed()),))
    return given


def differing(connection: Connection[Any]) -> list[tuple[Any, ...]]:
    """The limits whose counter is not the number of claims that they are about."""
    return [row for row in connection.execute(OFF).fetchall() if row[4] != row[5]]
