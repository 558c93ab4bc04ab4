"""PBS and Torque: `qstat -f`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilot.batch.units import left, megabytes, said, seconds, whole
from pilot.probe import said as answer
from pilot.probe import text_of

NAME = "Torque"


def here(environment: Mapping[str, str]) -> str:
    return environment.get("PBS_JOBID", "")


def measure(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        "job": answer(["qstat", "-f", here(environment)]),
        "nodes": text_of(Path(environment.get("PBS_NODEFILE", "/nowhere"))),
    }


def parse(texts: Mapping[str, str], environment: Mapping[str, str], now_s: float) -> dict[str, Any]:
    text = re.sub(r"\n\t", "", texts.get("job", ""))  # long values go on in lines that begin with a tab
    fields = dict(re.findall(r"^\s+([\w.]+) = (.*)$", text, re.MULTILINE))
    wall_limit_s, cpu_limit_s = (seconds(fields.get(f"Resource_List.{name}", "")) for name in ("walltime", "cput"))
    wall_used_s, cpu_used_s = (seconds(fields.get(f"resources_used.{name}", "")) for name in ("walltime", "cput"))
    nodes = texts.get("nodes", "").split()
    return said(
        queue=fields.get("queue") or environment.get("PBS_QUEUE"),
        processors=_processors(fields, environment, nodes),
        memory_mb=megabytes(fields.get("Resource_List.mem", "")) if len(set(nodes)) <= 1 else None,
        gpus=whole(fields.get("Resource_List.ngpus", "")),
        whole_node=True if "excl" in fields.get("Resource_List.place", "").split(":") else None,
        wall_limit_s=wall_limit_s,
        wall_left_s=left(wall_limit_s, wall_used_s),
        cpu_limit_s=cpu_limit_s,
        cpu_left_s=left(cpu_limit_s, cpu_used_s),
    )


def _processors(fields: Mapping[str, str], environment: Mapping[str, str], nodes: list[str]) -> Any:
    """Those of this node, when the job has several."""
    # Torque writes a line for each processor, PBS one for each chunk
    told = whole(environment.get("NCPUS", "")) or whole(environment.get("PBS_NUM_PPN", ""))
    alone = len(set(nodes)) <= 1
    return told or (alone and whole(fields.get("Resource_List.ncpus", ""))) or nodes.count(nodes[0] if nodes else "") or None
