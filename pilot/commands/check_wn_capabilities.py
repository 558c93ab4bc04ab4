"""What may be used of this node, by affinity, control groups and batch slot: cores, memory, disk, GPUs, CVMFS, containers."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from pilot.command import Pilot, Stop
from pilot.node import cgroup, containers, cvmfs, gpus

SAYS = ()


def measure(workdir: Path, wanted: Sequence[str] = (), slot: Optional[Mapping[str, Any]] = None) -> dict[str, Any]:
    """What this process may use, and beside it what the whole node has."""
    given = slot or {}
    affinity, node_mb = len(os.sched_getaffinity(0)), _memory_mb()
    limits = (affinity, cgroup.processors(), given.get("processors"))
    memory = (node_mb, cgroup.memory_mb(), given.get("memory_mb"))
    return {
        "processors": min(limit for limit in limits if limit),
        "node_processors": os.cpu_count() or affinity,
        "ram_mb": min(limit for limit in memory if limit),
        "node_ram_mb": node_mb,
        "disk_mb": shutil.disk_usage(workdir).free >> 20,
        "gpus": gpus.measure(os.environ)[: given.get("gpus")],
        "cvmfs": cvmfs.measure(wanted),
        "containers": containers.measure(),
        "host": socket.gethostname()[:128],
    }


def judge(node: Mapping[str, Any], wanted: Sequence[str]) -> list[str]:
    """Everything that is wanted and not there, as one sentence each."""
    return [f"/cvmfs/{name} can not be read" for name in wanted if name not in node["cvmfs"]]


def run(pilot: Pilot) -> None:
    node = pilot.facts["node"] = measure(pilot.config.workdir, pilot.config.cvmfs, pilot.facts.get("slot"))
    pilot.tags.update(f"CVMFS_{name}" for name in node["cvmfs"])
    if complaints := judge(node, pilot.config.cvmfs):
        raise Stop("; ".join(complaints))


def _memory_mb() -> int:
    words = Path("/proc/meminfo").read_text(encoding="ascii").split()
    return int(words[words.index("MemTotal:") + 1]) >> 10
