"""Run one pilot in this terminal, from the zip that travels to worker nodes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

import typer

from bus.account import STACK, client_settings
from bus.errors import Refused
from bus.settings import settings
from deploy import local, stack
from deploy.pilot_zip import build
from deploy.verbs.common import DENIED, USAGE, Failure
from pilot.plan import WrongPlan, steps

app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
)
def run(context: typer.Context) -> None:
    """Run a pilot here; all flags are its own, such as --plan check, and --help tells them.

    One that is to speak with a broker, and has no --secret-file and no PILOTBUS_PILOT_SECRET, is invited to its --site first,
    if you are an operator. Its phases go to standard error, and its exit code is this one's.
    """
    given = list(context.args)
    kept = stack.RUN_DIRECTORY / STACK / "pilot.env"
    known = stack.read_settings(kept) if kept.exists() and not settings().pilot_amqp_url else {}
    with tempfile.TemporaryDirectory(prefix="pilotbus-") as folder:
        archive = Path(folder) / "pilot.pyz"
        try:
            build(archive, settings().houses)
        except LookupError as problem:
            raise Failure(str(problem), USAGE) from problem
        if _wants_a_secret(given):
            known["PILOTBUS_PILOT_SECRET"] = _secret(value_of(given, "--site"))
        raise typer.Exit(_foreground([sys.executable, str(archive), *given], os.environ | known))


def value_of(flags: list[str], name: str) -> str:
    """The last value that these flags give to this one, or nothing."""
    found = ""
    for number, word in enumerate(flags):
        if word == name and number + 1 < len(flags):
            found = flags[number + 1]
        elif word.startswith(f"{name}="):
            found = word.partition("=")[2]
    return found


def _wants_a_secret(given: list[str]) -> bool:
    """Whether it is to speak with a broker, and has not said how it is let in."""
    if "--list-commands" in given or value_of(given, "--secret-file") or "PILOTBUS_PILOT_SECRET" in os.environ:
        return False
    try:
        asks = any(getattr(step.command, "ASKS", ()) for step in steps(value_of(given, "--plan") or "default"))
    except WrongPlan:  # an extension's, or a mistake, which the pilot will tell
        asks = True
    return asks and bool(value_of(given, "--site"))


def _secret(site: str) -> str:
    told = client_settings()
    try:
        ((_, secret),) = local.invite(told.client_amqp_url, told.ca_file, site, 1)
    except Refused as refusal:
        if refusal.code != "denied":
            raise
        raise Failure(
            f"only an operator invites ({refusal.reason}); give --secret-file with a secret of theirs", DENIED
        ) from refusal
    return secret


def _foreground(command: list[str], environment: dict[str, str]) -> int:
    """Its exit code; a signal is the pilot's, which first finishes its job."""
    with subprocess.Popen(command, env=environment) as process:

        def passed_on(number: int, _frame: FrameType | None) -> None:
            if number != signal.SIGINT:  # which a terminal sends to both
                process.send_signal(number)

        before = {number: signal.signal(number, passed_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
