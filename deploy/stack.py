"""The local stack: a private RabbitMQ and PostgreSQL under `.run/<name>/`, with accounts, certificates and settings.

`python -m deploy.stack run --name NAME -- COMMAND…` starts it, runs the command with its settings, and always stops it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import ssl
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict

from bus.account import RUN_DIRECTORY, read_settings
from bus.login import account_of
from deploy import certificates, postgres, process, rabbitmq
from deploy.accounts import VHOST, definitions, grants, login_account
from deploy.foreground import EndedBySignal, ignore_signals, run_in_foreground, signals_raised
from deploy.process import StackError, write_private
from deploy.stack_settings import draw_secrets, sandbox_settings, settings_for, write_settings
from handlers.proxy import vault
from handlers.token.issuer import Issuer

__all__ = [
    "RUN_DIRECTORY",
    "StackError",
    "definitions",
    "grants",
    "ports",
    "read_settings",
    "run",
    "start",
    "status",
    "stop",
]

_PORTS = (*rabbitmq.PORTS, *postgres.PORTS, "http")
_SERVERS = {"epmd": "epmd", "rabbitmq": "amqp", "postgres": "postgres"}
_OTHERS_PATIENCE_S = 30.0
_GIVEN = ("PILOTBUS_DSN", "PILOTBUS_AMQP_URL")


class ServerStatus(TypedDict):
    """One line of `status`: a server, where it listens, and whether it is running, died, or is stopped."""

    name: str
    pid: int | None
    port: int | None
    state: str


def start(name: str, root: Path = RUN_DIRECTORY) -> dict[str, str]:
    """The stack is up and stays up; gives the settings its services need."""
    if _is_given():
        return _given(_directory(name, root))
    directory = _directory(name, root)
    with _alone(directory):
        if not _all_alive(directory):
            _stop(directory)
            _start(directory)
            _kept_mark(directory).touch()
        return read_settings(directory / "services.env")


def stop(name: str, root: Path = RUN_DIRECTORY) -> None:
    """No process of the stack is left; its data stay."""
    directory = root.resolve() / name
    if directory.is_dir():
        with _alone(directory):
            _stop(directory)


def status(name: str, root: Path = RUN_DIRECTORY) -> list[ServerStatus]:
    """Every server of the stack with its state."""
    known = ports(name, root)
    return [_server_status(root.resolve() / name, server, known.get(port)) for server, port in _SERVERS.items()]


def ports(name: str, root: Path = RUN_DIRECTORY) -> dict[str, int]:
    """The loopback port of each purpose, as it was at the last start."""
    path = root.resolve() / name / "ports.json"
    return json.loads(path.read_text()) if path.exists() else {}


def run(name: str, command: Sequence[str], root: Path = RUN_DIRECTORY) -> int:
    """The command has run with the stack's settings and nothing of the stack is left; gives the command's exit code."""
    if _is_given():
        return run_in_foreground(command, _given(_directory(name, root)))
    directory = _directory(name, root)
    with _alone(directory):
        if _kept_mark(directory).exists() and _all_alive(directory):
            raise StackError(f"The stack {name!r} is up already; stop it first, or choose another --name.")
        with signals_raised():
            try:
                # What a killed runner left behind; its data are as good as ours.
                _stop(directory)
                return run_in_foreground(command, _start(directory))
            except EndedBySignal as ended:
                return 128 + ended.number
            finally:
                ignore_signals()
                _stop(directory)


def clean(root: Path = RUN_DIRECTORY) -> None:
    """No stack below the root runs, and none has data."""
    for directory in sorted(path.parent for path in root.resolve().glob("*/ports.json")):
        stop(directory.name, root)
        postgres.forget(directory)
        shutil.rmtree(directory)


def _start(directory: Path) -> dict[str, str]:
    """Both servers take connections, or neither runs."""
    at = _choose_ports(directory)
    user = login_account()
    drawn = draw_secrets(directory / "secrets.json")
    files = certificates.ensure(directory / "certificates")
    settings = settings_for(directory, at, drawn, files, user)
    vault.make(Path(settings["PILOTBUS_VAULT_KEY_FILE"]))
    issuer = Issuer(settings["PILOTBUS_ISSUER_DIR"], settings["PILOTBUS_DOOR_URL"], VHOST)
    _say(f"starting RabbitMQ and PostgreSQL in {directory} …")
    try:
        rabbitmq.launch(directory, at, files, definitions(user), issuer.public_files(directory / "rabbitmq" / "keys"))
        postgres.launch(directory, at["postgres"], files, drawn["postgres"])
        postgres.wait_until_ready(directory)
        rabbitmq.wait_until_ready(directory, at["amqp"], files)
    except BaseException:
        # A broker that is still booting does not listen to a gentle signal.
        _stop(directory, broker_patience_s=2.0)
        raise
    _say(f"RabbitMQ listens on port {at['amqp']}, PostgreSQL on {at['postgres']}")
    write_settings(directory, settings)
    return settings


def _stop(directory: Path, broker_patience_s: float = rabbitmq.STOP_PATIENCE_S) -> None:
    """Nothing of the stack runs: first what was launched beside the servers, then the servers."""
    recorded = process.recorded(directory)
    if any(process.leader_of(directory, server) for server in recorded):
        _say(f"stopping the stack in {directory} …")
    for other in recorded - _SERVERS.keys():
        process.end(directory, other, signal.SIGTERM, _OTHERS_PATIENCE_S)
    rabbitmq.stop(directory, broker_patience_s)
    postgres.stop(directory)
    _kept_mark(directory).unlink(missing_ok=True)


def _choose_ports(directory: Path) -> dict[str, int]:
    """A free loopback port per purpose, last time's where it is still free."""
    remembered = ports(directory.name, directory.parent)
    chosen = {}
    with contextlib.ExitStack() as held:
        for purpose in _PORTS:
            holder = held.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                holder.bind(("127.0.0.1", remembered.get(purpose, 0)))
            except OSError:
                holder.bind(("127.0.0.1", 0))
            chosen[purpose] = int(holder.getsockname()[1])
    write_private(directory / "ports.json", json.dumps(chosen, indent=1))
    return chosen


