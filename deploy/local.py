"""What `pilotbus up` and the demo keep running beside the servers: the services and some pilots, each a process of its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bus.client import Client
from bus.settings import settings
from deploy import process, stack
from deploy.pilot_zip import build

SERVICES = "services"
READY_WITHIN_S = 60.0


def directory_of(name: str) -> Path:
    """Where a stack lives."""
    return stack.RUN_DIRECTORY / name


def start_services(name: str, told: Mapping[str, str]) -> None:
    """The services consume. Raises StackError, with the place of their log, when they do not."""
    directory = directory_of(name)
    # the stack's directory on the command line is how `process` knows its own
    command = [sys.executable, "-m", "deploy.local", str(directory) + "/"]
    ready = directory / "services.ready"
    ready.unlink(missing_ok=True)
    process.launch(directory, SERVICES, command, {"PYTHONPATH": str(stack.RUN_DIRECTORY.parent), **_own(), **told})
    process.wait_until_ready(directory, SERVICES, ready.exists, READY_WITHIN_S)


def _own() -> dict[str, str]:
    """What the person at the keyboard adds to the stack's settings."""
    wanted = ("PILOTBUS_EXTENSIONS", "PILOTBUS_HANDLERS")
    return {name: os.environ[name] for name in wanted if name in os.environ}


def invite(
    client_url: str, ca_file: str, site: str, count: int, lifetime_s: int = 86_400, bound: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """So many pilots may come to a site, bound also to ce, vo, owner, owner_group: the id and the enrolment secret of each."""
    asked = {"site": site, "count": count, "lifetime_s": lifetime_s} | dict(bound or {})
    with Client(client_url, ca_file, component="invite") as bus:
        pilots = bus.ask("pilot.invite.v1", asked)["pilots"]
    return [(pilot["pilot_id"], pilot["secret"]) for pilot in pilots]


def start_pilots(name: str, site: str, count: int, flags: Sequence[str] = ()) -> list[str]:
    """So many pilots of a site run on this machine, from the zip, each in its own folder; their names."""
    directory = directory_of(name)
    archive = directory / "pilot.pyz"
    build(archive, settings().houses)
    known = stack.read_settings(directory / "pilot.env")
    own = stack.read_settings(directory / "client.env")
    taken = {path.name for path in (directory / "pids").glob("pilot-*")}
    free = [f"pilot-{number}" for number in range(1, 10_000) if f"pilot-{number}" not in taken][:count]
    invited = invite(own["PILOTBUS_CLIENT_AMQP_URL"], own["PILOTBUS_CA_FILE"], site, count) if count else []
    for slot, (_, secret) in zip(free, invited, strict=True):
        workdir = directory / "pilots" / slot
        workdir.mkdir(parents=True, exist_ok=True)
        secret_file = workdir / "secret"
        process.write_private(secret_file, secret)
        command = [sys.executable, str(archive), "--secret-file", str(secret_file), "--workdir", f"{workdir}/", *flags]
        process.launch(directory, slot, command, {"HOME": str(workdir), **known})
    return free


def stop_all(name: str) -> None:
    """No pilot, no service and no server of the stack is left; its data stay."""
    directory = directory_of(name)
    for path in sorted((directory / "pids").glob("pilot-*")):
        process.end(directory, path.name, signal.SIGTERM, 20.0)
    process.end(directory, SERVICES, signal.SIGTERM, 30.0)
    stack.stop(name)


def status(name: str) -> list[stack.ServerStatus]:
    """Every process of the stack."""
    directory = directory_of(name)
    own = [SERVICES, *sorted(path.name for path in (directory / "pids").glob("pilot-*"))]
    found = stack.status(name)
    for server in own:
        pid = process.leader_of(directory, server)
        recorded = process.is_recorded(directory, server)
        state = "running" if pid else "died" if recorded and server == SERVICES else "left" if recorded else "stopped"
        found.append({"name": server, "pid": pid, "port": None, "state": state})
    return found


def main(directory: str) -> int:
    """The services of a stack, in this process; a file says when they are ready."""
    from bus.log import configure
    from deploy import start

    configure()
    return start.run(settings(), (Path(directory) / "services.ready").touch)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
