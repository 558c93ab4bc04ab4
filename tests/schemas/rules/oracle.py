"""DIRAC's predicate once more, written down without a look at the house's, so that each finds the other's mistakes."""

from __future__ import annotations

from typing import Any


def words(values: Any) -> list[str]:
    """Read a field of a resource as the oracle does."""
    return [] if not values else [values] if isinstance(values, str) else list(values)


def oracle(offer: dict[str, Any], need: dict[str, Any]) -> set[str]:
    """Evaluate DIRAC's predicate naively, the resource's tags really made, and give the fields that say no."""
    tags = set(words(offer.get("Tag")))
    processors = offer.get("NumberOfProcessors", 0)
    tags |= {f"{number}Processors" for number in range(1, min(processors, 1024) + 1)}
    tags |= {"MultiProcessor"} if processors > 1 else set()
    tags |= {"WholeNode"} if offer.get("WholeNode") else set()
    texts = {field: set(words(value)) for field, value in offer.items() if not isinstance(value, int)}
    wild = {field for field, values in texts.items() if values & {"ANY", "any"}}
    rules = {
        "CPUTime": offer.get("CPUTime", 0) >= need["CPUTime"],
        "VO": need["VO"] in texts.get("VirtualOrganization", ()),
        "OwnerGroup": "OwnerGroup" not in offer or need["OwnerGroup"] in texts["OwnerGroup"],
        "Owner": "Owner" not in offer or need["Owner"] in texts["Owner"],
        "MaxRAM": offer.get("MaxRAM", 0) >= need["MinRAM"],
        "NumberOfGPUs": offer.get("NumberOfGPUs", 0) >= need["NumberOfGPUs"],
        "MaxDisk": offer.get("MaxDisk", 0) >= need["MinDisk"],
        "Tag": "Tag" in wild or set(need["Tags"]) <= tags,
        "BannedSites": "Site" in wild or not texts.get("Site", set()) & set(need["BannedSites"]),
    }
    for field in ("GridCE", "Site", "Platform", "JobType"):
        offered, wanted = texts.get(field, set()), set(need[field + "s"])
        rules[field] = not wanted or not offered or field in wild or bool(offered & wanted)
    required = texts.get("RequiredTag", set())
    allowed = required <= set(need["Tags"]) and ("Tag" in wild or required <= tags)
    rules["RequiredTag"] = "RequiredTag" in wild or allowed
    for field in ("GridCE", "Site", "Platform", "JobType", "Tag"):
        banned = texts.get("Banned" + field, set())
        rules["Banned" + field] = "Banned" + field in wild or not banned & set(need[field + "s"])
    return {field for field, passed in rules.items() if not passed}
