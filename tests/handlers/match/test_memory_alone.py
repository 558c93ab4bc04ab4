"""What one matcher's memory holds between two looks at the database."""

from __future__ import annotations

import gc
import json
import sys
import time
import uuid
import weakref
from typing import Any

import psycopg
import pytest

from bus.discover import Handler
from bus.event import Event
from bus.postgres import Direct
from handlers.match import waiting as waiting_module
from handlers.match.heads import MOST_KNOWN, Heads
from handlers.match.memory import Memory
from handlers.match.parked import Ask
from handlers.match.sizes import occupied
from schemas.rules.limits import Limits
from schemas.rules.matching import digest, requirements
from tests.fix_house import Story
from tests.handlers.people import described

HANDLER = "match.request"
SUBMISSION = "7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01"


class Rows(Direct):
    """A handler's database, and task queues with jobs in it."""

    def __init__(self, story: Story, found: dict[str, Handler]) -> None:
        super().__init__(story._db, found[HANDLER].sql)
        self.story = story.sql("INSERT INTO job.submissions VALUES (%s, 'ada', 'x', 1, 1, now())", SUBMISSION)

    def add(self, queue_id: int, *jobs: tuple[int, int], vo: str = "bes", owner: str = "ada", **description: Any) -> None:
        """This queue has these waiting jobs, each a priority and an id."""
        needs = requirements(description, owner, f"{vo}_user", vo)
        self.story.sql(
            """INSERT INTO match.queues (queue_id, digest, requirements) OVERRIDING SYSTEM VALUE
            VALUES (%s, %s, %s::jsonb) ON CONFLICT DO NOTHING""",
            queue_id, digest(needs), json.dumps(needs),
        )  # fmt: skip
        for priority, job_id in jobs:
            self.story.sql(
                """INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, state, minor_status,
                                         priority, description, queue_id, submitted_at, changed_at)
                VALUES (%s, %s, %s, %s, %s, 'x', 'g', 'Waiting', 'x', %s, '{}', %s, now(), now())""",
                job_id, SUBMISSION, owner, f"{vo}_user", vo, priority, queue_id,
            )  # fmt: skip

    def over(self, *job_ids: int) -> None:
        """These jobs do not wait any more."""
        self.story.sql("UPDATE job.jobs SET state = 'Done' WHERE job_id = ANY(%s)", list(job_ids))

    def demand(self, vo: str, least: str) -> None:
        """The community wants its payloads kept apart so well."""
        described(self.story, ("vo", {"vo": vo, "least_isolation": least}))


@pytest.fixture
def db(story: Story, found: dict[str, Handler]) -> Rows:
    """No queue has a job yet."""
    return Rows(story, found)


def ask(memory: Memory, **resource: Any) -> Ask:
    node = {"Site": "S", "VirtualOrganization": ["bes", "juno"], "CPUTime": 500_000, "NumberOfProcessors": 4} | resource
    data = {"pilot_id": "p1", "request_id": str(uuid.uuid4())}
    event = Event("match.request.v1", "/pilot-p1/x", "p1", data, authid="pilot-p1")
    return Ask(event, "pilot-p1", memory.parked.profile(node), time.monotonic() + 60)


def wake(job_id: int, queue_id: int) -> Event:
    return Event("job.waiting.v1", "/x/y", str(job_id), {"job_id": job_id, "queue_id": queue_id, "priority": 1, "job_group": "g"})


def test_the_first_job_of_a_new_queue_is_not_given_to_a_pilot_with_too_little_isolation(db: Rows) -> None:
    memory = Memory()
    db.demand("bes", "bubblewrap")
    memory.hear([], db)
    memory.park(ask(memory))  # it keeps payloads apart by nothing
    memory.settle(kept=True)
    db.add(1, (1, 1))
    memory.hear([wake(1, 1)], db)
    assert memory.choose_for_parked(db, 500) == []


