"""Start a private broker, a private database, the services and local pilots, and keep them until `pilotbus down`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from bus.account import STACK
from deploy import local, stack
from deploy.process import StackError
from deploy.verbs.common import UNAVAILABLE, Failure, client, talk

SITE = "LOCAL.laptop.org"


def run(
    pilots: Annotated[int, typer.Option(help="So many pilots on this machine.", min=0, max=64)] = 2,
    site: Annotated[str, typer.Option(help="The site that they play.")] = SITE,
) -> None:
    """Start everything on this machine."""
    try:
        settings = stack.start(STACK)
        if not any(server["name"] == local.SERVICES and server["pid"] for server in local.status(STACK)):
            local.start_services(STACK, settings)
        os.environ.update({name: settings[name] for name in ("PILOTBUS_CLIENT_AMQP_URL", "PILOTBUS_CA_FILE")})
        with client("up") as bus:
            described = {"site": site, "status": "active", "description": "pilots on this machine"}
            bus.say("site.described.v1", described)
        names = local.start_pilots(STACK, site, pilots, ("--idle-limit", "86400"))
    except StackError as problem:
        raise Failure(str(problem), UNAVAILABLE) from problem
    talk.print(f"up, with {len(names)} pilots of site {site}; try `pilotbus ps`, stop with `pilotbus down`")
