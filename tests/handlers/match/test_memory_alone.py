"""Defects of the matcher's memory, shown without a database."""

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

from bus.event import Event
from handlers.match import waiting as waiting_module
from handlers.match.heads import MOST_KNOWN, Heads
from handlers.match.memory import Memory
from handlers.match.parked import Ask
from handlers.match.sizes import occupied
from schemas.rules.limits import Limits
from schemas.rules.matching import requirements


class Rows:
    """The statements of match.request, over a dict of queues: id -> (requirements, [(priority, job_id)])."""

    def __init__(self, least: dict[str, str] | None = None) -> None:
        self.queues: dict[int, tuple[dict[str, Any], list[tuple[int, int]]]] = {}
        self.least, self.fail, self.banned = least or {}, "", list[str]()

    def add(self, queue_id: int, *jobs: tuple[int, int], vo: str = "bes", owner: str = "ada", **description: Any) -> None:
        self.queues[queue_id] = (requirements(description, owner, f"{vo}_user", vo), list(jobs))

    def all(self, name: str, **values: Any) -> list[dict[str, Any]]:
        if self.fail == name:
            self.fail = ""
            raise psycopg.OperationalError("the database went away")
        known = {queue_id: {"queue_id": queue_id, "requirements": needs} for queue_id, (needs, _) in self.queues.items()}
        some = [queue_id for queue_id in sorted(self.queues) if self.queues[queue_id][1]]
        if name == "queues":
            return [known[one] for one in some]
        if name == "needs":
            return [known[one] for one in values["queue_ids"] if one in known]
        if name == "sweep":
            return [{"queue_id": one} for one in some if one > values["after"]][: values["most"]]
        if name == "vos":
            return [{"vo": vo, "least_isolation": least} for vo, least in self.least.items()]
        if name == "banned_owners":
            return [{"name": one} for one in self.banned]
        if name == "heads":
            rows = []
            for one in json.loads(values["wanted"]):
                after = (-one["priority"], one["job_id"])
                jobs = sorted((-priority, job_id) for priority, job_id in self.queues[one["queue_id"]][1])
                rows += [
                    {"slot": one["slot"], "job_id": job_id, "priority": -priority, "job_group": "g"}
                    for priority, job_id in [job for job in jobs if job > after][: one["ahead"]]
                ]
            return rows
        return []


def FakeDb(least: dict[str, str] | None = None) -> Any:  # noqa: N802
    """As a handler's database, for statements that only read."""
    return Rows(least)


def ask(memory: Memory, **resource: Any) -> Ask:
    node = {"Site": "S", "VirtualOrganization": ["bes", "juno"], "CPUTime": 500_000, "NumberOfProcessors": 4} | resource
    data = {"pilot_id": "p1", "request_id": str(uuid.uuid4())}
    event = Event("match.request.v1", "/pilot-p1/x", "p1", data, authid="pilot-p1")
    return Ask(event, "pilot-p1", memory.parked.profile(node), time.monotonic() + 60)


def wake(job_id: int, queue_id: int) -> Event:
    return Event("job.waiting.v1", "/x/y", str(job_id), {"job_id": job_id, "queue_id": queue_id, "priority": 1, "job_group": "g"})


def test_the_first_job_of_a_new_queue_is_not_given_to_a_pilot_with_too_little_isolation() -> None:
    db, memory = FakeDb({"bes": "bubblewrap"}), Memory()
    memory.hear([], db)
    memory.park(ask(memory))  # it keeps payloads apart by nothing
    memory.settle(kept=True)
    db.add(1, (1, 1))
    memory.hear([wake(1, 1)], db)
    assert memory.choose_for_parked(db, 500) == []


def test_what_was_renumbered_is_masked_by_its_new_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues 1, 2 are empty by now; 3 is of a community that wants isolation. After forgetting, 3 has slot 0."""
    monkeypatch.setattr(waiting_module, "MOST_EMPTY", 2)
    db, memory = FakeDb({"juno": "bubblewrap"}), Memory()
    db.add(1, (1, 1))
    db.add(2, (1, 2), CPUTime=400)
    db.add(3, (1, 3), vo="juno", owner="bob")
    memory.hear([], db)
    for queue_id in (1, 2):
        db.queues[queue_id][1].clear()
        memory.waiting.heads.take(memory.waiting.index.slots[queue_id], (-1, queue_id, "g"))
        memory.waiting._place(memory.waiting.index.slots[queue_id])
    memory.park(ask(memory))
    memory.settle(kept=True)
    memory.waiting.look_again()
    memory.hear([], db)
    assert len(memory.waiting.index) == 1, "1 and 2 are forgotten"
    assert memory.choose_for_parked(db, 500) == [], "juno's job went to a pilot without isolation"


def test_who_asks_while_queues_are_forgotten_is_not_left_beside_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots 0 to 2 were juno's, which wants isolation, and are empty; after forgetting, slot 0 is bes's and still masked."""
    monkeypatch.setattr(waiting_module, "MOST_EMPTY", 2)
    db, memory = FakeDb({"juno": "bubblewrap"}), Memory()
    for queue_id, cpu_time_s in ((1, 300), (2, 400), (3, 2000)):
        db.add(queue_id, (1, queue_id), vo="juno", CPUTime=cpu_time_s)
    db.add(4, (1, 4), vo="bes")
    memory.hear([], db)
    for queue_id in (1, 2, 3):
        db.queues[queue_id][1].clear()
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


def test_reading_again_after_the_database_was_away_leaves_no_queue_out() -> None:
    db, memory = FakeDb(), Memory()
    db.add(1, (1, 1))
    db.add(2, (1, 2), owner="bob")
    db.fail = "heads"
    with pytest.raises(psycopg.OperationalError):
        memory.hear([], db)
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


def test_a_limit_that_has_room_after_all_does_not_bar_its_site() -> None:
    """Two picks, room for one; the one that took the room is lost to another matcher, so there is room again."""
    db, memory = FakeDb(), Memory()
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
    db.queues[1][1].remove((1, 1))
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


def test_two_requests_of_one_key_are_one_wish() -> None:
    db, memory = FakeDb(), Memory()
    db.add(1, (1, 1), (1, 2))
    memory.hear([], db)
    one, two = ask(memory), ask(memory)
    two = Ask(two.event.about(one.event.data), two.account, one.profile, one.due_s)
    picks = [pick for pick in (memory.choose(one, db), memory.choose(two, db)) if pick]
    assert len(picks) == 1, "claim_all would insert (pilot_id, request_id) twice"


def test_an_index_that_was_forgotten_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Profiles that nobody asks with any more hold the index that they were looked up in, and all queues' needs with it."""
    monkeypatch.setattr(waiting_module, "MOST_EMPTY", 2)
    db, memory = FakeDb(), Memory()
    for queue_id, cpu_time_s in ((1, 300), (2, 400), (3, 2000)):
        db.add(queue_id, (1, queue_id), CPUTime=cpu_time_s)
    memory.hear([], db)
    for _ in range(3):
        memory.choose(ask(memory, MaxRAM=7), db)
    memory.settle(kept=True)
    for queue_id in (1, 2, 3):
        db.queues[queue_id][1].clear()
    old = weakref.ref(memory.waiting.index)
    memory.waiting.look_again()
    memory.hear([], db)
    assert len(memory.waiting.index) == 0
    gc.collect()
    assert old() is None
