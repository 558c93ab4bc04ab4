"""A pilot that dies, or can not be reached: its job runs again elsewhere, and at no moment two attempts of it live."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest

from bus.client import Client
from tests.bus.test_life_of_an_event import until
from tests.faults.conftest import House
from tests.fix_broker import Vhost
from tests.pilot.counterpart import Cable

# the first attempt goes on and on, and says when it last lived; a later one says when it began, and is over
SCRIPT = (
    "if [ $PILOTBUS_ATTEMPT = 1 ]; then"
    " while :; do date +%s.%N > {0}/lives.new; mv {0}/lives.new {0}/lives; sleep 0.02; done; fi;"
    " date +%s.%N > {0}/began"
)
POLICY = {"beat_s": 1, "lease_s": 8}


def moment(path: Path) -> float:
    return float(path.read_text())


def test_a_killed_pilots_job_runs_again_elsewhere_and_its_late_words_change_nothing(
    house_with_pilots: House, tmp_path: Path, vhost: Vhost
) -> None:
    house = house_with_pilots
    house.site(**POLICY)
    victim = house.pilot("p1")
    house.submit(SCRIPT.format(tmp_path))
    until((tmp_path / "lives").exists)
    house.pilot("p2")
    victim.kill()
    until(lambda: house.state() == ("Done", 2, "p2"), 60)
    assert moment(tmp_path / "lives") < moment(tmp_path / "began")
    steps = house.rows("SELECT state, attempt FROM job.history WHERE job_id = 1 ORDER BY number")
    before, after = steps[: steps.index(("Waiting", 2))], steps[steps.index(("Waiting", 2)) :]
    assert before[-3:] == [("Running", 1), ("Stalled", 1), ("Rescheduled", 2)]
    assert [state for state, attempt in after if attempt == 2] == [state for state, _ in after]
    rows = house.rows("SELECT * FROM job.jobs")
    with Client(vhost.pilot("p1"), vhost.ca_file) as late:
        for state, attempt in (("Running", 1), ("Done", 1), ("Failed", 2)):
            told = {"job_id": 1, "attempt": attempt, "pilot_id": "p1", "state": state, "minor_status": "Application"}
            late.say("job.reported.v1", told, subject="1")
    until(lambda: len(house.events("job.refused.v1")) >= 3)
    assert house.rows("SELECT * FROM job.jobs") == rows
    until(lambda: house.rows("SELECT state FROM pilot.pilots WHERE pilot_id = 'p1'") == [("Unknown",)])


def test_a_pilot_that_is_cut_off_kills_its_payload_before_the_next_attempt_begins(
    house_with_pilots: House, tmp_path: Path, cable: Cable
) -> None:
    house = house_with_pilots
    house.site(**POLICY)
    house.pilot("p1", through=cable)
    house.submit(SCRIPT.format(tmp_path))
    until((tmp_path / "lives").exists)
    house.pilot("p2")
    cable.cut()
    cut_at = time.time()
    until(lambda: house.state() == ("Done", 2, "p2"), 60)
    lived, began = moment(tmp_path / "lives"), moment(tmp_path / "began")
    print(f"cut off at 0.0 s, the payload lived until {lived - cut_at:.1f} s, the next began at {began - cut_at:.1f} s")
    assert lived < began
    cable.mend()
    phases = "SELECT body->'data'->>'phase' FROM bus.events WHERE type = 'pilot.reported.v1' AND subject = 'p1'"
    until(lambda: ("lease_over",) in house.rows(phases), 60)
    assert house.state() == ("Done", 2, "p2")
    # it lives, is found again, and may have other jobs
    until(lambda: house.rows("SELECT state FROM pilot.pilots WHERE pilot_id = 'p1'") == [("Running",)], 30)


def test_a_pilot_that_is_cut_off_for_less_than_its_lease_goes_on_with_its_job(
    house_with_pilots: House, tmp_path: Path, cable: Cable
) -> None:
    house = house_with_pilots
    house.site(beat_s=1, lease_s=60)
    house.pilot("p1", through=cable)
    house.submit(f"until [ -e {tmp_path}/end ]; do sleep 0.05; done")
    until(lambda: house.state()[0] == "Running")
    cable.cut()
    until(lambda: house.state()[0] == "Stalled")
    assert house.events("pilot.lost.v1")[-1]["pilot_id"] == "p1"
    cable.mend()
    until(lambda: house.state()[0] == "Running", 60)
    (tmp_path / "end").touch()
    until(lambda: house.state() == ("Done", 1, "p1"), 60)
    assert house.events("pilot.found.v1") == [{"pilot_id": "p1", "site": "CLOUD.CNIC.cn"}]


def test_the_broker_tells_of_a_dead_pilot_before_three_beats_are_missed(house_with_pilots: House) -> None:
    house = house_with_pilots
    house.site(beat_s=5, lease_s=60)
    pilot = house.pilot("p1")
    until(lambda: house.rows("SELECT pilot_id FROM pilot.beats"))
    pilot.kill()
    lost = until(lambda: house.events("pilot.lost.v1"), 40)[0]
    assert house.events("pilot.disconnected.v1") == [{"pilot_id": "p1"}]
    ((lost_at,),) = house.rows("SELECT recorded_at FROM bus.events WHERE type = 'pilot.lost.v1'")
    silent_s = (lost_at - datetime.fromisoformat(lost["last_beat_at"])).total_seconds()
    print(f"told {silent_s:.1f} s after its last beat; by missed beats alone it takes 17 s")
    assert silent_s < 15


@pytest.mark.parametrize(
    ("order", "state", "minor"), [("stop", "Failed", "Received Kill signal"), ("kill", "Killed", "Marked for termination")]
)
def test_an_order_is_requested_then_acknowledged_then_effective(
    house_with_pilots: House, order: str, state: str, minor: str
) -> None:
    house = house_with_pilots
    house.pilot("p1")
    house.submit("sleep 1000")
    until(lambda: house.rows("SELECT job_id FROM job.jobs WHERE minor_status = 'Application'"))
    if order == "stop":
        house.client.ask("pilot.stop.v1", {"pilot_id": "p1"})
    else:
        house.client.ask("job.kill.v1", {"job_ids": [1]})
    until(lambda: house.state()[0] == state, 60)
    assert house.rows("SELECT minor_status FROM job.jobs") == [(minor,)]
    ended = until(lambda: house.events("pilot.order_ended.v1"))
    assert (ended[0]["order"], ended[0]["outcome"]) == (order, "taken")


def test_a_running_job_can_be_peeked_into(house_with_pilots: House) -> None:
    house = house_with_pilots
    house.pilot("p1")
    house.submit("echo one; echo two; sleep 1000")
    until(lambda: house.state()[0] == "Running")

    def seen() -> bool:
        said = house.client.ask("job.peek.v1", {"job_id": 1, "wait_s": 10}, within_s=20)
        return bool(said["fresh"]) and said.get("last_lines") == ["one", "two"]

    until(seen, 60)
