"""Ask the node by its own commands, which may be missing, fail, or never answer."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Optional

_MOST_CHARACTERS = 1_000_000


def said(command: Sequence[str], within_s: float = 10.0, environment: Optional[Mapping[str, str]] = None) -> str:
    """What the command prints, when it ends well within its time; else nothing. One that hangs in the kernel is left behind."""
    found = shutil.which(command[0])
    if not found:
        return ""
    told = {**os.environ, **(environment or {}), "LC_ALL": "C"}
    try:
        process = subprocess.Popen(  # no `with`: it would wait for a process that no signal reaches
            [found, *command[1:]],
            env=told,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return ""
    try:
        answer, _ = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
        if process.stdout is not None:
            process.stdout.close()
        return ""
    return answer.decode("utf-8", "replace")[:_MOST_CHARACTERS] if process.returncode == 0 else ""


def text_of(path: Path) -> str:
    """What is in the file, or nothing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:_MOST_CHARACTERS]
    except (OSError, ValueError):
        return ""


def number_of(path: Path) -> int:
    """The number in the file; 0 when there is none."""
    try:
        return max(0, int(text_of(path)))
    except ValueError:
        return 0
