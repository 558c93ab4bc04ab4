"""pilot.beat: a beat renews the leases of the pilot's own attempts and of no others, and brings the Stalled back."""

from __future__ import annotations

import random
import threading
from typing import Any

import psycopg
import pytest

from bus.apply import Words, apply
from bus.discover import Handler
from bus.event import Event
from bus.postgres import connect
from handlers.pilot.beat import decide
from tests.fix_house import Story
from tests.handlers.people import event, matched, report, state_of, submitted

HANDLER = "pilot.beat"
SILENT = event("pilot.silent.v1", "p1", {"pilot_id": "p1"}, authid="")
LEFT_S = "SELECT round(extract(epoch FROM due_at - clock_timestamp())) FROM bus.timers WHERE timer = %s"


def beat(*jobs: dict[str, Any], pilot_id: str = "p1", number: int = 1) -> Event:
    """A pilot lives and has these attempts."""
    data = {"pilot_id": pilot_id, "number": number, "load": 0.5, "jobs": list(jobs)}
    return event("pilot.beat.v1", pilot_id, data, authid=f"pilot-{pilot_id}")


def booted(story: Story) -> Story:
    """Pilot p1 is known."""
    phase = {"pilot_id": "p1", "site": "CLOUD.CNIC.cn", "phase": "booted", "number": 1}
    return story.given("pilot.report", event("pilot.reported.v1", "p1", phase, authid="pilot-p1"))


def running(story: Story) -> Story:
    """Job 1 runs on p1, which beats."""
    booted(matched(story)).given("job.report", report("Running"))
    return story.given("pilot.beat", beat({"job_id": 1, "attempt": 1}))


MINE = {"job_id": 1, "attempt": 1}


def test_what_names_an_attempt_is_apart_from_what_it_uses() -> None:
    assert decide([MINE | {"cpu_s": 2.0}, MINE]) == [MINE | {"measures": {"cpu_s": 2.0}}, MINE]


def test_a_matched_job_has_a_lease_before_it_starts_and_no_start_deadline_any_more(story: Story) -> None:
    matched(story).when(beat(MINE), once=False)
    story.then(("pilot.beat.v1.reply", {"beat_s": 60, "leases": [MINE | {"lease_s": 1799}]}))
    assert story.rows("SELECT timer FROM bus.timers WHERE timer ~ '^(match|lease)/'") == [("lease/1",)]


@pytest.mark.parametrize("theirs", [{"job_id": 1, "attempt": 2}, {"job_id": 2, "attempt": 1}])
def test_what_is_not_the_pilots_gets_no_lease(story: Story, theirs: dict[str, int]) -> None:
    matched(story).when(beat(theirs), once=False).then(("pilot.beat.v1.reply", {"leases": []}))
    assert story.rows("SELECT timer FROM bus.timers WHERE timer ~ '^lease/'") == []


def test_another_pilot_gets_no_lease(story: Story) -> None:
    matched(story).when(beat(MINE, pilot_id="p2"), once=False).then(("pilot.beat.v1.reply", {"leases": []}))


def test_a_job_that_is_over_has_none(story: Story) -> None:
    running(story).given("job.report", report("Done", "Execution Complete"))
    assert story.rows("SELECT timer FROM bus.timers WHERE timer ~ '^lease/'") == []
    story.when(beat(MINE), once=False).then(("pilot.beat.v1.reply", {"leases": []}))


def test_a_site_says_how_long_and_the_pilots_lease_ends_before_the_servers(story: Story) -> None:
    matched(story).sql("UPDATE site.sites SET beat_s = 10, lease_s = 100")
    story.when(beat(MINE), once=False).then(("pilot.beat.v1.reply", {"beat_s": 10, "leases": [MINE | {"lease_s": 99}]}))
    assert story.rows(LEFT_S, "lease/1") == [(125,)]
    assert story.rows(LEFT_S, "beat/p1") == [(33,)]


def test_a_lease_is_moved_on_when_a_quarter_of_it_is_gone(story: Story) -> None:
    running(story).sql("UPDATE bus.timers SET due_at = clock_timestamp() + interval '1400 s' WHERE timer = 'lease/1'")
    story.when(beat(MINE), once=False).then(("pilot.beat.v1.reply", {"leases": [MINE | {"lease_s": 1369}]}))
    story.sql("UPDATE bus.timers SET due_at = clock_timestamp() + interval '1300 s' WHERE timer = 'lease/1'")
    story.when(beat(MINE), once=False).then(("pilot.beat.v1.reply", {"leases": [MINE | {"lease_s": 1799}]}))


def test_a_running_job_has_a_deadline_even_if_its_pilot_never_beats(story: Story) -> None:
    matched(story).given("job.report", report("Running"))
    assert story.rows(LEFT_S, "lease/1") == [(1830,)]


def test_what_was_stalled_goes_on(story: Story) -> None:
    running(story).sql("DELETE FROM bus.timers WHERE timer = 'beat/p1'").given("pilot.lose", SILENT)
    assert state_of(story)[0] == "Stalled"
    story.when(beat(MINE), once=False).then(
        ("pilot.found.v1", {"pilot_id": "p1"}), ("job.running.v1", {"job_id": 1, "attempt": 1}), ("pilot.beat.v1.reply", {})
    )
    assert state_of(story)[0] == "Running"
    assert story.rows("SELECT state FROM pilot.pilots") == [("Running",)]