def _server_status(directory: Path, server: str, port: int | None) -> ServerStatus:
    pid = process.leader_of(directory, server)
    state = "running" if pid is not None else "died" if process.is_recorded(directory, server) else "stopped"
    return {"name": server, "pid": pid, "port": port, "state": state}


def _all_alive(directory: Path) -> bool:
    return all(process.leader_of(directory, server) for server in _SERVERS)


def _kept_mark(directory: Path) -> Path:
    """A file that is there while the stack is up by `start`, not for the length of a `run`."""
    return directory / "kept-up"


def _is_given() -> bool:
    """Somebody else's broker and database are to be used."""
    return all(os.environ.get(name) for name in _GIVEN)


def _given(directory: Path) -> dict[str, str]:
    """The settings given, completed by an own sandbox store; its certificates are trusted beside those given."""
    told = {name: value for name, value in os.environ.items() if name.startswith("PILOTBUS_")}
    for name in ("PILOTBUS_CLIENT_AMQP_URL", "PILOTBUS_PILOT_AMQP_URL"):
        if name not in told:
            raise StackError(f"{name} is not set: beside the services, users and pilots need accounts of their own.")
    if not told.get("PILOTBUS_SANDBOX_DIR") and not told.get("PILOTBUS_S3_BUCKET"):
        files = certificates.ensure(directory / "certificates")
        secret = draw_secrets(directory / "secrets.json")["sandbox"]
        told |= sandbox_settings(directory, _choose_ports(directory), secret, files)
        trusted = told.get("PILOTBUS_CA_FILE") or ssl.get_default_verify_paths().cafile or os.devnull
        bundle = directory / "trusted.pem"
        bundle.write_text(Path(trusted).read_text() + files.authority.read_text())
        told["PILOTBUS_CA_FILE"] = str(bundle)
    told.setdefault("PILOTBUS_OPERATORS", account_of(told["PILOTBUS_CLIENT_AMQP_URL"]))
    write_settings(directory, told)
    return told


def _directory(name: str, root: Path) -> Path:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name):
        raise StackError(f"A stack is named with small letters, digits and hyphens, not {name!r}.")
    directory = root.resolve() / name
    directory.mkdir(parents=True, exist_ok=True)
    # PostgreSQL runs as another user when we are root, and has to pass through.
    directory.chmod(0o711)
    return directory


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Nobody else starts, runs or stops this stack meanwhile."""
    with (directory / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise StackError(f"The stack {directory.name!r} is in use by process {holder}.") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module, for the Makefile and CI; people use `pilotbus up`, `down` and `ps`."""
    parser = argparse.ArgumentParser(prog="python -m deploy.stack", description=__doc__)
    parser.add_argument("--root", type=Path, default=RUN_DIRECTORY, help="where stacks live (default: .run)")
    actions = parser.add_subparsers(dest="action", required=True)
    runner = actions.add_parser("run", help="start a stack, run a command with its settings, stop the stack")
    runner.add_argument("--name", required=True)
    runner.add_argument("command", nargs="+", metavar="COMMAND", help="after --")
    stopper = actions.add_parser("stop", help="stop a stack; its data stay")
    stopper.add_argument("--name", required=True)
    actions.add_parser("clean", help="stop every stack and remove its data")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.action == "run":
            return run(chosen.name, chosen.command, chosen.root)
        if chosen.action == "stop":
            stop(chosen.name, chosen.root)
        else:
            clean(chosen.root)
    except StackError as error:
        _say(f"pilotbus: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
