"""OAR: `oarstat -f -j`, and what it sets in the environment."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from pilot.batch.units import left, said, seconds
from pilot.probe import said as answer
from pilot.probe import text_of

NAME = "OAR"


def here(environment: Mapping[str, str]) -> str:
    return environment.get("OAR_JOB_ID") or environment.get("OAR_JOBID", "")


def measure(environment: Mapping[str, str]) -> dict[str, str]:
    file = environment.get("OAR_NODEFILE") or environment.get("OAR_NODE_FILE") or "/nowhere"
    return {"job": answer(["oarstat", "-f", "-j", here(environment)]), "nodes": text_of(Path(file))}


def parse(texts: Mapping[str, str], environment: Mapping[str, str], now_s: float) -> dict[str, Any]:
    text, nodes = texts.get("job", ""), texts.get("nodes", "").split()
    wall_limit_s = seconds(environment.get("OAR_JOB_WALLTIME_SECONDS", ""))
    if wall_limit_s is None:
        found = re.search(r"walltime\s*=\s*([0-9:]+)", text)
        wall_limit_s = seconds(found[1]) if found else None
    queue = re.search(r"^\s*queue = (\S+)", text, re.MULTILINE)
    return said(
        queue=queue[1] if queue else None,
        processors=nodes.count(nodes[0]) if nodes else None,  # a line for each core
        wall_limit_s=wall_limit_s,
        wall_left_s=left(wall_limit_s, _running_s(text, now_s)),
    )


def _running_s(text: str, now_s: float) -> Optional[int]:
    found = re.search(r"startTime = (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", text)
    return max(0, int(now_s - time.mktime(time.strptime(found[1], "%Y-%m-%d %H:%M:%S")))) if found else None
