"""Known holes in the locked libraries, and secrets in the files of the repository: part of `make check`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BASELINE = ".secrets.baseline"
WITHIN_S = 300
MOVED = 3  # the tool's exit code when nothing is new and lines have only moved


def holes() -> tuple[list[str], int]:
    """The holes that are known of the locked libraries, one line each, and how many libraries nobody could look up."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "-r", "requirements.lock"]
    done = subprocess.run(
        [*command, "-f", "json", "--progress-spinner", "off"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN_S,
    )
    try:
        libraries: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return [], -1  # the index can not be reached: a check that needs it must not stop whoever has no network
    found = [
        f"{library['name']} {library['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no version yet'}"
        for library in libraries
        for hole in library.get("vulns", ())
    ]
    return found, sum("skip_reason" in library for library in libraries)


def secrets() -> list[str]:
    """What looks like a secret in a file of the repository and is not known to be none."""
    git = shutil.which("git")
    if git is None:
        return []
    listed = subprocess.run([git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        return []  # not a clone: nothing is about to be published
    files = [name for name in listed.stdout.splitlines() if name not in (BASELINE, "requirements.lock")]
    with tempfile.TemporaryDirectory() as folder:
        # a copy, because the tool writes the new numbers of lines into what it is given
        known = shutil.copy(ROOT / BASELINE, folder)
        command = [sys.executable, "-m", "detect_secrets.pre_commit_hook", "--baseline", str(known), *files]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=WITHIN_S)
    if done.returncode in (0, MOVED):
        return []
    return done.stdout.splitlines() or ["detect-secrets failed: " + done.stderr[-500:]]


def main() -> int:
    """Exit code 1 when there is a hole or a secret."""
    found, unknown = holes()
    if unknown:
        many = "the index of holes does not answer: none of the libraries" if unknown < 0 else f"{unknown} libraries"
        print(f"audit: {many} could be looked up" if unknown < 0 else f"audit: {many} could not be looked up")  # noqa: T201
    for line in [*found, *(leaks := secrets())]:
        print(line)  # noqa: T201
    if leaks:
        print(f"audit: if these are no secrets, `.venv/bin/detect-secrets scan --baseline {BASELINE}` takes them up")  # noqa: T201
    return 1 if found or leaks else 0


if __name__ == "__main__":
    sys.exit(main())
