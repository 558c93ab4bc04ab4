"""Run the services in the foreground: all handlers, or those of PILOTBUS_HANDLERS. SIGTERM ends them cleanly."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bus.log import configure
from bus.settings import settings
from deploy.verbs.common import UNAVAILABLE, Failure


def run(
    handlers: Annotated[str, typer.Option(help="Rooms or handlers, with commas; all when not given.")] = "",
) -> None:
    """Run the services."""
    from dataclasses import replace

    from deploy import start

    configure()
    found = settings()
    if not found.amqp_url or not found.dsn:
        raise Failure("set PILOTBUS_AMQP_URL and PILOTBUS_DSN, or use `pilotbus up`", UNAVAILABLE)
    raise typer.Exit(start.run(replace(found, handlers=handlers or found.handlers), told))


def told() -> None:
    """Whoever started this process reads on its standard output that everything consumes."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
