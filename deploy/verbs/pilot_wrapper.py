"""Make the script that a batch job, an SSH login or a VM runs as a pilot: signed, with an end, and for one enrolment."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from bus.account import STACK, client_settings, read_settings
from bus.settings import settings
from deploy import local, stack
from deploy.pilot_wrapper import ReleaseKey, wrap
from deploy.pilot_zip import build
from deploy.process import write_private
from deploy.verbs.common import USAGE, Failure, Json, print_json, talk


def run(
    out: Annotated[Path, typer.Option(help="The file to write; it holds the secret, so it is yours alone.")],
    site: Annotated[str, typer.Option(help="Invite a pilot of this site, and put its secret in; operators.")] = "",
    ce: Annotated[str, typer.Option(help="The computing element at which it will be.")] = "",
    vo: Annotated[str, typer.Option(help="The one community that it serves.")] = "",
    owner: Annotated[str, typer.Option(help="A private pilot: the one user whose jobs it takes.")] = "",
    owner_group: Annotated[str, typer.Option(help="A private pilot: the one group whose jobs it takes.")] = "",
    hours: Annotated[float, typer.Option(help="So long it starts, and its secret is good.", min=0.01, max=336)] = 24.0,
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Make a pilot's wrapper."""
    kept = stack.RUN_DIRECTORY / STACK / "services.env"
    told = settings()
    if not told.release_dir and kept.exists():
        told = settings(read_settings(kept))
    if not told.release_dir:
        raise Failure("there is no release key here: PILOTBUS_RELEASE_DIR is not set", USAGE)
    bound = {name: said for name, said in (("ce", ce), ("vo", vo), ("owner", owner), ("owner_group", owner_group)) if said}
    if bound and not site:
        raise Failure("--ce, --vo, --owner and --owner-group are for a pilot that is invited: give --site", USAGE)
    secret = ""
    if site:
        mine = client_settings()
        ((_, secret),) = local.invite(mine.client_amqp_url, mine.ca_file, site, 1, max(60, int(hours * 3600)), bound)
    with tempfile.TemporaryDirectory(prefix="pilotbus-") as folder:
        archive = Path(folder) / "pilot.pyz"
        digest = build(archive, told.houses)
        addresses = {"--url": told.pilot_amqp_url, "--door": told.door_url}
        ca = Path(told.ca_file).read_text(encoding="ascii") if told.ca_file else ""
        key = ReleaseKey(Path(told.release_dir))
        script = wrap(archive.read_bytes(), key, addresses=addresses, ca=ca, secret=secret, lives=timedelta(hours=hours))
    write_private(out, script)
    out.chmod(0o700)
    if json:
        print_json({"file": str(out), "sha256": digest, "site": site})
    else:
        talk.print(f"{out} starts a pilot{' of ' + site if site else ''}; the zip in it is {digest}", markup=False)
