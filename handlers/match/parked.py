"""Requests that wait for a job. Those that offer the same are of one profile, and are looked at once for all."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bus import Event
from schemas.rules.matching import CPU_TIME_SEGMENTS_S, number

MOST_OF_AN_ACCOUNT = 8  # a stolen pilot holds no more of the house's memory, and of its jobs, than any other
MOST_IDLE_BYTES = 32 << 20  # of the keys of profiles that came since idle ones were forgotten

SIZES = ("NumberOfProcessors", "NumberOfGPUs", "MaxRAM", "CPUTime")
Tightness = tuple[float, float, float, float, str]


@dataclass(eq=False, slots=True)
class Profile:
    """What requests offer, in the house's own words."""

    key: str
    resource: Mapping[str, Any]
    tightness: Tightness
    site: str
    ce: str
    masked: Profile | None = None  # the same at a site that is banned
    index: object = None
    mask: int = 0  # the queues that it serves, of the first so many of that index
    seen: int = 0
    asks: dict[str, Ask] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Ask:
    """One request; of its event, what a reply is made of."""

    event: Event
    account: str
    profile: Profile
    due_s: float

    @property
    def pilot_id(self) -> str:
        """Who asks."""
        return str(self.event.data["pilot_id"])

    @property
    def wish(self) -> tuple[str, str]:
        """By which two requests are one."""
        return str(self.event.data["pilot_id"]), str(self.event.data["request_id"])

    @property
    def who(self) -> dict[str, str]:
        """The two names under which a claim is kept."""
        return {"pilot_id": self.event.data["pilot_id"], "request_id": self.event.data["request_id"]}


class Parked:
    """Every request that waits, by profile, by account and by when its time is up. One thread uses it."""

    def __init__(self) -> None:
        self.asks: dict[str, Ask] = {}
        self.known: list[Profile] = []  # every profile, in the order in which they came; another list when some are forgotten
        self.order: list[Tightness] = []  # those with requests, the smallest resource first
        self._profiles: dict[str, Profile] = {}
        self._idle_bytes = 0
        self._of: dict[str, dict[str, None]] = {}
        self._due: list[tuple[float, str]] = []

    def profile(self, resource: Mapping[str, Any]) -> Profile:
        """The profile of those that offer this."""
        canonical = _canonical(resource)
        key = repr(canonical)
        profile = self._profiles.get(key)
        if profile is None:
            self._idle_bytes += len(key)
            if self._idle_bytes > MOST_IDLE_BYTES:
                self.forget_idle()
            processors, gpus, memory_mb, cpu_time_s = (number(canonical, name) for name in SIZES)
            tightness = (processors, gpus, memory_mb, cpu_time_s, key)
            ce = canonical.get("GridCE")
            profile = Profile(key, canonical, tightness, str(canonical.get("Site", "")), ce if isinstance(ce, str) else "")
            self._know(profile)
        return profile

    def _know(self, profile: Profile) -> None:
        self._profiles[profile.key] = profile
        self.known.append(profile)

    def forget_idle(self) -> None:
        """Profiles that nobody waits with are not known any more."""
        self.known = [profile for profile in self.known if profile.asks]
        self._profiles = {profile.key: profile for profile in self.known}
        self._idle_bytes = 0

    def add(self, ask: Ask) -> Ask | None:
        """It waits; the oldest of its account does not any more when there are too many, and is given."""
        self.drop(ask.event.id)
        profile = ask.profile = self._profiles.get(ask.profile.key, ask.profile)
        if profile.key not in self._profiles:  # it was forgotten while it was idle
            self._know(profile)
        if not profile.asks:
            insort(self.order, profile.tightness)
        profile.asks[ask.event.id] = ask
        self.asks[ask.event.id] = ask
        heapq.heappush(self._due, (ask.due_s, ask.event.id))
        own = self._of.setdefault(ask.account, {})
        own[ask.event.id] = None
        return self.drop(next(iter(own))) if len(own) > MOST_OF_AN_ACCOUNT else None

    def drop(self, ask_id: str) -> Ask | None:
        """It does not wait any more."""
        ask = self.asks.pop(ask_id, None)
        if ask is None:
            return None
        own = self._of[ask.account]
        del own[ask_id]
        if not own:
            del self._of[ask.account]
        del ask.profile.asks[ask_id]
        if not ask.profile.asks:
            del self.order[bisect_left(self.order, ask.profile.tightness)]
        return ask

    def of(self, account: str) -> list[Ask]:
        """What this account has asked."""
        return [self.asks[ask_id] for ask_id in self._of.get(account, ())]

    def waiting(self, order: Sequence[Tightness]) -> Iterator[Profile]:
        """Of these profiles, those with requests; in the order of `order` the smallest resource is first."""
        for tightness in list(order):
            if (profile := self._profiles.get(tightness[4])) is not None and profile.asks:
                yield profile

    def overdue(self, now_s: float) -> Iterable[Ask]:
        """Those whose time is up; they do not wait any more."""
        while self._due and self._due[0][0] <= now_s:
            due_s, ask_id = heapq.heappop(self._due)
            ask = self.asks.get(ask_id)
            if ask is not None and ask.due_s <= due_s:
                self.drop(ask_id)
                yield ask

    def next_due_s(self) -> float:
        """When the next one's time is up, or is at the earliest."""
        return self._due[0][0] if self._due else float("inf")


def _canonical(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The same offer in as few different words as can be: queues need CPUTime in DIRAC's steps, so it is told in them."""
    canonical = {name: resource[name] for name in OFFERED if resource.get(name) is not None}
    cpu_time_s = number(resource, "CPUTime")
    canonical["CPUTime"] = max((step for step in CPU_TIME_SEGMENTS_S if step <= cpu_time_s), default=0)
    for name in ("Tag", "RequiredTag"):
        if isinstance(canonical.get(name), list):
            canonical[name] = sorted(set(map(str, canonical[name])))
    return canonical


OFFERED = (
    "Site", "GridCE", "Platform", "JobType", "VirtualOrganization", "OwnerGroup", "Owner", "CPUTime", "MaxRAM", "MaxDisk",
    "NumberOfProcessors", "NumberOfGPUs", "WholeNode", "Isolation", "Tag", "RequiredTag",
    "BannedSite", "BannedGridCE", "BannedPlatform", "BannedJobType", "BannedTag",
)  # fmt: skip
