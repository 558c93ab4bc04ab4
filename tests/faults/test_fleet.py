"""A fleet in small: every beat is answered with the lease of what runs, jobs go round, and no backlog stays."""

from __future__ import annotations

from dataclasses import replace

from bus.settings import Settings
from tests.bench.fleet import prepare, simulate
from tests.bench.simulated import Plan
from tests.fix_broker import Vhost
from tests.fix_house import Spawn

PLAN = Plan(pilots=200, busy=180, seconds=6, beat_s=2, turnovers_per_s=10)


def test_a_fleet_beats_and_turns_jobs_over_and_leaves_no_backlog(house_settings: Settings, vhost: Vhost, spawn: Spawn) -> None:
    told = replace(house_settings, client_amqp_url=vhost.client_url)
    prepare(told, PLAN)
    spawn()
    found = simulate(told, PLAN, {})
    assert found["beats_missing"] == 0
    assert found["beats_late"] == 0
    assert found["leases_lost"] == 0
    assert found["backlog_end"] == 0
    assert found["parked"] == 0
    assert found["refused"] == 0
    assert found["beats_per_s"] > PLAN.pilots / PLAN.beat_s * 0.9
    assert found["turnovers_per_s"] > PLAN.turnovers_per_s * 0.5
