"""Which jobs a command or a question is about: ids, ranges, a group, a submission, or how and whose they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.rules.job_states import MOVES, decide_move

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from schemas.rules.rights import Reach

Range = tuple[int, int]  # first and last, both of them in it

MOST_IDS = 1_000_000
FILTERS = ("states", "owner", "owner_group", "job_group", "site", "submission", "submitted_after", "submitted_before")
NAMING = ("job_ids", "ranges", "owner", "owner_group", "submission")  # whoever names these may mean jobs of others
UNTOUCHED = frozenset({"Submitting"})  # a submission is confirmed whole, or not at all


def selected(asked: Mapping[str, Any], *, command: bool) -> dict[str, Any]:
    """The filters that are asked for, and ids and ranges as ranges that do not meet, in order.

    Raises ValueError with one sentence when a range is none or there are too many ids, and for a command that names nothing.
    """
    chosen = {name: asked[name] for name in FILTERS if name in asked}
    if "job_ids" in asked or "ranges" in asked:
        chosen["ranges"] = joined([*((one, one) for one in asked.get("job_ids", ())), *map(_range, asked.get("ranges", ()))])
        if (count := sum(last - first + 1 for first, last in chosen["ranges"])) > MOST_IDS:
            raise ValueError(f"{count} job ids are more than {MOST_IDS}; name fewer at a time")
    if command and not chosen:
        raise ValueError("name the jobs: by ids, ranges, a group, a submission, or by how they are")
    return chosen


def _range(pair: Sequence[int]) -> Range:
    first, last = pair
    if last < first:
        raise ValueError(f"{first}-{last} is no range of job ids: it ends before it begins")
    return first, last


def joined(ranges: Iterable[Range]) -> list[Range]:
    """The same ids in ranges that neither meet nor touch, in order."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def beyond(ranges: Iterable[Range], after: int, most: int) -> list[Range]:
    """Of these ids the next ones after this one, so many at most."""
    found: list[Range] = []
    for first, last in ranges:
        start = max(first, after + 1)
        end = min(last, start + most - 1)
        if start <= end:
            found.append((start, end))
            most -= end - start + 1
    return found


def ids(ranges: Iterable[Range]) -> Iterator[int]:
    """Each id of the ranges."""
    for first, last in ranges:
        yield from range(first, last + 1)


def reaching(asked: Mapping[str, Any], account: str, far: Reach) -> dict[str, Any]:
    """Whose jobs a selection finds, for whoever has this reach: only one's own, unless it names others' jobs."""
    own = account if far.own else None
    if not any(name in asked for name in NAMING):
        return {"own": own, "groups": [], "vos": []}
    return {"own": own, "groups": [list(one) for one in far.groups], "vos": list(far.vos)}


def movable(wanted: str) -> tuple[str, ...]:
    """From which states a person's command may move a job to this one: those of DIRAC's table, but for Submitting."""
    return tuple(state for state in MOVES if state not in UNTOUCHED and decide_move(state, wanted, 1, 1) is None)


def unmoved(state: str, wanted: str) -> str:
    """Why a command leaves a job in this state alone, in one sentence."""
    if state in UNTOUCHED:
        return f"a job that is {state} is not confirmed yet"
    return decide_move(state, wanted, 1, 1) or f"a job that is {state} can not become {wanted} now"
