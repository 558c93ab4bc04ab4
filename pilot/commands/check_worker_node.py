"""Is this node fit to run a job? Say what it has; stop when it is not."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilot.command import Pilot, Stop

SAYS = ("pilot.reported.v1",)
LEAST = {"free_mb": 256, "memory_mb": 256}


def measure(workdir: Path) -> dict[str, Any]:
    """The node as it is: numbers that can be judged, and facts that help its owner."""
    meminfo = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    return {
        "free_mb": shutil.disk_usage(workdir).free >> 20,
        "memory_mb": int(meminfo["MemTotal"].split()[0]) >> 10,
        "kernel": platform.release(),
        "system": _system(Path("/etc/os-release")),
        "user_id": os.getuid(),
        "writable": os.access(workdir, os.W_OK | os.X_OK),
        "cvmfs": Path("/cvmfs").is_dir(),
    }


def judge(node: Mapping[str, Any], least: Mapping[str, int]) -> list[str]:
    """Everything that falls short, as one sentence each."""
    short = [f"{name} is {node.get(name, 0)}, wants {least[name]}" for name in sorted(least) if node.get(name, 0) < least[name]]
    return short if node.get("writable", True) else ["the work directory can not be written", *short]


def run(pilot: Pilot) -> None:
    began = time.monotonic()
    node = measure(pilot.config.workdir)
    complaints = judge(node, {**LEAST, **pilot.config.least})
    pilot.phase("checked", seconds=time.monotonic() - began, complaints=complaints, **node)
    if complaints:
        raise Stop("; ".join(complaints))


def _system(release: Path) -> str:
    try:
        lines = release.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.system()
    names = [line.split("=", 1)[1].strip('"') for line in lines if line.startswith("PRETTY_NAME=")]
    return names[0] if names else platform.system()
