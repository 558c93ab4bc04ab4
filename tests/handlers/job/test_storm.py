"""Commands, pilots, timers and retention at once, some of them rolled back: counts, history and moves are true at the end."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import psycopg

from bus.apply import Words, apply
from bus.discover import Handler
from bus.errors import Conflict, Later
from schemas.rules.job_states import may_follow
from tests.fix_house import Story
from tests.handlers.bulks import SWEEP, submit
from tests.handlers.bulks import confirm as confirm_all
from tests.handlers.people import SITE, event

HANDLER = "job.groups"
JOBS, WORKERS, TURNS = 60, 4, 60
KEYS = [f"00000000-0000-4000-8000-{number:012}" for number in range(16)]

COUNTED = "SELECT vo, owner_group, owner, job_group, state, count(*) FROM job.jobs GROUP BY 1, 2, 3, 4, 5 ORDER BY 5"
KEPT = "SELECT vo, owner_group, owner, job_group, state, jobs FROM job.groups ORDER BY 5"
STEPS = """SELECT s.job_id, array_agg(s.state ORDER BY s.number), array_agg(s.number ORDER BY s.number) FROM job.jobs j
CROSS JOIN LATERAL job.steps(ARRAY[j.job_id]) s GROUP BY 1"""


class RolledBack(Exception):
    """What was done is undone."""


class Worker:
    """One process of the house: it does what chance says, each in a transaction, and undoes a fifth of it."""

    def __init__(self, number: int, found: dict[str, Handler], words: Words, dsn: str) -> None:
        self._chance, self._found, self._words, self._dsn = random.Random(number), found, words, dsn

    def run(self) -> None:
        """So many turns are over."""
        with psycopg.connect(self._dsn, autocommit=True) as self._own:
            for _ in range(TURNS):
                try:
                    with self._own.transaction():
                        self._turn()
                        if self._chance.random() < 0.2:
                            raise RolledBack
                except (RolledBack, Later, Conflict, psycopg.errors.DeadlockDetected):
                    pass

    def _turn(self) -> None:
        known = self._own.execute("SELECT job_id, state, attempt, pilot_id FROM job.jobs ORDER BY random() LIMIT 1").fetchone()
        job_id, state, attempt, pilot_id = known or (1, "", 1, None)
        key, few = self._chance.choice(KEYS), sorted({job_id, *self._chance.sample(range(1, JOBS), 20)})
        done = self._chance.choice(
            ("job.kill", "job.delete", "job.reschedule", "resume", "bulk", "report", "claim", "over", "old")
        )
        if done.startswith("job."):
            few = few if done == "job.reschedule" else few[:2]
            asked = self._chance.choice(
                ({"job_ids": few}, {"job_group": "round16", "after": few[-1]}, {"ranges": [[few[0]] * 2]})
            )
            self._apply(done, event(f"{done}.v1", "_", asked if done == "job.reschedule" else {"job_ids": few}))
        elif done == "resume":
            self._apply("job.resume", event("job.hold_ended.v1", "_", {"ranges": [[1, JOBS]]}))
        elif done == "bulk":
            self._bulk(key)
        elif done == "report" and pilot_id:
            told = {"job_id": job_id, "attempt": self._chance.choice((attempt, 1)), "pilot_id": pilot_id, "minor_status": "x"}
            told["state"] = self._chance.choice(("Running", "Completing", "Done", "Failed", "Killed"))
            self._apply("job.reported.v1", event("job.reported.v1", job_id, told, authid=f"pilot-{pilot_id}"), "job.report")
        elif done == "claim" and state == "Waiting":
            self._own.execute("SELECT * FROM match.claim_all(%s, 60)", (json.dumps([self._pick(job_id)]),))
        elif done == "over":
            self._own.execute("DELETE FROM bus.timers WHERE timer = 'lease/' || %s", (job_id,))
            lost = event("job.lease_expired.v1", job_id, {"job_id": job_id, "attempt": attempt}, authid="pilotbus")
            self._apply("job.expire", lost)
        elif done == "old":
            minute = event("clock.minute.v1", "_", {"minute": "2026-11-21T00:00:00Z"})
            kept = {state: self._chance.choice((0, *[-1] * 9)) for state in ("Done", "Failed", "Killed", "Deleted")}
            self._apply("job.retire", minute, hands=kept)

    def _bulk(self, key: str) -> None:
        self._apply("bulk.submit", submit(submission=key, description=SWEEP | {"Parameters": JOBS // 4}))
        rows = self._own.execute("SELECT first_job_id FROM job.submissions WHERE submission = %s", (key,)).fetchall()
        told = {"submission": key}
        if self._chance.random() < 0.3:
            self._own.execute("UPDATE job.submissions SET expires_at = now() WHERE submission = %s", (key,))
            self._apply("bulk.expire", event("bulk.expired.v1", key, told, authid="pilotbus"))
        first = int(rows[0][0])
        self._apply("bulk.confirm", confirm_all(JOBS // 4, first, submission=key))
        self._apply("bulk.check", event("bulk.confirmed.v1", key, told))
        part = told | {"first_job_id": first, "last_job_id": first + JOBS // 4 - 1}
        self._apply("bulk.schedule", event("bulk.checked.v1", key, part))

    def _pick(self, job_id: int) -> dict[str, Any]:
        ((queue_id,),) = self._own.execute("SELECT queue_id FROM job.jobs WHERE job_id = %s", (job_id,)).fetchall()
        request = event("match.request.v1", "_", {})
        placed = {"site": "CLOUD.CNIC.cn", "ce": "", "processors": 1, "pilot_id": f"p{self._chance.randint(1, 9)}"}
        named = {"number": 0, "queue_id": queue_id, "job_id": job_id}
        return placed | named | {"request_id": request.id, "event_id": request.id}

    def _apply(self, name: str, what: Any, handler: str = "", hands: Any = None) -> None:
        apply(self._found[handler or name], [what], self._own, self._words, once=False, hands=hands)


def test_after_a_storm_every_count_and_every_step_is_true(
    story: Story, found: dict[str, Handler], words: Words, test_dsn: str
) -> None:
    story.sql(SITE)
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(Worker(number, found, words, test_dsn).run) for number in range(WORKERS)]:
            done.result()
    counted = story.rows(COUNTED)
    assert counted
    assert story.rows(KEPT) == counted
    story.sql("SELECT job.fold_groups()")
    assert story.rows(KEPT) == counted
    for job_id, states, numbers in story.rows(STEPS):
        assert numbers == list(range(1, len(numbers) + 1)), f"job {job_id}: {states}"
        moves = [(one, other) for one, other in pairwise(states) if one != other]
        assert [move for move in moves if not may_follow(*move)] == [], f"job {job_id}: {states}"
    assert story.rows("SELECT count(*) FROM job.jobs WHERE reschedules > 3 OR attempt <> reschedules + 1") == [(0,)]
