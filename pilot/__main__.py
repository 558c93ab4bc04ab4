"""Configuration, plan, each command in turn, and one exit code at the end."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType

from pilot import VERSION, last_words
from pilot.command import PLANNED, REFUSED, UNREACHABLE, UNSAID, WRONG_CONFIG, Pilot, Stop
from pilot.config import Config, WrongConfig, configure
from pilot.enrolment import DoorAway, NotLetIn, Passport, enrol, passport
from pilot.last_words import LINE_SPOOL, SPOOL
from pilot.plan import commands
from pilot.version import older
from pilot.wire.amqp import LoginRefused
from pilot.wire.lines import spooled
from pilot.wire.link import Link, Unreachable
from pilot.wire.login import Login
from pilot.wire.outbox import Outbox
from pilot.wire.spool import Spool
from schemas.rules.secrets import remember, scrub

_LAST_WORDS_S = 10
_LAST_LINES_S = 120
_PR_SET_DUMPABLE = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one pilot; its exit code (pilot/README.md has the table)."""
    try:
        config = configure(sys.argv[1:] if arguments is None else arguments, os.environ)
        # the payload runs as the same user: without this it could read the secret in our environment, the token in our memory
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)
        plan = commands(config.plan)
        _complete(config, plan)
        if config.login is None:
            return _offline(config, plan)
        config, passport = _let_in(config)
        return _online(config, plan, passport)
    except (WrongConfig, LookupError) as problem:
        return _end(str(problem), WRONG_CONFIG)
    except Stop as stop:
        return _end(stop.reason, stop.code)
    except (LoginRefused, NotLetIn) as refusal:
        return _end(str(refusal), REFUSED)
    except (Unreachable, DoorAway) as problem:
        return _end(str(problem), UNREACHABLE)


def _complete(config: Config, plan: Sequence[ModuleType]) -> None:
    asking = [command.__name__.rpartition(".")[2] for command in plan if getattr(command, "ASKS", ())]
    if asking and config.login is None:
        raise WrongConfig(f"{asking[0]} needs a broker: set PILOTBUS_PILOT_AMQP_URL, or try --plan check")
    if config.login is not None and config.site == "Unknown" and not config.secret:
        raise WrongConfig("a pilot wants to know its site: --site")


def _let_in(config: Config) -> tuple[Config, Passport | None]:
    """What the services know of this pilot, and its token, for its secret. Raises NotLetIn, DoorAway, WrongConfig."""
    if config.login is None or not config.secret:
        remember(config.login.password if config.login else "")
        return config, None
    remember(config.secret)
    enrolled = enrol(config.door, config.secret, config.ca_file, config.connect_limit_s)
    if older(VERSION, enrolled.least_version):
        raise NotLetIn(f"this pilot is {VERSION}, and {enrolled.least_version} is the oldest that may start")
    if config.site not in ("Unknown", enrolled.site):
        raise WrongConfig(f"the site is {config.site} by the configuration, and {enrolled.site} by the enrolment secret")
    placed = replace(config, name=enrolled.pilot_id, site=enrolled.site, ce=enrolled.ce or config.ce, vo=enrolled.vo, secret="")
    own = passport(config.login, enrolled, config.door)
    return replace(placed, tags=(*config.tags, *enrolled.tags), login=own.login()), own


def _end(reason: str, code: int) -> int:
    print(f"pilot: {scrub(reason)}", file=sys.stderr)  # noqa: T201
    return code


def _offline(config: Config, plan: Sequence[ModuleType]) -> int:
    pilot = Pilot(config, None, config.workdir)
    for command in plan:
        command.run(pilot)
    print(json.dumps(pilot.resource, indent=1, sort_keys=True))  # noqa: T201
    return PLANNED


def _online(config: Config, plan: Sequence[ModuleType], own: Passport | None) -> int:
    home = config.workdir / config.name
    try:
        home.mkdir(parents=True, mode=0o700, exist_ok=True)
        spool = Spool(home / SPOOL)
    except BlockingIOError as problem:
        raise WrongConfig(f"{home}: a living pilot of this name works here") from problem
    except OSError as problem:
        raise WrongConfig(f"{home}: can not be used as this pilot's directory ({problem.strerror})") from problem
    if config.login is None:
        raise WrongConfig("there is no broker")
    outbox = Outbox(f"/{config.login.user}/{config.name}", config.name, spool, spooled(home / LINE_SPOOL, config.line_spool_mb))
    pilot = Pilot(config, None, home)
    link = pilot.link = Link(config.login, outbox, pilot.complain, own.login if own else None)
    undo = pilot.orders.obey_signals()

    def renewed(login: Login) -> None:
        link.renewed(login)
        if config.keep_token:
            last_words.remember(home, login)

    forget = own.keep(pilot, renewed) if own else (lambda: None)
    if config.keep_token:
        last_words.remember(home, config.login)
    unsaid = 0
    try:
        link.start(config.connect_limit_s, lambda: bool(pilot.orders.leaving))
        last_words.say(home, config.login, pilot.log)
        _run(pilot, plan)
        link.settle(_LAST_WORDS_S)
        if not pilot.orders.leave_at_once:
            link.let_lines_go(_LAST_LINES_S)
    finally:
        unsaid = len(spool)
        if left := len(outbox.lines):
            pilot.complain(f"{left} log lines could not be said, and are lost")
        forget()
        link.close()
        undo()
        if not unsaid:
            shutil.rmtree(home, ignore_errors=True)
    return PLANNED if not unsaid else _end(f"{unsaid} events could not be said; they wait in {home / SPOOL}", UNSAID)


def _run(pilot: Pilot, plan: Sequence[ModuleType]) -> None:
    try:
        for command in plan:
            command.run(pilot)
        pilot.leave("plan ended")
    except Stop as stop:
        pilot.leave(stop.reason, failed=True)
        if pilot.link is not None:
            pilot.link.settle(_LAST_WORDS_S)
        raise


if __name__ == "__main__":
    sys.exit(main())
