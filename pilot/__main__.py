"""Configuration, plan, each command in turn, and one exit code at the end."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from pilot import VERSION, last_words, tree
from pilot.command import BUG, PLANNED, REFUSED, UNREACHABLE, UNSAID, WRONG_CONFIG, Pilot, Stop
from pilot.config import Config, WrongConfig, configure, settled
from pilot.enrolment import DoorAway, NotLetIn, Passport, enrol, passport
from pilot.last_words import LINE_SPOOL, SPOOL
from pilot.plan import Step, WrongPlan, listing, steps
from pilot.version import older
from pilot.wire import dial
from pilot.wire.lines import spooled
from pilot.wire.link import Link, Unreachable
from pilot.wire.login import Login
from pilot.wire.outbox import Outbox
from pilot.wire.session import LoginRefused
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
        if config.list_commands:
            print(listing(config.plans))  # noqa: T201
            return PLANNED
        _proxied(config)
        _complete(config, steps(config.plan, config.plans))
        if config.login is None:
            return _offline(config)
        config, passport = _let_in(config)
        return _online(config, passport)
    except (WrongConfig, WrongPlan) as problem:
        return _end(str(problem), WRONG_CONFIG)
    except Stop as stop:
        return _end(stop.reason, stop.code)
    except (LoginRefused, NotLetIn) as refusal:
        return _end(str(refusal), REFUSED)
    except (Unreachable, DoorAway) as problem:
        return _end(str(problem), UNREACHABLE)


def _proxied(config: Config) -> None:
    try:
        dial.through(config.proxy)
    except dial.NoWay as problem:
        raise WrongConfig(str(problem)) from problem


def _complete(config: Config, plan: Sequence[Step]) -> None:
    asking = [step.name for step in plan if getattr(step.command, "ASKS", ())]
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
    where = {"site": enrolled.site, "ce": enrolled.ce or config.ce, "vo": enrolled.vo}
    placed = replace(settled(config, enrolled.configuration, **where), name=enrolled.pilot_id, secret="")
    own = passport(config.login, enrolled, config.door)
    return replace(placed, tags=(*placed.tags, *enrolled.tags), login=own.login()), own


def _end(reason: str, code: int) -> int:
    print(f"pilot: {scrub(reason)}", file=sys.stderr)  # noqa: T201
    return code


def _offline(config: Config) -> int:
    pilot = Pilot(config, None, config.workdir)
    _run(pilot)
    print(json.dumps(pilot.resource, indent=1, sort_keys=True))  # noqa: T201
    return PLANNED


def _online(config: Config, own: Passport | None) -> int:
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
        _run(pilot)
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
            tree.remove(home)
    return PLANNED if not unsaid else _end(f"{unsaid} events could not be said; they wait in {home / SPOOL}", UNSAID)


def _run(pilot: Pilot) -> None:
    """Each command in turn. What stops one is said, and stops the pilot, unless the plan lets it fail."""
    try:
        for step in _plan(pilot.config):
            _step(pilot, step)
        pilot.leave("plan ended")
    except Stop as stop:
        pilot.leave(f"failed: {stop.reason}", failed=True)
        raise
    except Exception as bug:
        pilot.leave(f"failed: {type(bug).__name__}: {bug}"[:1000], failed=True, code=BUG)
        raise
    finally:
        _settle(pilot)


def _settle(pilot: Pilot) -> None:
    """All is said; or the time is up, or the broker lets this pilot in no more."""
    if pilot.link is None or pilot.link.settle(1.0):
        return
    began, left_s = time.monotonic(), pilot.seconds_left()
    limit_s = max(
        _LAST_WORDS_S, pilot.config.last_words_limit_s if left_s is None else min(left_s, pilot.config.last_words_limit_s)
    )
    pilot.complain(f"some events are not said yet; the broker has {limit_s:.0f} s, and {_LAST_WORDS_S} s after a second signal")
    while not pilot.link.settle(1.0) and not pilot.refused:
        if time.monotonic() - began > (_LAST_WORDS_S if pilot.orders.leave_at_once else limit_s):
            return


def _plan(config: Config) -> list[Step]:
    try:
        return steps(config.plan, config.plans)
    except WrongPlan as problem:  # by what the services tell: a pilot that has enrolled says that it can not
        raise Stop(str(problem), WRONG_CONFIG) from problem


def _step(pilot: Pilot, step: Step) -> None:
    began = time.monotonic()
    try:
        step.command.run(pilot)
    except Exception as problem:
        if pilot.has_left:
            raise
        known = isinstance(problem, Stop)
        reason = str(problem) if known else f"{type(problem).__name__}: {problem}"
        seconds = time.monotonic() - began
        pilot.phase("command_failed", seconds=seconds, command=step.name, reason=reason[:1000], goes_on=step.may_fail)
        if not step.may_fail:
            if isinstance(problem, Stop):
                raise Stop(f"{step.name}: {problem.reason}", problem.code) from problem
            raise


if __name__ == "__main__":
    sys.exit(main())
