"""What a job needs, what a resource offers, and whether they fit: DIRAC's predicate, with a reason for every no."""

from __future__ import annotations

import difflib
import hashlib
import json
import string
from typing import TYPE_CHECKING, Any

from schemas.rules.isolation import is_enough

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# what says where a job can run: nothing else of its description is looked at for that
NEEDED = (
    "CPUTime", "Site", "BannedSites", "GridCE", "Platform", "JobType", "Tags", "MinRAM", "MinDisk", "NumberOfProcessors",
    "MinNumberOfProcessors", "MaxNumberOfProcessors", "WholeNode", "NumberOfGPUs",
)  # fmt: skip
CPU_TIME_SEGMENTS_S = (360, 1800, 3600, 21_600, 43_200, 86_400, 172_800, 259_200, 345_600, 518_400, 691_200, 864_000, 1_080_000)
MOST_PROCESSORS = 1024
MULTI_PROCESSOR = "MultiProcessor"
TEST = "Test"  # the one JobType that a banned site takes
WHOLE_NODE = "WholeNode"

# A resource of N processors offers the tags 1Processors … NProcessors; looking up N is the same without making them.
PROCESSORS_OF_TAG = {f"{number}Processors": number for number in range(1, MOST_PROCESSORS + 1)} | {MULTI_PROCESSOR: 2}
FIELDS = (("GridCE", "GridCEs"), ("Site", "Sites"), ("Platform", "Platforms"), ("JobType", "JobTypes"))
BANNED_FIELDS = tuple((f"Banned{field}", fields) for field, fields in (*FIELDS, ("Tag", "Tags")))
OWNERSHIP = (("VirtualOrganization", "VO"), ("OwnerGroup", "OwnerGroup"), ("Owner", "Owner"))
LEAST = (("CPUTime", "CPUTime"), ("MaxRAM", "MinRAM"), ("MaxDisk", "MinDisk"), ("NumberOfGPUs", "NumberOfGPUs"))
_ASKED_FOR = {
    "Owner", "OwnerGroup", "VO", "CPUTime", "Sites", "BannedSites", "GridCEs", "Platforms", "JobTypes", "Tags", "MinRAM",
    "MinNumberOfProcessors", "MaxNumberOfProcessors", "WholeNode", "NumberOfGPUs",
}  # fmt: skip
_OWN_WISHES = ("RequiredTag", *(banned for banned, _ in BANNED_FIELDS))


def requirements(description: Mapping[str, Any], owner: str, owner_group: str, vo: str) -> dict[str, Any]:
    """Give what a normalised description needs; jobs with equal requirements share one task queue."""
    description = {name: description[name] for name in NEEDED if name in description}
    exact = description.get("NumberOfProcessors")
    least = exact or description.get("MinNumberOfProcessors", 1)
    return {
        "Owner": owner,
        "OwnerGroup": owner_group,
        "VO": vo,
        "CPUTime": segment(description.get("CPUTime", 86_400)),
        "Sites": sorted(set(description.get("Site", ()))),
        "BannedSites": sorted(set(description.get("BannedSites", ()))),
        "GridCEs": sorted(set(description.get("GridCE", ()))),
        "Platforms": sorted(set(description.get("Platform", ()))),
        "JobTypes": [description.get("JobType", "User")],
        "Tags": sorted({*description.get("Tags", ()), *_implied_tags(description)}),
        "MinRAM": description.get("MinRAM", 0),
        "MinDisk": description.get("MinDisk", 0),
        "MinNumberOfProcessors": least,
        "MaxNumberOfProcessors": exact or _most_processors(description),
        "WholeNode": bool(description.get("WholeNode")),
        "NumberOfGPUs": description.get("NumberOfGPUs", 0),
    }


def is_whole(needs: Mapping[str, Any]) -> bool:
    """Say whether nothing is missing that a matcher asks for; of a queue that an extension has made it might be."""
    return needs.keys() >= _ASKED_FOR


def segment(cpu_time_s: int) -> int:
    """Give the first segment that is long enough, or the last one."""
    return next((one for one in CPU_TIME_SEGMENTS_S if cpu_time_s <= one), CPU_TIME_SEGMENTS_S[-1])


