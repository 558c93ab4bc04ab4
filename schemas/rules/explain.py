"""Why a job got no pilot, or a pilot no job: how many fail each requirement, and who misses it by least."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from schemas.rules.matching import PROCESSORS_OF_TAG, WHOLE_NODE, unmet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HOUR = "the last hour"
NOBODY_ASKED = "no pilot has asked for a job in {}"
_MOST_CLAUSES = 3
_LONGEST = 300


class _Said(NamedTuple):
    """How a requirement is said: of one pilot, of many, as what a job wants, as what a resource has."""

    one: str
    many: str
    want: str
    have: str
    need: str  # its name among a job's requirements
    offer: str  # its name in a resource


def _has(noun: str, need: str, offer: str) -> _Said:
    return _Said("has", "have", noun, noun, need, offer)


def _serves(noun: str, need: str, offer: str) -> _Said:
    return _Said("serves", "serve", noun, noun, need, offer)


_NUMBERS = ("CPUTime", "MaxRAM", "MaxDisk", "NumberOfGPUs", "NumberOfProcessors")
_SAID = {
    "CPUTime": _has("{} s of CPUTime", "CPUTime", "CPUTime"),
    "MaxRAM": _has("{} MB of memory", "MinRAM", "MaxRAM"),
    "MaxDisk": _has("{} MB of disk", "MinDisk", "MaxDisk"),
    "NumberOfGPUs": _has("{} GPUs", "NumberOfGPUs", "NumberOfGPUs"),
    "VO": _serves("community {}", "VO", "VirtualOrganization"),
    "OwnerGroup": _serves("group {}", "OwnerGroup", "OwnerGroup"),
    "Owner": _serves("user {}", "Owner", "Owner"),
    "GridCE": _Said("is at", "are at", "CE {}", "CE {}", "GridCEs", "GridCE"),
    "Site": _Said("is at", "are at", "site {}", "site {}", "Sites", "Site"),
    "Platform": _has("platform {}", "Platforms", "Platform"),
    "JobType": _Said("takes", "take", "jobs of type {}", "jobs of type {}", "JobTypes", "JobType"),
    "BannedSites": _Said("is at", "are at", "a site other than {}", "site {}", "BannedSites", "Site"),
    "Isolation": _Said("gives", "give", "isolation by {} or more", "isolation by {}", "LeastIsolation", "Isolation"),
    "NumberOfProcessors": _has("{} processors", "Tags", "NumberOfProcessors"),
    "WholeNode": _Said("has", "have", "a whole node", "a part of its node", "WholeNode", WHOLE_NODE),
    "Tag": _has("tag {}", "Tags", "Tag"),
    "RunningLimit": _Said("has", "have", "room below the running limits of its site", "a running limit that is reached", "", ""),
    "RequiredTag": _Said("takes", "take", "jobs with tag {} alone", "only jobs with tag {}", "Tags", "RequiredTag"),
    **{
        f"Banned{field}": _Said("takes", "take", f"jobs that want {field} {{}}", f"no jobs that want {field} {{}}", needs, offer)
        for field, needs, offer in (
            ("GridCE", "GridCEs", "BannedGridCE"), ("Site", "Sites", "BannedSite"), ("Platform", "Platforms", "BannedPlatform"),
            ("JobType", "JobTypes", "BannedJobType"), ("Tag", "Tags", "BannedTag"),
        )
    },
}  # fmt: skip
_ANOTHERS = {"VO": "community", "OwnerGroup": "group", "Owner": "user"}


def why_job(needs: Mapping[str, Any], offers: Sequence[Mapping[str, Any]], hour: str = HOUR) -> dict[str, Any]:
    """Give, for a job, each requirement that offers fail, what fits, and the nearest miss: fewest failing, then most pilots.

    An offer is {"resource": …, "pilots": how many, "held": reasons beside those of `unmet`, if any}. The requirements come
    with those that most pilots fail first.
    """
    judged = [(offer, _by_field([*unmet(offer["resource"], needs), *offer.get("held", ())])) for offer in offers]
    failing: dict[str, list[int]] = {}
    for offer, reasons in judged:
        for field in reasons:
            count = failing.setdefault(field, [0, 0])
            count[0] += 1
            count[1] += offer["pilots"]
    fitting = [offer for offer, reasons in judged if not reasons]
    missing = [(offer, reasons) for offer, reasons in judged if reasons]
    found: dict[str, Any] = {
        "resources": len(judged),
        "pilots": _pilots(offers),
        "fitting_resources": len(fitting),
        "fitting_pilots": _pilots(fitting),
        "requirements": [
            {
                "field": field,
                "wants": wanted(field, needs),
                "resources": count[0],
                "pilots": count[1],
                "best": _best(field, offers),
            }
            for field, count in sorted(failing.items(), key=lambda item: (-item[1][1], -item[1][0], item[0]))
        ],
    }
    nearest = min(missing, key=lambda row: (len(row[1]), -row[0]["pilots"], _text(row[0]["resource"])), default=None)
    if nearest is not None:
        offer, reasons = nearest
        found["nearest"] = {
            "resource": in_words(offer["resource"]),
            "pilots": offer["pilots"],
            "fields": list(reasons),
            "reasons": [cut(reason) for reason in reasons.values()],
        }
    return {"headline": _of_job(needs, found, nearest and nearest[0], hour), **found}


def why_pilot(resource: Mapping[str, Any], queues: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Give, for a pilot, how many queues each of its fields fails, how many fit, and the nearest miss.

    A queue is {"queue_id": …, "requirements": …, "waiting": how many jobs, if known}; nearest is the one with the fewest
    failing fields, then with most jobs, then the oldest. It is `counted` for whoever has not counted yet.
    """
    queues = list(queues)
    judged = [(queue, _by_field(unmet(resource, queue["requirements"]))) for queue in queues]
    fails = Counter(field for _, reasons in judged for field in reasons)
    missing = [(queue, reasons) for queue, reasons in judged if reasons]
    ranked = sorted(missing, key=lambda row: (len(row[1]), -(row[0].get("waiting") or 0), row[0]["queue_id"]))
    return counted(resource, len(queues), len(queues) - len(missing), fails, ranked[0][0] if ranked else None)