def test_what_was_renumbered_is_masked_by_its_new_number(db: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues 1, 2 are empty by now; 3 is of a community that wants isolation. After forgetting, 3 has slot 0."""
    monkeypatch.setattr(waiting_module, "MOST_EMPTY", 2)
    memory = Memory()
    db.demand("juno", "bubblewrap")
    db.add(1, (1, 1))
    db.add(2, (1, 2), CPUTime=400)
    db.add(3, (1, 3), vo="juno", owner="bob")
    memory.hear([], db)
    for queue_id in (1, 2):
        db.over(queue_id)
        memory.waiting.heads.take(memory.waiting.index.slots[queue_id], (-1, queue_id, "g"))
        memory.waiting._place(memory.waiting.index.slots[queue_id])
    memory.park(ask(memory))
    memory.settle(kept=True)
    memory.waiting.look_again()
    memory.hear([], db)
    assert len(memory.waiting.index) == 1, "1 and 2 are forgotten"
    assert memory.choose_for_parked(db, 500) == [], "juno's job went to a pilot without isolation"


def test_who_asks_while_queues_are_forgotten_is_not_left_beside_a_job(db: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots 0 to 2 were juno's, which wants isolation, and are empty; after forgetting, slot 0 is bes's and still masked."""
    monkeypatch.setattr(waiting_module, "MOST_EMPTY", 2)
    memory = Memory()
    db.demand("juno", "bubblewrap")
    for queue_id, cpu_time_s in ((1, 300), (2, 400), (3, 2000)):
        db.add(queue_id, (1, queue_id), vo="juno", CPUTime=cpu_time_s)
    db.add(4, (1, 4), vo="bes")
    memory.hear([], db)
    for queue_id in (1, 2, 3):
        db.over(queue_id)
        memory.waiting.heads.take(memory.waiting.index.slots[queue_id], (-1, queue_id, "g"))
        memory.waiting._place(memory.waiting.index.slots[queue_id])
    memory.settle(kept=True)
    memory.waiting.look_again()
    memory.hear([], db)
    assert memory.choose_for_parked(db, 500) == []
    if memory.choose(asked := ask(memory), db) is None:  # as serve does
        memory.park(asked)
        memory.settle(kept=True)
        given = []
        for _ in range(3):  # the looks of the next seconds
            memory.waiting.look_again()
            memory.hear([], db)
            given += memory.choose_for_parked(db, 500)
        assert [pick.entry[1] for pick in given] == [4]


def test_reading_again_after_the_database_was_away_leaves_no_queue_out(db: Rows) -> None:
    memory = Memory()
    db.add(1, (1, 1))
    db.add(2, (1, 2), owner="bob")
    db.story.sql("ALTER TABLE job.jobs RENAME job_group TO away")  # queues are read, and their jobs are not
    with pytest.raises(psycopg.errors.UndefinedColumn):
        memory.hear([], db)
    db.story.sql("ALTER TABLE job.jobs RENAME away TO job_group")
    memory.settle(kept=False)
    memory.hear([], db)  # as bus.consume.Loop.hold does it
    db.add(3, (1, 3), owner="cyd")
    memory.hear([wake(3, 3)], db)
    found = {pick.entry[1] for _ in range(3) if (pick := memory.choose(ask(memory), db))}
    assert found == {1, 2, 3}


def test_a_queue_is_not_known_to_its_last_job() -> None:
    heads = Heads()
    heads.unread(0)
    heads.keep(0, [], 16)  # it is empty
    for job_id in range(1, 20 * MOST_KNOWN):
        heads.put(0, (-1, job_id, "g"))
    assert len(heads._entries[0]) <= 2 * MOST_KNOWN


def test_a_limit_that_has_room_after_all_does_not_bar_its_site(db: Rows) -> None:
    """Two picks, room for one; the one that took the room is lost to another matcher, so there is room again."""
    memory = Memory()
    db.add(1, (1, 1), (1, 2))
    memory.hear([], db)
    first, second = ask(memory), ask(memory)
    row = {"limit_id": 1, "site": "S", "ce": "", "attribute": "*", "value": "*", "most": 1, "running": 0, "delay_s": None}
    limits = Limits([row | {"burst": 1, "tokens": 1.0, "at_s": 0.0}], 0.0)
    picks = [pick for pick in (memory.choose(first, db), memory.choose(second, db)) if pick]
    good, without = memory.within(limits, picks, db)
    assert (len(good), without) == (1, [second])
    memory.park(second)
    limits.give_back("S", "", memory.job(good[0]))  # as _claim does: its job was somebody else's
    memory.lost(good[0])
    memory.settle(kept=True)
    assert limits.blocked("S", "") == []
    db.over(1)
    memory.hear([], db)
    assert [pick.entry[1] for pick in memory.choose_for_parked(db, 500)] == [2]


def test_what_one_pilot_says_is_forgotten_within_the_hour() -> None:
    memory = Memory()
    for number in range(3000):
        memory.offers.note(ask(memory, BannedSite=[f"{number}-{n}" for n in range(100)]))
    kept = sum(map(sys.getsizeof, memory.offers._seen))
    assert kept < 1_000_000, f"{kept} bytes for one pilot's 3,000 requests, until the hour is over"


def test_a_pilot_of_a_million_processors_is_no_use_of_a_million_processors() -> None:
    needs = requirements({"WholeNode": True}, "ada", "bes_user", "bes")
    assert occupied({"NumberOfProcessors": 1_048_576}, needs) <= 1024


def test_two_requests_of_one_key_are_one_wish(db: Rows) -> None:
    memory = Memory()
    db.add(1, (1, 1), (1, 2))
    memory.hear([], db)
    one, two = ask(memory), ask(memory)
    two = Ask(two.event.about(one.event.data), two.account, one.profile, one.due_s)
    picks = [pick for pick in (memory.choose(one, db), memory.choose(two, db)) if pick]
    assert len(picks) == 1, "claim_all would insert (pilot_id, request_id) twice"


def test_an_index_that_was_forgotten_is_not_kept(db: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Profiles that nobody asks with any more hold the index that they were looked up in, and all queues' needs with it."""
    monkeypatch.setattr(waiting_module, "MOST_EMPTY", 2)
    memory = Memory()
    for queue_id, cpu_time_s in ((1, 300), (2, 400), (3, 2000)):
        db.add(queue_id, (1, queue_id), CPUTime=cpu_time_s)
    memory.hear([], db)
    for _ in range(3):
        memory.choose(ask(memory, MaxRAM=7), db)
    memory.settle(kept=True)
    for queue_id in (1, 2, 3):
        db.over(queue_id)
    old = weakref.ref(memory.waiting.index)
    memory.waiting.look_again()
    memory.hear([], db)
    assert len(memory.waiting.index) == 0
    gc.collect()
    assert old() is None
