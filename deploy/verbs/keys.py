"""The issuer's keys, on a machine of the services: list them, or let a new one sign, without a restart of anything."""

from __future__ import annotations

from typing import Annotated

import typer

from bus.account import STACK, read_settings
from bus.login import login
from bus.settings import Settings, settings
from deploy import stack
from deploy.verbs.common import USAGE, Failure, Json, print_json, print_table, talk
from handlers.token.issuer import Issuer

app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command("list")
def list_(
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """List the keys that are published; the last one signs."""
    keys = _issuer().jwks()["keys"]
    if json:
        print_json(keys)
    else:
        print_table(("Key", "Algorithm", ""), ((key["kid"], key["alg"], "signs" if key is keys[-1] else "") for key in keys))


@app.command()
def rotate(
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Publish the old ones no more: one has leaked.")] = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Let a new key sign."""
    kid = _issuer().rotate(drop_old=drop_old)
    if json:
        print_json({"kid": kid})
    else:
        talk.print(f"{kid} signs from now on", markup=False)


def _issuer() -> Issuer:
    """The issuer of this machine's services. Raises Failure when there is none."""
    kept = stack.RUN_DIRECTORY / STACK / "services.env"
    found: Settings = settings()
    if not found.issuer_dir and kept.exists():
        found = settings(read_settings(kept))
    if not found.issuer_dir:
        raise Failure("there is no issuer here: PILOTBUS_ISSUER_DIR is not set", USAGE)
    return Issuer(found.issuer_dir, found.door_url, login(found.amqp_url).vhost)