def counted(
    resource: Mapping[str, Any], queues: int, fits: int, fails: Mapping[str, int], nearest: Optional[Mapping[str, Any]]
) -> dict[str, Any]:
    """Give what is kept of an empty answer, from counts: queues with a waiting job, those that fit, those that each field fails.

    The nearest is {"queue_id": …, "requirements": …, "waiting": …}, None when nothing waits or everything fits.
    """
    ranked = sorted(fails.items(), key=lambda item: (-item[1], item[0]))
    found: dict[str, Any] = {"queues": queues, "fits": fits, "fails": {field: count for field, count in ranked if count}}
    if nearest is not None:
        reasons = _by_field(unmet(resource, nearest["requirements"]))
        told = {"queue_id": nearest["queue_id"], "fields": list(reasons), "reasons": [cut(one) for one in reasons.values()]}
        found["nearest"] = told | ({"waiting": nearest["waiting"]} if nearest.get("waiting") is not None else {})
    return headed(found)


def headed(why: Mapping[str, Any]) -> dict[str, Any]:
    """Give counts, and the nearest miss if there is one, with the sentence that says them; it is not kept beside them."""
    reasons = _by_field(why["nearest"]["reasons"]) if "nearest" in why else {}
    return {"headline": _of_pilot(why["queues"], why["fits"], reasons), **why}


