"""How many jobs of a kind may run at a site, and how often one may be matched there: counters and token buckets, pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ALL_JOBS = "*"  # the attribute, and its only value, that every job has
FIELDS = {"Owner": "owner", "OwnerGroup": "owner_group", "VO": "vo", "JobType": "job_type", "JobGroup": "job_group"}


def concerns(attribute: str, value: str, job: Mapping[str, Any]) -> bool:
    """Say whether a limit on this attribute and value is about the job."""
    return attribute == ALL_JOBS or job[FIELDS[attribute]] == value


class Limits:
    """The limits of some sites, for whoever holds their rows locked: what they forbid now, and what matches make of them.

    A row has limit_id, site, ce (empty: the whole site), attribute, value, most (None: any number), running,
    delay_s (None: at any rate), burst, tokens and at_s; `now` is of the clock that at_s was read from, in seconds.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], now: float) -> None:
        """Keep copies of the rows, their buckets filled up to now."""
        self._now = now
        self._by_site: dict[str, list[dict[str, Any]]] = {}
        self._read: list[tuple[dict[str, Any], tuple[int, float]]] = []
        for row in rows:
            kept = dict(row)
            if kept["delay_s"] is not None:
                earned = max(0.0, now - kept["at_s"]) / kept["delay_s"]
                # at_s never goes back, or the time between would be earned twice
                kept.update(tokens=min(float(kept["burst"]), kept["tokens"] + earned), at_s=max(now, kept["at_s"]))
            self._by_site.setdefault(kept["site"], []).append(kept)
            self._read.append((kept, (kept["running"], kept["tokens"])))

    def blocked(self, site: str, ce: str) -> list[tuple[str, str]]:
        """Give the attributes and values of which nothing may be matched there now; ("*", "*") is everything."""
        found = {(row["attribute"], row["value"]) for row in self._at(site, ce) if _is_full(row) or _is_too_soon(row)}
        return sorted(found)

    def take(self, site: str, ce: str, job: Mapping[str, Any]) -> None:
        """Count a match of the job, and spend a token for it, wherever a limit concerns it."""
        for row in self._concerned(site, ce, job):
            row["running"] += 1
            if row["delay_s"] is not None:
                row["tokens"] -= 1

    def give_back(self, site: str, ce: str, job: Mapping[str, Any]) -> None:
        """Undo `take`: the job was another's already."""
        for row in self._concerned(site, ce, job):
            row["running"] -= 1
            if row["delay_s"] is not None:
                row["tokens"] = min(float(row["burst"]), row["tokens"] + 1)

    def changed(self) -> list[dict[str, Any]]:
        """Give limit_id, running, tokens and at_s of the rows that are to be written back."""
        names = ("limit_id", "running", "tokens", "at_s")
        return [{name: row[name] for name in names} for row, was in self._read if (row["running"], row["tokens"]) != was]

    def again_s(self, site: str, ce: str) -> float | None:
        """Give the seconds until the next token where only the rate forbids something; None where it forbids nothing."""
        late = [row for row in self._at(site, ce) if _is_too_soon(row) and not _is_full(row)]
        return min((float((1 - row["tokens"]) * row["delay_s"]) for row in late), default=None)

    def _at(self, site: str, ce: str) -> Iterator[dict[str, Any]]:
        return (row for row in self._by_site.get(site, ()) if row["ce"] in ("", ce))

    def _concerned(self, site: str, ce: str, job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        return (row for row in self._at(site, ce) if concerns(row["attribute"], row["value"], job))


def _is_full(row: Mapping[str, Any]) -> bool:
    return row["most"] is not None and row["running"] >= row["most"]


def _is_too_soon(row: Mapping[str, Any]) -> bool:
    return row["delay_s"] is not None and row["tokens"] < 1
