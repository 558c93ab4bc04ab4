"""What this node offers, in DIRAC's names: the description by which jobs are matched to it."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path
from typing import Any

import schemas
from pilot.command import WRONG_CONFIG, Pilot, Stop
from pilot.config import Config
from pilot.isolation import NotGiven, detect
from pilot.wire.envelope import words

SAYS = ("pilot.reported.v1",)
NO_END_S = 1_080_000  # the longest CPUTime that a task queue can ask for
_CGROUP = Path("/sys/fs/cgroup")


def measure() -> dict[str, Any]:
    """The numbers of this process' share of the node: its affinity and its control group's limits, not the whole host."""
    memory = Path("/proc/meminfo").read_text(encoding="ascii").split()
    limit = _number(_CGROUP / "memory.max") or _number(_CGROUP / "memory/memory.limit_in_bytes")
    node_mb = int(memory[memory.index("MemTotal:") + 1]) >> 10
    return {
        "platform": platform_name(),
        "processors": min(len(os.sched_getaffinity(0)), _quota()),
        "ram_mb": min(node_mb, (limit >> 20) or node_mb),
    }


def judge(node: dict[str, Any], config: Config) -> dict[str, Any]:
    """The resource description: what was configured wins over what was measured."""
    resource: dict[str, Any] = {
        "Site": config.site,
        "Platform": node["platform"],
        "CPUTime": config.cpu_time_s or NO_END_S,
        "NumberOfProcessors": config.processors or node["processors"],
        "MaxRAM": config.max_ram_mb or node["ram_mb"],
        "Tag": sorted({*config.tags, *node.get("tags", ())}),
        "Isolation": node.get("isolation", "none"),
        "RequiredTag": sorted(set(config.required_tags)),
    }
    if config.ce:
        resource["GridCE"] = config.ce
    if config.vo:
        resource["VirtualOrganization"] = config.vo
    return resource


def run(pilot: Pilot) -> None:
    try:
        pilot.isolation = detect(pilot.config, pilot.home)
    except NotGiven as problem:
        raise Stop(str(problem)) from problem
    tags = () if pilot.isolation.level == "none" else (f"Isolation_{pilot.isolation.level}",)
    pilot.resource = judge({**measure(), "tags": tags, "isolation": pilot.isolation.level}, pilot.config)
    try:
        schemas.check(words()["match.request.v1"]["properties"]["resource"], pilot.resource, strict=True, at="resource")
    except schemas.Invalid as problem:
        raise Stop(str(problem), WRONG_CONFIG) from problem
    pilot.phase("described", **pilot.resource, **pilot.isolation.details)


def platform_name() -> str:
    """The platform as DIRAC writes it: Linux_x86_64_glibc-2.36."""
    library, version = platform.libc_ver()
    return f"{platform.system()}_{platform.machine()}_{library or 'libc'}-{version or 'unknown'}"


def _quota() -> int:
    """How many processors the control group's quota amounts to, rounded up; very many when there is none."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        quota = str(_number(_CGROUP / "cpu/cpu.cfs_quota_us") or "max")
        period = str(_number(_CGROUP / "cpu/cpu.cfs_period_us") or 100_000)
    return 1 << 20 if quota == "max" else max(1, math.ceil(int(quota) / int(period)))


def _number(path: Path) -> int:
    try:
        return max(0, int(path.read_text(encoding="ascii")))
    except (OSError, ValueError):
        return 0
