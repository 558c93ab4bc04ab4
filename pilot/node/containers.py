"""What can run containers here."""

from __future__ import annotations

import shutil

from pilot.probe import said

RUNTIMES = ("apptainer", "singularity", "podman", "bwrap")
_CHARACTERS = 80


def measure() -> dict[str, str]:
    """Each runtime that is here with the version that it tells, and whether any user may make namespaces."""
    found = {name: _version(name) for name in RUNTIMES if shutil.which(name)}
    if said(["unshare", "--user", "echo", "yes"], 5.0):
        found["user_namespaces"] = "yes"
    return found


def _version(name: str) -> str:
    lines = said([name, "--version"], 5.0).strip().splitlines()
    return lines[0][:_CHARACTERS] if lines else "unknown"
