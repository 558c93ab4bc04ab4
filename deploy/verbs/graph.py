"""Print the flow of events as a mermaid graph, or --rabbitmq the broker's definitions.json, or --states DIRAC's job machine."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bus.settings import settings
from bus.topology import definitions, topology
from deploy.house import found_handlers, words_of
from deploy.verbs.common import print_json
from schemas.rules.job_states import diagram


def run(
    rabbitmq: Annotated[bool, typer.Option("--rabbitmq", help="RabbitMQ's definitions.json.")] = False,  # noqa: FBT002
    states: Annotated[bool, typer.Option("--states", help="The job's states.")] = False,  # noqa: FBT002
    vhost: Annotated[str, typer.Option(help="The virtual host in the definitions.")] = "pilotbus",
) -> None:
    """Print the flow of events."""
    words = words_of(settings())
    found = sorted(found_handlers(settings(), words), key=lambda handler: handler.name)
    if rabbitmq:
        print_json(json.loads(json.dumps(definitions(topology(found, words.known), vhost))))
    elif states:
        typer.echo(diagram())
    else:
        lines = ["flowchart LR"]
        for handler in found:
            lines += [f"  {kind}([{kind}]) --> {handler.name}" for kind in handler.consumes]
            lines += [f"  {handler.name} --> {kind}([{kind}])" for kind in handler.emits]
        typer.echo("\n".join(lines))
