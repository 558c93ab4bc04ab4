"""Matchers that die: every job is given exactly once and none is lost, whoever is killed in the middle of what."""

from __future__ import annotations

import random
import signal
import threading
from dataclasses import replace
from typing import Any

import psycopg

from bus.settings import Settings
from tests.bench.crowd import Crowd, enrol
from tests.bench.line import impersonator
from tests.bench.load import load
from tests.bench.match_checks import faults, misfits
from tests.bench.match_kills import everybody, take_all
from tests.bench.workload import jobs
from tests.fix_broker import Vhost
from tests.fix_house import Spawn

JOBS, QUEUES, MATCHERS = 6_000, 200, 3


def test_every_job_is_given_once_by_three_matchers_that_are_killed_at_random(
    db: psycopg.Connection[Any], house_settings: Settings, vhost: Vhost, spawn: Spawn
) -> None:
    load(house_settings.dsn, jobs(JOBS, QUEUES, 1), JOBS)
    some = everybody()
    enrol(db, some)
    told = {"PILOTBUS_HANDLERS": "match", "PILOTBUS_RATE_PER_S": "0", "PILOTBUS_DEVELOPMENT": "yes"}
    matchers = [spawn(**told) for _ in range(MATCHERS)]
    over, chance, killed = threading.Event(), random.Random(1), []

    def kill() -> None:
        while not over.wait(chance.uniform(0.5, 2.0)):
            number = chance.randrange(MATCHERS)
            matchers[number].send_signal(signal.SIGKILL)
            matchers[number].wait(timeout=30)
            killed.append(number)
            matchers[number] = spawn(**told)

    killer = threading.Thread(target=kill)
    with impersonator(replace(house_settings, amqp_url=vhost.service_url)) as url:
        killer.start()
        try:
            with Crowd(url, house_settings.ca_file, some, 1200) as crowd:
                heard = take_all(crowd, JOBS)
        finally:
            over.set()
            killer.join(timeout=60)
    assert killed, "nobody was killed while jobs were given"
    assert len({job[2:] for job in heard.jobs}) == JOBS
    assert faults(db, heard.jobs) == []
    assert misfits(db, some) == []
    assert db.execute("SELECT count(*) FROM job.jobs WHERE state = 'Waiting'").fetchone() == (0,)
