"""Run one pilot in this terminal, from the zip that travels to worker nodes; all further flags are the pilot's own.

Without an enrolment secret of its own it is invited first, to the --site that is named, if you are an operator.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bus.settings import settings
from deploy import local, stack
from deploy.pilot_zip import build
from deploy.verbs.common import STACK, client_settings


def run(
    flags: Annotated[list[str] | None, typer.Argument(metavar="[-- FLAGS]", help="Such as -- --site LOCAL.laptop.org.")] = None,
) -> None:
    """Run one pilot here."""
    given = list(flags or ())
    kept = stack.RUN_DIRECTORY / STACK / "pilot.env"
    known = stack.read_settings(kept) if kept.exists() and not settings().pilot_amqp_url else {}
    with tempfile.TemporaryDirectory(prefix="pilotbus-") as folder:
        archive = Path(folder) / "pilot.pyz"
        build(archive)
        site = given[given.index("--site") + 1] if "--site" in given[:-1] else ""
        if site and "--secret-file" not in given and "PILOTBUS_PILOT_SECRET" not in os.environ:
            told = client_settings()
            ((_, secret),) = local.invite(told.client_amqp_url, told.ca_file, site, 1)
            known["PILOTBUS_PILOT_SECRET"] = secret
        done = subprocess.run([sys.executable, str(archive), *given], env=os.environ | known, check=False)
    raise typer.Exit(done.returncode)
