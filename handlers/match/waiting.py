"""What waits: task queues, their next jobs, and whose turn it is.

It is read from the database at the start, kept current by events, and looked over again every second in small parts.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bus import Db
from handlers.match.heads import Entry, Heads, entry_of
from handlers.match.index import Index
from handlers.match.parked import Profile
from handlers.match.sizes import size
from handlers.match.turns import Turns
from schemas.rules.explain import counted
from schemas.rules.isolation import LEVELS, is_enough
from schemas.rules.matching import fits, is_whole, masked
from schemas.rules.shares import Score

FRESH_S = 1.0
ANEW_S = 30.0
MOST_READ = 8_000
MOST_SWEPT = 200
MOST_EMPTY = 2_000
FEW_NEW = 4


class Waiting:
    """All waiting jobs that one matcher knows of. One thread uses it."""

    def __init__(self, scores: Sequence[Score]) -> None:
        """The first score decides whose turn it is; another only says whose it would have been."""
        self.index, self.heads = Index(), Heads()
        self.woken = 0  # the queues that have jobs which no waiting request was asked about yet
        self.least: dict[str, str] = {}
        self._scores = scores
        self._turns = [Turns(score, {}, ()) for score in scores]
        self._shares: tuple[Any, ...] = ()
        self._loaded = False
        self._looked_s = float("-inf")
        self._swept = 0
        self._offered_s = 0.0
        self._demanding: dict[str, list[str]] = {}  # by level, the communities for which it is too little
        self._banned_owners: frozenset[str] = frozenset()
        self.masked_sites: frozenset[str] = frozenset()

    def look(self, db: Db) -> None:
        """What changes seldom is as the database had it at most a second ago."""
        if not self._loaded:
            self._load(db)
        now_s = time.monotonic()
        if now_s < self._looked_s + FRESH_S:
            return
        self._looked_s = now_s
        if len(self.index) > MOST_EMPTY and self.heads.some.bit_count() * 2 < len(self.index):
            self._forget_empty()
        self._look_at_shares(db)
        usage = db.all("usage")
        for turns in self._turns:
            turns.account(usage)
        least = {row["vo"]: row["least_isolation"] for row in db.all("vos")}
        owners = frozenset(row["name"] for row in db.all("banned_owners"))
        sites = frozenset(row["site"] for row in db.all("masked_sites"))
        if (least, owners, sites) != (self.least, self._banned_owners, self.masked_sites):
            self.least, self._banned_owners, self.masked_sites = least, owners, sites
            self._demanding = {level: [vo for vo in least if not is_enough(level, least[vo])] for level in LEVELS}
            self.woken |= self.heads.some  # what was forbidden may be allowed by now
        self._sweep(db)
        if now_s > self._offered_s + ANEW_S:
            self._offered_s = now_s
            self.woken |= self.heads.some  # whatever was forgotten: nobody waits longer than that beside a job

    def hear(self, jobs: Iterable[Mapping[str, Any]], db: Db) -> None:
        """These jobs wait, as job.waiting says."""
        told = list(jobs)
        self._learn(db, {data["queue_id"] for data in told} - self.index.slots.keys())
        for data in told:
            slot = self.index.slots.get(data["queue_id"])
            if slot is not None:
                if "priority" in data:
                    self.heads.put(slot, entry_of(data))
                else:
                    self.heads.unread(slot)
                self.woken |= 1 << slot
                self._place(slot)

    def read_ahead(self, db: Db) -> None:
        """Queues of which no job is known any more are read on before one of them is wanted."""
        if self.heads.dry:
            self._read_on(db, next(iter(self.heads.dry)))

    def look_again(self) -> None:
        """Nothing that changes seldom is taken as known."""
        self._looked_s = float("-inf")

    def take(self, mask: int, db: Db, barred: Collection[str] = ()) -> tuple[int, Entry, int] | None:
        """The job whose turn it is, of these queues and of none of these job groups, which waits no more as far as is known.

        Its queue's slot, its entry, and the slot of the queue whose turn it would have been by the other score.
        """
        mask &= self.heads.some
        while mask and (slot := self._turns[0].next(mask)) is not None:
            entry = self.heads.next(slot, barred)
            if entry is not None:
                other = self._turns[-1].next(mask) if len(self._turns) > 1 else slot
                self.heads.take(slot, entry)
                self._place(slot)
                return slot, entry, slot if other is None else other
            if self.heads.has_more(slot):
                self._read_on(db, slot)
                mask &= self.heads.some
            else:
                mask &= ~(1 << slot)
        return None

    def give_back(self, slot: int, entry: Entry) -> None:
        """That job waits after all."""
        self.heads.give_back(slot, entry)
        self._place(slot)
        self.woken |= 1 << slot

    def look_into(self, queue_id: int) -> None:
        """The queue may have a job that is not known here."""
        if (slot := self.index.slots.get(queue_id)) is not None:
            self.read_again(slot)

    def read_again(self, slot: int) -> None:
        """What was read of this queue is not so any more; whoever waits is asked about it again."""
        self.heads.unread(slot)
        self._place(slot)
        self.woken |= 1 << slot

    def use(self, slot: int, processors: int) -> None:
        """The owner of this queue uses so many processors more, or less."""
        for turns in self._turns:
            turns.use(slot, processors)

    def serves(self, profile: Profile) -> int:
        """The queues whose needs the profile meets, whatever policies say, but for DIRAC's site mask."""
        profile, index = self.today(profile), self.index
        if profile.index is not index or len(index) - profile.seen > FEW_NEW:
            profile.index, profile.mask, profile.seen = index, index.serves(profile.resource), len(index)
        while profile.seen < len(index):
            profile.mask |= fits(profile.resource, index.needs[profile.seen]) << profile.seen
            profile.seen += 1
        return profile.mask

    def today(self, profile: Profile) -> Profile:
        """The profile as the status of its site lets it match; one object, whoever asks, as long as the profile is known."""
        if profile.site not in self.masked_sites:
            profile.masked = None
            return profile
        if profile.masked is None:
            profile.index = None
            profile.masked = replace(profile, resource=masked(profile.resource, "banned"), index=None, mask=0, seen=0)
        return profile.masked

    def open_to(self, profile: Profile) -> int:
        """The queues that this profile may be given jobs of today."""
        mask = self.serves(profile) & ~self._of_banned()
        for _, failing in self._held(profile):
            mask &= ~failing
        return mask

    def reasons(self, profile: Profile, limited: int) -> dict[str, Any]:
        """Why the profile gets nothing: of the queues that have jobs, how many fail which requirement, and the nearest.

        `limited` are those whose jobs a limit keeps from its site.
        """
        profile, some = self.today(profile), self.heads.some & ~self._of_banned()
        fails: dict[str, int] = {}
        for name, failing in (*self.index.failing(profile.resource), *self._held(profile), ("RunningLimit", limited)):
            fails[name] = fails.get(name, 0) | failing & some
        at_least = [some]  # the queues that fail so many requirements or more
        for failing in fails.values():
            at_least.append(0)
            for number in range(len(at_least) - 1, 0, -1):
                at_least[number] |= at_least[number - 1] & failing
        at_least.append(0)
        missing = next((few for n in range(1, len(at_least) - 1) if (few := at_least[n] & ~at_least[n + 1])), 0)
        nearest = None
        if missing:
            slot = (missing & -missing).bit_length() - 1
            needs = dict(self.index.needs[slot])
            demanded = needs | {"LeastIsolation": self.least.get(needs["VO"], "none")}
            nearest = {"queue_id": self.index.queue_ids[slot], "requirements": demanded}
        counts = {name: failing.bit_count() for name, failing in fails.items()}
        return counted(profile.resource, some.bit_count(), (some & ~at_least[1]).bit_count(), counts, nearest)

    def _held(self, profile: Profile) -> Iterator[tuple[str, int]]:
        """What is not the profile's own to meet: how communities want payloads kept apart."""
        # looked up now and not with the policies: a queue that is a moment old is under them too
        level = str(profile.resource.get("Isolation") or "none")
        yield "Isolation", self.index.naming("VO", self._demanding.get(level, self._demanding.get("none", ())))

    def _load(self, db: Db) -> None:
        self._look_at_shares(db)
        self._know_all(db.all("queues"))
        while self.heads.dry:
            self.read_ahead(db)
        self.woken = self.heads.some
        self._loaded = True
        gc.collect()
        gc.freeze()  # what was read lives as long as the process: to look through it for garbage again and again costs a tenth

    def _forget_empty(self) -> None:
        """Queues without a job are known no more: there will be many over the years, and few have jobs on one day."""
        index, heads, some = self.index, self.heads, self.heads.some
        self.index, self.heads = Index(), Heads()
        self._turns = [Turns(score, *self._divided()) for score in self._scores]
        self.woken, self._swept = 0, 0
        for old, queue_id in enumerate(index.queue_ids):
            if some >> old & 1:
                slot = self.know(queue_id, index.needs[old])
                self.heads.adopt(slot, heads, old)
                self._place(slot)
        self.woken = self.heads.some
        self.look_again()

    def _learn(self, db: Db, queue_ids: Collection[int]) -> None:
        """These queues are known, and nothing of their jobs."""
        if queue_ids:
            self._know_all(db.all("needs", queue_ids=sorted(queue_ids)))

    def _know_all(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """These queues are known, but for such as lack what every job needs, which must not keep all others from being served."""
        for row in rows:
            if is_whole(row["requirements"]):
                self.know(row["queue_id"], row["requirements"])

    def know(self, queue_id: int, needs: Mapping[str, Any]) -> int:
        """This queue may have jobs; gives its slot. What is known of it is not known better by being told again."""
        if (known := self.index.slots.get(queue_id)) is not None:
            return known
        slot = self.index.add(queue_id, needs)
        self.heads.unread(slot)
        for turns in self._turns:
            turns.add(slot, needs["OwnerGroup"], needs["Owner"], size(needs))
        self._place(slot)
        return slot

    def _place(self, slot: int) -> None:
        bound = self.heads.bound(slot)
        for turns in self._turns:
            turns.place(slot, None if bound is None else bound[:2])

    def _look_at_shares(self, db: Db) -> None:
        rows = db.all("shares")
        shares = tuple((row["owner_group"], row["share"], row["sharing"]) for row in rows)
        if shares == self._shares:
            return
        self._shares = shares
        self._turns = [Turns(score, *self._divided()) for score in self._scores]
        for slot, needs in enumerate(self.index.needs):
            for turns in self._turns:
                turns.add(slot, needs["OwnerGroup"], needs["Owner"], size(needs))
            self._place(slot)

    def _divided(self) -> tuple[dict[str, float], set[str]]:
        """The shares of groups, and the groups whose members share."""
        return {name: float(share) for name, share, _ in self._shares}, {name for name, _, sharing in self._shares if sharing}

    def _sweep(self, db: Db) -> None:
        """A job whose wake was lost is found all the same: queues with jobs are gone through, some at a time."""
        found = [row["queue_id"] for row in db.all("sweep", after=self._swept, most=MOST_SWEPT)]
        self._swept = found[-1] if len(found) == MOST_SWEPT else 0
        self._learn(db, set(found) - self.index.slots.keys())
        for slot in (self.index.slots[queue_id] for queue_id in found if queue_id in self.index.slots):
            if not self.heads.some >> slot & 1:
                self.heads.unread(slot)
                self._place(slot)
            if slot in self.heads.dry:
                self.woken |= 1 << slot

    def _of_banned(self) -> int:
        return self.index.naming("Owner", self._banned_owners)

    def _read_on(self, db: Db, slot: int) -> None:
        """More of this queue's jobs are known, and of some others' that have run dry."""
        wanted, rows = [], 0
        for one in (slot, *(dry for dry in self.heads.dry if dry != slot)):
            priority, job_id, _ = self.heads.read_to(one)
            after = {"queue_id": self.index.queue_ids[one], "priority": -priority, "job_id": job_id}
            wanted.append({"slot": one, "ahead": self.heads.ahead(one)} | after)
            rows += self.heads.ahead(one)
            if rows >= MOST_READ:
                break
        found: dict[int, list[Entry]] = {int(one["slot"]): [] for one in wanted}
        for row in db.all("heads", wanted=json.dumps(wanted)):
            found[row["slot"]].append(entry_of(row))
        for one, entries in found.items():
            self.heads.keep(one, entries, self.heads.ahead(one))
            self._place(one)
