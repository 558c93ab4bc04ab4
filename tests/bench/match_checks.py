"""That no job was given twice, none to a pilot that it does not fit, and that the database agrees with what pilots heard."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

from tests.bench.crowd import Node
from tests.schemas.rules.oracle import oracle

_CLAIMS = """SELECT count(*), count(DISTINCT (job_id, attempt)) FROM match.claims"""
_MATCHED = "SELECT count(*) FROM job.jobs WHERE state = 'Matched'"
_GIVEN = """SELECT c.pilot_id, q.requirements, c.job_id FROM match.claims c JOIN job.jobs j USING (job_id)
JOIN match.queues q USING (queue_id) LIMIT 50000"""

Given = tuple[str, str, int, int]  # request, pilot, job, attempt


def faults(database: psycopg.Connection[Any], given: Iterable[Given], claimed_before: int = 0) -> list[str]:
    """What is wrong with these answers, one sentence each; a request may be answered twice, but with one job only."""
    found = []
    by_request: dict[str, tuple[int, int]] = {}
    for request_id, _, job_id, attempt in given:
        if by_request.setdefault(request_id, (job_id, attempt)) != (job_id, attempt):
            found.append(f"request {request_id} was answered with job {job_id} and with another")
    if (twice := len(by_request) - len(set(by_request.values()))) > 0:
        found.append(f"{twice} jobs were given to two requests")
    claims, distinct = database.execute(_CLAIMS).fetchone() or (0, 0)
    (matched,) = database.execute(_MATCHED).fetchone() or (0,)
    if claims != distinct:
        found.append(f"{claims} claims are of {distinct} jobs")
    if claims - claimed_before != len(by_request):
        found.append(f"{claims - claimed_before} jobs were claimed and {len(by_request)} requests were answered")
    if matched != claims:
        found.append(f"{matched} jobs are Matched and {claims} claimed")
    return found


def misfits(database: psycopg.Connection[Any], some: Iterable[Node]) -> list[str]:
    """Claims of jobs that do not fit their pilot, with why, by DIRAC's predicate as tests have it and not the matcher."""
    (vos,) = database.execute("SELECT array_agg(vo) FROM registry.vos").fetchone() or ([],)
    offers = {node.pilot_id: dict(node.resource) | {"VirtualOrganization": [node.vo] if node.vo else vos} for node in some}
    rows = database.execute(_GIVEN).fetchall()
    found = [(job, oracle(offers[pilot], needs)) for pilot, needs, job in rows if pilot in offers]
    return [f"job {job} does not fit: {', '.join(sorted(fields))}" for job, fields in found if fields]
