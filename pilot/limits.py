"""What a job may use, from its description and its pilot's configuration, and how it is called when it used more."""

from __future__ import annotations

import re
import signal
from typing import Any

from pilot.config import Config
from pilot.payload import Limits, Outcome

_TO_END_S = 30  # of the slot, kept for the output and the last report
MINOR_STATUS = {
    "cpu": "Job has reached the CPU limit of the queue",
    "wall": "Job has exceeded maximum wall clock time",
    "disk": "Job has insufficient disk space to continue",
    "memory": "Job has exceeded maximum memory",
    "output": "Job has exceeded maximum output",
}


def sentence_of(outcome: Outcome, description: dict[str, Any]) -> str:
    """How the limit was passed that ended a payload."""
    if outcome.stopped == "cpu":
        return f"used {outcome.cpu_s:.0f} s of processor time, its CPUTime is {description.get('CPUTime')} s"
    if outcome.stopped == "wall":
        return f"ran for {outcome.wall_s:.0f} s"
    if outcome.stopped == "memory":
        seen = f"used {outcome.memory_bytes >> 20} MB of memory" if outcome.memory_bytes else "ran out of memory"
        return f"{seen}, and may have {outcome.limits.memory_bytes >> 20} MB"
    if outcome.stopped == "output":
        return f"wrote more than {outcome.limits.output_bytes >> 20} MB to its standard output and error"
    return "its files have filled what it may have of the disk"


def limits_of(description: dict[str, Any], config: Config, left_s: float | None) -> Limits:
    """CPUTime for each processor; in wall time some more than that, but never past the end of the slot. Raises ValueError."""
    cpu_s = float(description.get("CPUTime") or 86400)
    processors = max(1, int(description.get("NumberOfProcessors") or 1))
    wall_s = cpu_s * config.wall_factor
    if left_s is not None:
        wall_s = min(wall_s, max(1.0, left_s - _TO_END_S - config.grace_s))
    memories_mb = [most for most in (int(description.get("MaxRAM") or 0), config.max_ram_mb) if most]
    return Limits(
        cpu_s * processors,
        wall_s,
        disk_bytes=config.disk_limit_mb << 20,
        processes=config.process_limit,
        memory_bytes=min(memories_mb, default=0) << 20,
        output_bytes=config.output_limit_mb << 20,
        processors=processors,
        grace_s=config.grace_s,
        **_stop_of(description),
    )


def _stop_of(description: dict[str, Any]) -> dict[str, Any]:
    """How a payload wants to be told to stop."""
    pattern = str(description.get("StopSigRegex") or "")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as problem:
        message = f"StopSigRegex {pattern!r} is no regular expression: {problem}"
        raise ValueError(message) from problem
    before_s = int(description.get("StopSigFinishWork") or 0)
    return {
        "stop_signal": int(description.get("StopSigNumber") or signal.SIGTERM),
        "stop_regex": pattern,
        "asked_before_s": before_s,
        "asked_after_s": int(description.get("StopSigStartWork") or before_s),
    }