def test_what_the_attempt_uses_is_kept(story: Story) -> None:
    running(story).when(beat(MINE | {"cpu_s": 2.5, "last_lines": ["x"]}), once=False)
    assert story.rows("SELECT attempt, measures FROM job.usage") == [(1, {"cpu_s": 2.5, "last_lines": ["x"]})]
    assert story.rows("SELECT measures->'load' FROM pilot.beats") == [(0.5,)]


def test_a_pilot_that_has_left_is_not_waited_for(story: Story) -> None:
    booted(story).given("pilot.beat", beat())
    gone = {"pilot_id": "p1", "site": "CLOUD.CNIC.cn", "phase": "leaving", "number": 2, "details": {"reason": "idle"}}
    story.given("pilot.report", event("pilot.reported.v1", "p1", gone, authid="pilot-p1"))
    assert story.rows("SELECT timer FROM bus.timers") == []
    story.when(beat(), once=False)  # said before it left, and late
    assert story.rows("SELECT timer FROM bus.timers") == []
    assert story.rows("SELECT pilot_id FROM pilot.beats") == []


def test_an_older_beat_that_comes_late_renews_nothing(story: Story) -> None:
    running(story).given("pilot.beat", beat(number=3))
    story.when(beat(MINE, number=2), once=False).then(("pilot.beat.v1.reply", {"leases": []}))
    story.when(beat(MINE, number=3), once=False).then(("pilot.beat.v1.reply", {"leases": [MINE | {"lease_s": 1799}]}))


def test_a_lease_has_room_for_several_beats_whatever_the_site_says(story: Story) -> None:
    matched(story).sql("UPDATE site.sites SET beat_s = 3600, lease_s = 100")
    story.when(beat(MINE), once=False).then(("pilot.beat.v1.reply", {"beat_s": 25, "leases": [MINE | {"lease_s": 99}]}))


def test_an_attempt_that_is_named_twice_counts_once(story: Story) -> None:
    matched(story).when(beat(MINE | {"cpu_s": 1}, MINE | {"cpu_s": 2}), once=False)
    story.then(("pilot.beat.v1.reply", {"leases": [MINE | {"lease_s": 1799}]}))
    assert story.rows("SELECT measures FROM job.usage") == [({"cpu_s": 2},)]


def many(story: Story, count: int = 9) -> Story:
    """So many jobs of ada, each running on a pilot of its own."""
    submitted(story, count)
    return story.sql("UPDATE job.jobs SET state = 'Running', pilot_id = 'p' || (%s - job_id + 1), site = 'CLOUD.CNIC.cn'", count)


def test_beats_that_come_together_are_each_answered_as_if_alone(story: Story) -> None:
    many(story, 3).sql("UPDATE job.jobs SET state = 'Done' WHERE job_id = 2")
    jobs = [{"job_id": 1, "attempt": 1}, {"job_id": 2, "attempt": 1}, {"job_id": 3, "attempt": 1}]
    story.when(
        beat(*jobs, pilot_id="p1"), beat(*jobs, pilot_id="p2"), beat(*jobs, pilot_id="p3"), beat(pilot_id="p4"), once=False
    )
    leases = [[{"job_id": 3, "attempt": 1, "lease_s": 1799}], [], [{"job_id": 1, "attempt": 1, "lease_s": 1799}], []]
    story.then(*(("pilot.beat.v1.reply", {"beat_s": 60, "leases": lease}) for lease in leases))


def test_of_two_beats_that_come_together_the_older_changes_nothing(story: Story) -> None:
    running(story).when(beat(MINE, number=3), beat(MINE, number=2), once=False)
    story.then(("pilot.beat.v1.reply", {"leases": [MINE | {"lease_s": 1799}]}), ("pilot.beat.v1.reply", {"leases": []}))
    assert story.rows("SELECT measures->'number' FROM pilot.beats") == [(3,)]


def test_beats_of_the_same_pilots_at_once_never_stand_still(
    story: Story, found: dict[str, Handler], test_dsn: str, words: Words
) -> None:
    many(story)
    pilots = [f"p{n}" for n in range(1, 10)]
    problems: list[Exception] = []

    def hear(seed: int) -> None:
        order = random.Random(seed)
        with connect(test_dsn) as database:
            for number in range(1, 30):
                beats = [beat({"job_id": 10 - int(p[1:]), "attempt": 1}, pilot_id=p, number=number) for p in pilots]
                order.shuffle(beats)
                try:
                    apply(found["pilot.beat"], beats, database, words, once=False)
                except psycopg.Error as problem:
                    problems.append(problem)

    threads = [threading.Thread(target=hear, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert story.rows("SELECT count(*) FROM bus.timers WHERE timer ~ '^lease/'") == [(9,)]


def test_a_job_that_is_being_taken_away_gets_no_lease_once_it_is(
    story: Story, found: dict[str, Handler], test_dsn: str, words: Words
) -> None:
    running(story).sql("DELETE FROM bus.timers WHERE timer = 'lease/1'")
    answers: list[Event] = []

    def hear() -> None:
        with connect(test_dsn) as database:
            applied, _ = apply(found["pilot.beat"], [beat(MINE, number=2)], database, words, once=False)
            answers.extend(applied[0].answers)

    listener = threading.Thread(target=hear)
    with psycopg.connect(test_dsn) as other:
        other.execute("UPDATE job.jobs SET state = 'Waiting', attempt = 2, pilot_id = NULL WHERE job_id = 1")
        listener.start()
        listener.join(timeout=0.5)
        assert answers == []  # it waits for the other's end
        other.commit()
    listener.join()
    assert [answer.data["leases"] for answer in answers] == [[]]
    assert story.rows("SELECT timer FROM bus.timers WHERE timer ~ '^lease/'") == []
