"""Check a pilot's wrapper as a site admin would: signature, digest, dates; and say what it carries."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deploy.pilot_wrapper import verify
from deploy.verbs.common import Json, print_json, print_table


def run(
    file: Annotated[Path, typer.Argument(help="A wrapper.")],
    public_key: Annotated[Path | None, typer.Option(help="The key that is trusted; else the one that the wrapper names.")] = None,
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Check a pilot's wrapper."""
    trusted = public_key.read_text(encoding="ascii") if public_key else ""
    found = asdict(verify(file.read_bytes().decode("latin-1"), trusted))
    if json:
        print_json(found)
    else:
        print_table(("What", "Is"), found.items())
