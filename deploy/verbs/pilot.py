"""Run one pilot in this terminal, from the zip that travels to worker nodes; all further flags are the pilot's own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bus.settings import settings
from deploy import stack
from deploy.pilot_zip import build
from deploy.verbs.common import STACK


def run(
    flags: Annotated[list[str] | None, typer.Argument(metavar="[-- FLAGS]", help="Such as -- --site LOCAL.laptop.org.")] = None,
) -> None:
    """Run one pilot here."""
    kept = stack.RUN_DIRECTORY / STACK / "pilot.env"
    known = stack.read_settings(kept) if kept.exists() and not settings().pilot_amqp_url else {}
    with tempfile.TemporaryDirectory(prefix="pilotbus-") as folder:
        archive = Path(folder) / "pilot.pyz"
        build(archive)
        done = subprocess.run([sys.executable, str(archive), *(flags or ())], env=os.environ | known, check=False)
    raise typer.Exit(done.returncode)
