"""What kill, reschedule and delete share: whom they are about, a piece at a time, and what is said of it afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bus import Event
from schemas.rules.rights import may, reach
from schemas.rules.selection import Range, beyond, ids, joined, reaching, selected, unmoved

PIECE = 5_000  # jobs of one statement
PIECES = 20  # of one request: whoever asks goes on after them
MOST_ORDERS = 5_000  # as long as a request goes on, beats of pilots wait for jobs that it has ordered to be killed
FEW = 100  # up to so many jobs each have an event of their own
MOST_RANGES = 1_000
MOST_REASONS = 50
PENDING = ("requested", "acknowledged")
NO_JOB = "you have no such job"
ON_PILOT = ("Matched", "Running", "Completing", "Stalled")


@dataclass(slots=True)
class Command:
    """One request of somebody with these memberships, and what has come of it so far."""

    event: Event
    right: str
    wanted: str  # the state
    memberships: Sequence[Mapping[str, Any]]
    piece: int = PIECE
    after: int = 0
    more: bool = True
    allowed: str = ""  # the ids of the piece that may be commanded, as Postgres writes an array
    outcomes: list[Mapping[str, Any]] = field(default_factory=list)
    _asked: dict[str, Any] = field(default_factory=dict)
    _piece: list[Range] = field(default_factory=list)
    _denials: dict[tuple[str, ...], str | None] = field(default_factory=dict)
    _pieces: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError with one sentence when the request names no jobs, or none that could be."""
        self._asked = selected(self.event.data, command=True)
        self.after = self.event.data.get("after", 0)

    @property
    def account(self) -> str:
        """Who asks."""
        return self.event.authid or ""

    @property
    def goes_on(self) -> bool:
        """Whether there are more jobs, and this request has not done as much as one may."""
        return self.more and self._pieces < PIECES and counted(self._pending()) < MOST_ORDERS

    def next(self, states: Sequence[str]) -> dict[str, Any]:
        """The values that choose the next piece; where neither ids nor states are named, of those states or the wanted one."""
        asked = dict(self._asked)
        if "ranges" in asked:
            asked["ranges"] = self._piece = beyond(asked["ranges"], self.after, self.piece)
        elif "states" not in asked:
            asked["states"] = [*states, self.wanted]
        seen = reaching(asked, self.account, reach("GetInfo", self.memberships))
        return {"asked": json.dumps(asked), "seen": json.dumps(seen), "after": self.after, "most": self.piece}

    def choose(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """These are the jobs of the piece, a row for each owner; whether any of them may be commanded."""
        self._pieces += 1
        count = sum(row["count"] for row in rows)
        if "ranges" in self._asked:
            # with other filters, what is not there just does not meet them
            if len(self._asked) == 1 and count < sum(last - first + 1 for first, last in self._piece):
                self._miss({job_id for row in rows for job_id in ids_of(row)})
            self.after = self._piece[-1][1] if self._piece else self.after
            self.more = bool(beyond(self._asked["ranges"], self.after, 1))
        else:
            self.after = max((row["last_job_id"] for row in rows), default=self.after)
            self.more = count == self.piece
        allowed = []
        for row in rows:
            if denial := self._denial(row):
                for first, last in joined((one, one) for one in ids_of(row)):
                    self._refuse(denial, first, last)
            else:
                allowed.append(row["job_ids"])
        self.allowed = "{" + ",".join(allowed) + "}"
        return bool(allowed)

    def _pending(self) -> list[Mapping[str, Any]]:
        return [row for row in self.outcomes if row["outcome"] in PENDING]

    def _denial(self, row: Mapping[str, Any]) -> str | None:
        whose = (row["owner"], row["owner_group"], row["vo"])
        if whose not in self._denials:
            self._denials[whose] = may(self.right, self.account, self.memberships, row)
        return self._denials[whose]

    def _miss(self, there: set[int]) -> None:
        for first, last in joined((one, one) for one in ids(self._piece) if one not in there):
            self._refuse(NO_JOB, first, last)

    def _refuse(self, reason: str, first: int, last: int) -> None:
        self.outcomes.append({"outcome": "refused", "reason": reason, "first_job_id": first, "last_job_id": last})

    def take(self, rows: Sequence[Mapping[str, Any]], worn: str = "") -> None:
        """This came of the piece; `worn` is why a job is refused that has used up what it had."""
        for row in rows:
            if row["outcome"] in ("refused", "worn"):
                reason = worn if row["outcome"] == "worn" else unmoved(row["state"], self.wanted)
                self._refuse(reason, row["first_job_id"], row["last_job_id"])
            else:
                self.outcomes.append(row)

    def done(self, outcome: str, *, on_pilot: bool) -> list[Mapping[str, Any]]:
        """Rows of neighbours that had this outcome, on pilots or on none."""
        return [row for row in self.outcomes if row["outcome"] == outcome and bool(row.get("pilot_id")) == on_pilot]

    def reply(self, *outcomes: str) -> Event:
        """How many there were of each outcome, and why some were refused."""
        refused: dict[str, list[Mapping[str, Any]]] = {}
        for row in self.outcomes:
            if row["outcome"] == "refused":
                refused.setdefault(row["reason"], []).append(row)
        reasons = [
            {"reason": reason, "count": counted(rows), "first_job_id": min(row["first_job_id"] for row in rows)}
            for reason, rows in refused.items()
        ]
        counts = {name: counted([row for row in self.outcomes if row["outcome"] == name]) for name in outcomes}
        told: dict[str, Any] = {"counts": counts, "after": self.after, "more": self.more}
        told["refusals"] = sorted(reasons, key=lambda each: (-each["count"], each["first_job_id"]))[:MOST_REASONS]
        asked = list(dict.fromkeys(self.event.data.get("job_ids", ())))
        if asked and len(asked) <= FEW and set(self.event.data) == {"job_ids"}:
            told["results"] = self._results(asked)
        if pending := joined((row["first_job_id"], row["last_job_id"]) for row in self._pending()):
            told["pending"] = [list(one) for one in pending[:MOST_RANGES]]
        return self.event.reply(told)

    def _results(self, asked: Sequence[int]) -> list[dict[str, Any]]:
        known = {
            job_id: {"job_id": job_id, "outcome": row["outcome"]} | ({"reason": row["reason"]} if "reason" in row else {})
            for row in self.outcomes
            for job_id in ids([(row["first_job_id"], row["last_job_id"])])
        }
        return [known[job_id] for job_id in asked if job_id in known]


def ranged(event: Event, kind: str, rows: Sequence[Mapping[str, Any]], by: str) -> Iterator[Event]:
    """Events that name ranges of these jobs: of one owner and group each, and of no more ranges than an event can carry."""
    whose: dict[tuple[str, str, str], list[Range]] = {}
    for row in rows:
        about = (row["owner"], row["owner_group"], row["vo"])
        whose.setdefault(about, []).append((row["first_job_id"], row["last_job_id"]))
    for (owner, group, vo), ranges in whose.items():
        neighbours = joined(ranges)
        for start in range(0, len(neighbours), MOST_RANGES):
            part = neighbours[start : start + MOST_RANGES]
            told: dict[str, Any] = {"first_job_id": part[0][0], "last_job_id": part[-1][1], "ranges": [list(one) for one in part]}
            told["count"] = sum(last - first + 1 for first, last in part)
            told |= {"owner": owner, "owner_group": group, "vo": vo, "requested_by": by}
            yield event.answer(kind, part[0][0], told).of(owner, vo)


def ids_of(row: Mapping[str, Any]) -> list[int]:
    """The ids of a row of chosen jobs: they travel as a text, for a handler is called again with each answer."""
    return [int(one) for one in row["job_ids"].split(",")]


def counted(rows: Sequence[Mapping[str, Any]]) -> int:
    """How many jobs these rows of neighbours are."""
    return sum(row["last_job_id"] - row["first_job_id"] + 1 for row in rows)


def singly(
    event: Event, kind: str, rows: Sequence[Mapping[str, Any]], told: Mapping[str, Any], later: int = 0
) -> Iterator[Event]:
    """An event for each of these jobs, with its attempt, or the one that comes so much later."""
    for row in rows:
        for job_id in ids([(row["first_job_id"], row["last_job_id"])]):
            data = {"job_id": job_id, "attempt": row["attempt"] + later, **told}
            yield event.answer(kind, job_id, data).of(row["owner"], row["vo"])