def digest(needs: Mapping[str, Any]) -> str:
    """Give 16 hex digits that are equal for equal requirements."""
    text = json.dumps(dict(needs), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _most_processors(description: Mapping[str, Any]) -> int | None:
    """Give how many processors the job can use at most, None for as many as there are."""
    most: int | None = description.get("MaxNumberOfProcessors")
    open_ended = "MinNumberOfProcessors" in description or description.get("WholeNode")
    return most if most or open_ended else 1


def _implied_tags(description: Mapping[str, Any]) -> set[str]:
    """Give the tags that DIRAC makes of the numbers; a maximum alone makes none."""
    tags: set[str] = set()
    exact, least = description.get("NumberOfProcessors"), description.get("MinNumberOfProcessors")
    wanted = exact or least or 1
    if wanted > 1:
        tags |= {f"{wanted}Processors", MULTI_PROCESSOR}
    if not exact and least and description.get("MaxNumberOfProcessors", MOST_PROCESSORS) > 1:
        tags.add(MULTI_PROCESSOR)
    if description.get("WholeNode"):
        tags |= {WHOLE_NODE, MULTI_PROCESSOR}
    return tags


def fits(resource: Mapping[str, Any], needs: Mapping[str, Any]) -> bool:
    """Say in a few microseconds what `not unmet(resource, needs)` says."""
    return (
        number(resource, "CPUTime") >= needs["CPUTime"]
        and _serves(resource, needs)
        and _is_wanted(resource, needs)
        and is_enough(str(resource.get("Isolation", "")), needs.get("LeastIsolation", "none"))
        and not (needs["MinRAM"] and not number(resource, "MaxRAM") >= needs["MinRAM"])
        and not (needs["NumberOfGPUs"] and not number(resource, "NumberOfGPUs") >= needs["NumberOfGPUs"])
        and not (needs.get("MinDisk") and not number(resource, "MaxDisk") >= needs["MinDisk"])
        and not (needs["BannedSites"] and _is_banned(several(resource, "Site"), needs["BannedSites"]))
        and not (needs["Tags"] and missing_tags(resource, needs["Tags"]))
        and (not any(map(resource.get, _OWN_WISHES)) or not _refusals(resource, needs))
    )


def _serves(resource: Mapping[str, Any], needs: Mapping[str, Any]) -> bool:
    for field, need in OWNERSHIP:
        if (need == "VO" or resource.get(field) is not None) and needs[need] not in several(resource, field):
            return False
    return True


def _is_wanted(resource: Mapping[str, Any], needs: Mapping[str, Any]) -> bool:
    for field, fields in FIELDS:
        wanted = needs[fields]
        if wanted and resource.get(field) not in wanted and not _meets(several(resource, field), wanted):
            return False
    return True


def unmet(resource: Mapping[str, Any], needs: Mapping[str, Any]) -> list[str]:
    """Give every reason why the resource cannot take the queue's jobs, each naming its field; none when it fits.

    VirtualOrganization, OwnerGroup and Owner in the resource are the server's, derived from who asks, never the
    pilot's own words; without a VirtualOrganization nothing fits.
    """
    reasons = []
    for field, need in LEAST:
        if not number(resource, field) >= needs.get(need, 0):  # a queue of before MinDisk has none
            reasons.append(f"{field}: the resource has {number(resource, field)}, the job needs {needs[need]}")
    for field, need in OWNERSHIP:
        offered = several(resource, field)
        if needs[need] not in offered and (need == "VO" or resource.get(field) is not None):
            reasons.append(f"{need}: the resource serves {_names(offered)}, the job belongs to {needs[need]}")
    for field, fields in FIELDS:
        offered, wanted = several(resource, field), needs[fields]
        if wanted and not _meets(offered, wanted):
            reasons.append(f"{field}: the resource has {_names(offered)}, the job wants {_names(wanted)}")
    offered = several(resource, "Site")
    if _is_banned(offered, needs["BannedSites"]):
        reasons.append(f"BannedSites: the job must not run at {_names(offered)}")
    level, least = str(resource.get("Isolation") or "none"), needs.get("LeastIsolation", "none")
    if not is_enough(level, least):
        reasons.append(f"Isolation: the resource keeps payloads apart by {level}, the community demands {least}")
    return reasons + _tag_reasons(resource, needs["Tags"]) + _refusals(resource, needs)


def masked(resource: Mapping[str, Any], status: str | None) -> dict[str, Any]:
    """Give the resource as its site's status lets it match: at a banned site it takes jobs of JobType Test alone."""
    return {**resource, "JobType": TEST} if status == "banned" else dict(resource)


def never(needs: Mapping[str, Any], sites: Sequence[Mapping[str, Any]]) -> str | None:
    """Give the one sentence that says why no known site can ever take the job; None when one can, or none is known."""
    wanted, by_name = needs["Sites"], {str(row["site"]): row for row in sites}
    known = [row for name, row in by_name.items() if not wanted or name in wanted]
    allowed = [row for row in known if row["site"] not in needs["BannedSites"]]
    active = [row for row in allowed if row.get("status") != "banned" or TEST in needs["JobTypes"]]
    if active or not sites:
        return _shortage({str(row["site"]): _shortfalls(row, needs) for row in active})
    if not known:
        return _unknown(wanted, list(by_name))
    if not allowed:
        return f"BannedSites bans every site the job could run at: {_names([row['site'] for row in known])}"
    return f"every site the job could run at is banned: {_names([row['site'] for row in allowed])}"


def _shortage(short: dict[str, dict[str, tuple[int, int]]]) -> str | None:
    """Give the sentence for what every site is short of."""
    if not all(short.values()):
        return None
    common = [unit for unit in next(iter(short.values()), ()) if all(unit in falls for falls in short.values())]
    if not common:
        each = "; ".join(f"{site} falls short in {', '.join(falls)}" for site, falls in short.items())
        return f"no site has all that the job needs at once: {each}" if short else None
    unit = common[0]
    if unit.startswith("tag "):
        return f"no site the job could run at has the {unit}"
    best = max(short, key=lambda site: short[site][unit][1])
    need, has = short[best][unit]
    return f"the job needs {need} {unit}, but the most at any site it could run at is {has}, at {best}"


def _unknown(wanted: list[str], names: list[str]) -> str:
    hints = []
    for site in wanted:
        close = difflib.get_close_matches(site, names, n=1)
        hints.append(f"{site}, did you mean {close[0]}?" if close else site)
    return f"no site is called {' or '.join(hints)}"


def _shortfalls(row: Mapping[str, Any], needs: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Give what a site is short of, as (needed, had); what it does not say it has without limit."""
    processors, tags = row.get("max_processors"), row.get("tags")
    offer = {"Tag": tags or [], "NumberOfProcessors": MOST_PROCESSORS if processors is None else processors}
    missing = missing_tags({**offer, WHOLE_NODE: True}, needs["Tags"])
    most = max((PROCESSORS_OF_TAG.get(tag, 0) for tag in missing), default=0)
    short = {"processors": (most, processors or 0)} if most else {}
    for column, need, unit in (("max_ram_mb", "MinRAM", "MB of memory"), ("max_cpu_time_s", "CPUTime", "s of CPUTime")):
        limit = row.get(column)
        if limit is not None and limit < needs[need]:
            short[unit] = (needs[need], limit)
    if tags is not None:
        short.update({f"tag {tag}": (1, 0) for tag in missing if tag not in PROCESSORS_OF_TAG})
    return short


def _tag_reasons(resource: Mapping[str, Any], wanted: list[str]) -> list[str]:
    missing = missing_tags(resource, wanted)
    processors = max((PROCESSORS_OF_TAG.get(tag, 0) for tag in missing), default=0)
    reasons = []
    if processors:
        has = max(1, number(resource, "NumberOfProcessors"))
        reasons.append(f"NumberOfProcessors: the resource has {has}, the job needs {processors}")
    if WHOLE_NODE in missing:
        reasons.append("WholeNode: the resource is only a part of its node, the job needs the whole")
    others = [tag for tag in missing if tag not in PROCESSORS_OF_TAG and tag != WHOLE_NODE]
    if others:
        reasons.append(f"Tag: the resource does not have {_names(others)}")
    return reasons


def _refusals(resource: Mapping[str, Any], needs: Mapping[str, Any]) -> list[str]:
    """Give what the resource itself does not want, by its RequiredTag and its Banned… fields."""
    reasons = []
    required = several(resource, "RequiredTag")
    if required and not is_any_word(required):
        impossible = [] if is_any_word(several(resource, "Tag")) else missing_tags(resource, required)
        missing = [tag for tag in required if tag not in needs["Tags"]]
        if impossible:
            reasons.append(f"RequiredTag: the resource requires {_names(impossible)}, which it does not offer itself")
        elif missing:
            reasons.append(f"RequiredTag: the resource takes only jobs with {_names(missing)}")
    for field, fields in BANNED_FIELDS:
        banned = several(resource, field)
        hit = [value for value in banned if value in needs[fields]]
        if hit and not is_any_word(banned):
            reasons.append(f"{field}: the resource refuses jobs that want {_names(hit)}")
    return reasons


def missing_tags(resource: Mapping[str, Any], wanted: list[str]) -> list[str]:
    """Give the wanted tags that the resource does not have, its numbers read as the tags that DIRAC makes of them."""
    offered = several(resource, "Tag")
    if is_any_word(offered):
        return []
    processors = number(resource, "NumberOfProcessors")
    return [
        tag
        for tag in wanted
        if tag not in offered
        and not 0 < PROCESSORS_OF_TAG.get(tag, 0) <= processors
        and not (tag == WHOLE_NODE and resource.get(WHOLE_NODE))
    ]


def _meets(offered: list[str], wanted: list[str]) -> bool:
    return not offered or any(value in wanted for value in offered) or is_any_word(offered)


def _is_banned(offered: list[str], banned: list[str]) -> bool:
    # DIRAC lets a list of sites pass as soon as one of them is not banned; a pilot could then be at the banned one.
    return any(site in banned for site in offered) and not is_any_word(offered)


def is_any_word(values: list[str]) -> bool:
    return any(value.strip(string.punctuation).lower() == "any" for value in values)


def several(resource: Mapping[str, Any], field: str) -> list[str]:
    """Give the field's values; tags may also be one text with commas between them."""
    value = resource.get(field)
    if isinstance(value, str):
        if field in ("Tag", "RequiredTag"):
            value = [part.strip(" \"'") for part in value.strip("[]").split(",")]
            return [part for part in value if part]
        return [value] if value else []
    return [part for part in value if isinstance(part, str) and part] if isinstance(value, (list, tuple)) else []


def number(resource: Mapping[str, Any], field: str) -> float:
    """Give the number that the resource says, 0 when it says none."""
    value = resource.get(field)
    return value if isinstance(value, (int, float)) else 0


def _names(values: list[str]) -> str:
    return ", ".join(values) or "nobody"
