"""What this node offers, in DIRAC's names: the description by which jobs are matched to it, and all facts beside it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import schemas
from pilot.command import WRONG_CONFIG, Pilot, Stop
from pilot.commands import check_wn_capabilities, configure_architecture
from pilot.config import Config
from pilot.isolation import NotGiven, detect
from pilot.wire.envelope import words

SAYS = ("pilot.reported.v1",)
MB_OF_A_GB = 1024
MOST_DISK_MB = 2**31 - 1
NO_END_S = 1_080_000  # the longest CPUTime that a task queue can ask for


def measure(pilot: Pilot) -> dict[str, Any]:
    """What other commands of the plan have found, and what they would have found if the plan has left them out."""
    if "node" not in pilot.facts:
        check_wn_capabilities.run(pilot)
    if "architecture" not in pilot.facts:
        configure_architecture.run(pilot)
    node, left_s = pilot.facts["node"], pilot.seconds_left()
    return {
        "platform": pilot.facts["architecture"]["platform"],
        "processors": node["processors"],
        "ram_mb": node["ram_mb"],
        "disk_mb": free_mb(pilot.home),
        "gpus": len(node["gpus"]),
        "whole_node": pilot.facts.get("slot", {}).get("whole_node", False),
        "left_s": None if left_s is None else int(left_s),
        "tags": pilot.tags,
    }


def judge(node: dict[str, Any], config: Config) -> dict[str, Any]:
    """The resource description: what was configured wins over what was measured."""
    resource: dict[str, Any] = {
        "Site": config.site,
        "Platform": node["platform"],
        "CPUTime": config.cpu_time_s or (NO_END_S if node.get("left_s") is None else node["left_s"]),
        "NumberOfProcessors": config.processors or node["processors"],
        "MaxRAM": config.max_ram_mb or node["ram_mb"],
        "MaxDisk": whole_gb(min(node.get("disk_mb", 0), config.disk_limit_mb or MOST_DISK_MB)),
        "Tag": sorted({*config.tags, *node.get("tags", ())}),
        "Isolation": node.get("isolation", "none"),
        "RequiredTag": sorted(set(config.required_tags)),
    }
    if node.get("gpus"):
        resource["NumberOfGPUs"] = node["gpus"]
    if node.get("whole_node"):
        resource["WholeNode"] = True
    if config.ce:
        resource["GridCE"] = config.ce
    if config.vo:
        resource["VirtualOrganization"] = config.vo
    return resource


def free_mb(home: Path) -> int:
    """What jobs can fill of the disk that they work on."""
    disk = os.statvfs(home)
    return disk.f_bavail * disk.f_frsize >> 20


def whole_gb(disk_mb: int) -> int:
    """So many MB in whole GB: nodes that differ by less are the same to the matcher, and their requests are looked at once."""
    return disk_mb if disk_mb < MB_OF_A_GB else disk_mb // MB_OF_A_GB * MB_OF_A_GB


def run(pilot: Pilot) -> None:
    try:
        pilot.isolation = detect(pilot.config, pilot.home)
    except NotGiven as problem:
        raise Stop(str(problem)) from problem
    if pilot.isolation.level != "none":
        pilot.tags.add(f"Isolation_{pilot.isolation.level}")
    pilot.resource.update(judge({**measure(pilot), "isolation": pilot.isolation.level}, pilot.config))
    try:
        schemas.check(words()["match.request.v1"]["properties"]["resource"], pilot.resource, strict=True, at="resource")
    except schemas.Invalid as problem:
        raise Stop(str(problem), WRONG_CONFIG) from problem
    since_s = time.monotonic() - pilot.began
    pilot.phase("described", seconds=since_s, **pilot.resource, **pilot.isolation.details, **pilot.facts)
