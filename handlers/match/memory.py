"""What one matcher process knows by heart: the jobs and the requests that wait, and what it has just chosen.

Everything here is a copy or a hint, and can be thrown away at any moment: only the claim, in the database, gives a job.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bus import Db, Event
from handlers.match.barred import Barred
from handlers.match.heads import Entry
from handlers.match.offers import Offers
from handlers.match.parked import Ask, Parked
from handlers.match.sizes import occupied
from handlers.match.takers import Takers
from handlers.match.waiting import Waiting
from schemas.rules.limits import Limits, concerns
from schemas.rules.placed import Templates
from schemas.rules.shares import HOUSE, Policy

TRUSTED_S = 2.0  # so long it is taken as known that a pilot may have jobs
MOST_KNOWN = 50_000
ASIDE_S = 30.0
CAREFUL = 100


@dataclass(frozen=True, slots=True, eq=False)
class Pick:
    """A job for a request, if the claim says so."""

    ask: Ask
    slot: int
    entry: Entry
    processors: int
    waited: bool
    shadow: int


class Memory:
    """One matcher's. Between a transaction's first step and `settle` it is ahead of the database; one thread uses it."""

    def __init__(self, policies: tuple[Policy, Policy | None] = (HOUSE, None)) -> None:
        """The policy that decides whose turn it is, and the one that only says whose it would have been, if there is any."""
        self.shadow = policies[1].name if policies[1] is not None else None
        self.waiting, self.parked = Waiting([policy.score for policy in policies if policy is not None]), Parked()
        self._takers = Takers(self.parked, self.waiting.serves)
        self.limits = Barred()
        self.offers = Offers()
        self.templates = Templates()
        self.is_there: Callable[[str], bool] = lambda _request_id: True
        self._pilots: dict[str, tuple[float, dict[str, Any]]] = {}
        self._picks: list[Pick] = []
        self._added: list[Ask] = []
        self._left: list[Ask] = []
        self._crowded_out: list[Ask] = []
        self._lost: set[int] = set()
        self._wishes: set[tuple[str, str]] = set()
        self._aside: list[tuple[float, int]] = []
        self._careful = 0

    def hear(self, wakes: Iterable[Event], db: Db) -> None:
        """What these say is known: jobs that wait, pilots that are gone."""
        told = list(wakes)
        index, masked = self.waiting.index, self.waiting.masked_sites
        self.waiting.look(db)
        if self.waiting.index is not index:
            self.parked.forget_idle()
        if self.waiting.index is not index or self.waiting.masked_sites != masked:
            self._takers.forget()
        self.waiting.hear((wake.data for wake in told if wake.type == "job.waiting.v1"), db)
        self.waiting.hear((queue for wake in told if wake.type == "bulk.waiting.v1" for queue in _queues(wake)), db)
        for wake in told:
            if wake.type == "pilot.disconnected.v1":
                for ask in self.parked.of(f"pilot-{wake.data['pilot_id']}"):
                    if not self.is_there(ask.event.id):
                        self.parked.drop(ask.event.id)
            elif wake.type == "match.released.v1":
                self._let_in(self.limits.opened(wake.data["site"]))
        self._let_in(self.limits.over(time.monotonic()))
        while self._aside and self._aside[0][0] <= time.monotonic():
            self.waiting.look_into(self._aside.pop(0)[1])
        self.waiting.read_ahead(db)

    def _let_in(self, more: bool) -> None:  # noqa: FBT001
        if more:
            self.waiting.woken |= self.waiting.heads.some

    def pilots(self, db: Db, accounts: Collection[str]) -> dict[str, dict[str, Any]]:
        """How these accounts stand, as of a moment ago at most."""
        now_s = time.monotonic()
        if len(self._pilots) > MOST_KNOWN:
            self._pilots.clear()
        stale = [name for name in set(accounts) if (known := self._pilots.get(name)) is None or known[0] < now_s - TRUSTED_S]
        if stale:
            self._pilots.update((row["account"], (now_s, row)) for row in db.all("pilots", accounts=sorted(stale)))
        return {name: self._pilots[name][1] for name in accounts}

    def park(self, ask: Ask) -> None:
        """It waits; the oldest of its account does not any more when there are too many."""
        self._added.append(ask)
        if crowded_out := self.parked.add(ask):
            self._crowded_out.append(crowded_out)

    def lapsed(self) -> list[Ask]:
        """Those that were crowded out, and those whose time is up; they wait no more."""
        over, self._crowded_out = [*self._crowded_out, *self.parked.overdue(time.monotonic())], []
        return [self._leave(ask) for ask in over]

    def idle_s(self) -> float:
        """For how long there is nothing to do, if nothing is heard."""
        if self.waiting.woken & self.waiting.heads.some and self.parked.asks:
            return 0.0
        return max(0.0, min(self.parked.next_due_s(), self.limits.next_s()) - time.monotonic())

    def choose(self, ask: Ask, db: Db, among: int = -1) -> Pick | None:
        """The job that this request should have, of these queues: nobody else's until `settle`, or until it is lost."""
        if ask.wish in self._wishes:
            return None  # it is asked for twice, and has one already if that is kept
        mask = self.waiting.open_to(ask.profile) & among & ~self.limits.queues(ask.profile, self.waiting.index)
        found = self.waiting.take(mask, db, self.limits.job_groups(ask.profile))
        if found is None:
            return None
        slot, entry, shadow = found
        waited = self.parked.drop(ask.event.id) is not None
        pick = Pick(ask, slot, entry, occupied(ask.profile.resource, self.waiting.index.needs[slot]), waited, shadow)
        self.waiting.use(slot, pick.processors)
        self._picks.append(pick)
        self._wishes.add(ask.wish)
        return pick

    def choose_for_parked(self, db: Db, most: int) -> list[Pick]:
        """Jobs for requests that wait, no more than so many; a queue that none of them serves wakes nobody any more."""
        picks: list[Pick] = []
        most = 1 if self._careful else most
        for profile in self._takers.profiles(self.waiting.woken & self.waiting.heads.some):
            self.waiting.woken &= self.waiting.heads.some
            if not self.waiting.woken:
                break
            # most serve none of those few: that is seen at once, and policies are looked up for the others
            if not self.waiting.serves(profile) & self.waiting.woken or not self.waiting.open_to(profile) & self.waiting.woken:
                continue
            for ask in list(profile.asks.values()):
                if not self.is_there(ask.event.id):
                    self.parked.drop(ask.event.id)
                    continue
                if (pick := self.choose(ask, db, self.waiting.woken)) is None:
                    break
                picks.append(pick)
                if len(picks) == most:
                    return picks
        self.waiting.woken = 0
        return picks

    def standing(self, db: Db, picks: Sequence[Pick]) -> tuple[list[Pick], list[tuple[Ask, str]]]:
        """The picks of those that may have jobs; and who may have none any more, with the reason, whose picks are undone."""
        pilots = self.pilots(db, [pick.ask.account for pick in picks])
        good, refused = [], []
        for pick in picks:
            if reason := pilots[pick.ask.account]["banned"]:
                self.unpick(pick)
                refused.append((pick.ask, reason))
            else:
                good.append(pick)
        return good, refused

    def within(self, limits: Limits, picks: Sequence[Pick], db: Db) -> tuple[list[Pick], list[Ask]]:
        """The picks that limits allow, each counted; in place of the others, others; and who then gets none."""
        good: list[Pick] = []
        without: list[Ask] = []
        todo = deque(picks)
        while todo:
            pick = todo.popleft()
            site, ce, job = pick.ask.profile.site, pick.ask.profile.ce, self.job(pick)
            blocked = limits.blocked(site, ce)
            if not any(concerns(attribute, value, job) for attribute, value in blocked):
                limits.take(site, ce, job)
                good.append(pick)
                continue
            self.limits.bar(site, ce, blocked, limits.again_s(site, ce))
            self.unpick(pick)
            if other := self.choose(pick.ask, db):
                todo.append(other)
            else:
                without.append(pick.ask)
        return good, without

    def job(self, pick: Pick) -> dict[str, str]:
        """What limits tell jobs apart by."""
        needs = self.waiting.index.needs[pick.slot]
        told = {"owner": needs["Owner"], "owner_group": needs["OwnerGroup"], "vo": needs["VO"]}
        return told | {"job_type": needs["JobTypes"][0], "job_group": pick.entry[2]}

    def reasons(self, ask: Ask) -> dict[str, Any]:
        """Why the request gets nothing."""
        return self.waiting.reasons(ask.profile, self.limits.queues(ask.profile, self.waiting.index))

    def lost(self, pick: Pick) -> None:
        """That job is somebody else's, or is not waiting any more; and so, then, may others of its queue be."""
        self._undo(pick)
        self._let_in(self.limits.opened(pick.ask.profile.site))  # the room that it took there is free again
        self._lost.add(pick.slot)  # read again when that somebody has had the time to commit

    def unpick(self, pick: Pick) -> None:
        """That job is not this request's after all, and waits on."""
        self._undo(pick)
        self.waiting.give_back(pick.slot, pick.entry)

    def settle(self, *, kept: bool, fault: bool = False) -> None:
        """What was chosen since the last time is so; or nothing of it has happened, by a fault perhaps.

        After a fault one job is chosen at a time; if that one fails, it is left alone for a while, and is in nobody's way.
        """
        picks, added, left = self._picks, self._added, self._left
        self._picks, self._added, self._left = [], [], []
        self._wishes.clear()
        self._careful = CAREFUL if fault else max(0, self._careful - 1)
        if not kept:
            for pick in picks:
                if fault and len(picks) == 1:
                    self._aside.append((time.monotonic() + ASIDE_S, self.waiting.index.queue_ids[pick.slot]))
                else:
                    self.waiting.give_back(pick.slot, pick.entry)
                self._let_in(self.limits.opened(pick.ask.profile.site))
        for slot in self._lost:
            self.waiting.read_again(slot)
        self._lost.clear()
        if kept:
            return
        for ask in added:
            self.parked.drop(ask.event.id)
        left += self._crowded_out
        self._crowded_out.clear()
        for ask in (*left, *(pick.ask for pick in picks if pick.waited)):
            self.parked.add(ask)
        self.waiting.look_again()

    def _undo(self, pick: Pick) -> None:
        self._picks.remove(pick)
        self._wishes.discard(pick.ask.wish)
        self.waiting.use(pick.slot, -pick.processors)
        if pick.waited:
            self._leave(pick.ask)

    def _leave(self, ask: Ask) -> Ask:
        self._left.append(ask)
        return ask


def _queues(wake: Event) -> Iterable[dict[str, int]]:
    """The queues that a bulk's jobs wait in, as of jobs of which nothing more is known."""
    return ({"queue_id": queue["queue_id"]} for queue in wake.data["queues"])
