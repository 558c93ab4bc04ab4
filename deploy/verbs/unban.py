"""Let a person or a site in again; a pilot that was revoked stays so."""

from __future__ import annotations

from deploy.verbs.ban import Kind, Name
from deploy.verbs.common import Json, client, print_json, talk


def run(
    kind: Kind,
    name: Name,
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Let somebody in again."""
    with client("unban") as bus:
        told = bus.ask("security.unban.v1", {"kind": kind, "name": name})
    if json:
        print_json(told)
    else:
        talk.print(f"{kind} {name} is not banned any more", markup=False)