def told_pilot(why: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the pilot itself is told of it: nothing of whose jobs wait."""
    return {name: why[name] for name in ("headline", "queues", "fits", "fails")}


def wanted(field: str, needs: Mapping[str, Any]) -> str:
    """Give in words what a job wants of this requirement."""
    said = _SAID.get(field)
    if said is None:
        return field
    value = needs.get(said.need)
    tags = needs.get("Tags") or ()
    if field == "NumberOfProcessors":
        value = max((PROCESSORS_OF_TAG.get(tag, 0) for tag in tags), default=1)
    elif field == "Tag":
        value = [tag for tag in tags if not PROCESSORS_OF_TAG.get(tag, 0) and tag != WHOLE_NODE]
    return cut(said.want.format(_names(value)))


def offered(field: str, resource: Mapping[str, Any]) -> str:
    """Give in words what a resource has of this requirement."""
    said = _SAID.get(field)
    if said is None:
        return field
    value = resource.get(said.offer)
    if field in _NUMBERS:
        value = max(1 if field == "NumberOfProcessors" else 0, _number(value))
    elif field == "Isolation":
        value = value or "none"
    return cut(said.have.format(_names(value)))


def in_words(resource: Mapping[str, Any]) -> str:
    """Give a resource in one line."""
    first = ["Site", "GridCE", "Platform", "NumberOfProcessors", "MaxRAM", "CPUTime"]
    names = [name for name in (*first, *sorted(set(resource) - set(first))) if resource.get(name) not in (None, "", [], False)]
    return cut(", ".join(f"{name} {_names(resource[name])}" for name in names), 1000)


def cut(text: str, longest: int = _LONGEST) -> str:
    """Give the text, or so much of its beginning."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _of_job(needs: Mapping[str, Any], found: Mapping[str, Any], nearest: Optional[Mapping[str, Any]], hour: str) -> str:
    if not found["resources"]:
        return NOBODY_ASKED.format(hour)
    if found["fitting_resources"]:
        return f"{found['fitting_pilots']} of the {found['pilots']} pilots of {hour} fit"
    assert nearest is not None
    fields = found["nearest"]["fields"]
    alone = [row["field"] for row in found["requirements"] if row["resources"] == found["resources"] and row["field"] in fields]
    wants = f"{_said(alone[0]).one} {wanted(alone[0], needs)}" if alone else "has all that the job needs at once"
    number = nearest["pilots"]
    who = f"{number} pilot{'' if number == 1 else 's'} at {_names(nearest['resource'].get('Site'))}"
    clauses = [
        f"{_verb(field, number)} {offered(field, nearest['resource'])}" for field in [*alone[:1], *_without(fields, alone[:1])]
    ]
    return cut(f"no pilot of {hour} {wants}; the nearest, {who}, {_listed(clauses)}", 1000)


def _of_pilot(queues: int, fits: int, reasons: Mapping[str, str]) -> str:
    if not queues:
        return "no job waits"
    if fits:
        return f"{fits} of {queues} task queues fit, but no job of them was free: a limit holds them, or other pilots were first"
    # whose jobs they are is not for every pilot to know
    others = [f"its jobs are another {_ANOTHERS[field]}'s" for field in reasons if field in _ANOTHERS]
    clauses = others or list(reasons.values())
    return cut(f"none of {queues} task queues fits; the nearest: {_listed(clauses)}", 1000)


def _by_field(reasons: Iterable[str]) -> dict[str, str]:
    return {reason.partition(":")[0]: reason for reason in reasons}


def _best(field: str, offers: Sequence[Mapping[str, Any]]) -> str:
    """Give the most that any resource has of a number, and of anything else what most pilots have."""
    if field in _NUMBERS:
        return offered(field, max((offer["resource"] for offer in offers), key=lambda one: _number(one.get(_said(field).offer))))
    seen: Counter[str] = Counter()
    for offer in offers:
        seen[offered(field, offer["resource"])] += offer["pilots"]
    shown = sorted(seen.items(), key=lambda item: (-item[1], item[0]))[:_MOST_CLAUSES]
    return cut("; ".join(f"{text} ({count})" for text, count in shown))


def _said(field: str) -> _Said:
    return _SAID.get(field) or _has(field, field, field)


def _verb(field: str, number: int) -> str:
    return _said(field).one if number == 1 else _said(field).many


def _without(values: Sequence[str], gone: Sequence[str]) -> list[str]:
    return [value for value in values if value not in gone]


def _listed(clauses: Sequence[str]) -> str:
    more = len(clauses) - _MOST_CLAUSES
    return "; ".join(clauses[:_MOST_CLAUSES]) + (f"; and {more} more" if more > 0 else "")


def _pilots(offers: Iterable[Mapping[str, Any]]) -> int:
    return sum(offer["pilots"] for offer in offers)


def _number(value: Any) -> float:
    return value if isinstance(value, (int, float)) else 0


def _names(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None or value == "" else str(value)


def _text(resource: Mapping[str, Any]) -> str:
    return json.dumps(dict(resource), sort_keys=True)
