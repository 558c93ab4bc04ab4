"""The flags of the pilot."""

from __future__ import annotations

import argparse

from pilot import VERSION
from schemas.rules.isolation import LEVELS

ISOLATION = ("auto", *reversed(LEVELS))


def parser() -> argparse.ArgumentParser:
    """What the command line may say; what it does not say is not there."""
    flags = argparse.ArgumentParser(
        prog="pilot",
        allow_abbrev=False,
        description="Look at this node, ask for jobs and run them, one after another or, with --pool, side by side.",
        epilog="The enrolment secret comes from PILOTBUS_PILOT_SECRET, --secret-file or the file; never from a flag.",
    )
    flags.add_argument("--version", action="version", version=f"pilotbus pilot {VERSION}")
    flags.add_argument("--config", metavar="FILE.json", help="read these settings from a file; flags win")
    flags.add_argument(
        "--url",
        action="append",
        metavar="amqps://HOST:PORT/VHOST",
        help="a broker's address, amqps:// or stomps://; may be repeated, the first that works is used (PILOTBUS_PILOT_AMQP_URL)",
    )
    flags.add_argument(
        "--proxy", metavar="http://HOST:PORT", help="reach all through this HTTP proxy; none: through none (https_proxy)"
    )
    flags.add_argument("--door", metavar="https://HOST:PORT", help="where the secret is exchanged (PILOTBUS_DOOR_URL)")
    flags.add_argument("--secret-file", metavar="FILE", help="a file with the enrolment secret; it is removed once read")
    flags.add_argument("--ca", metavar="FILE", help="trust this authority only (PILOTBUS_CA_FILE)")
    flags.add_argument("--site", help="the site's name, e.g. LCG.CERN.ch")
    flags.add_argument("--ce", help="the computing element's name")
    flags.add_argument("--ce-type", help="the kind of computing element (default: the batch system that this is a job of)")
    flags.add_argument("--list-commands", action="store_true", default=None, help="say which commands and plans there are")
    flags.add_argument("--plan", help="a plan, or commands joined by commas (default: default; check needs no broker)")
    flags.add_argument("--workdir", metavar="DIR", help="where jobs run (default: the current directory)")
    flags.add_argument("--tag", action="append", help="offer this tag; may be repeated")
    flags.add_argument("--required-tag", action="append", help="take only jobs with this tag; may be repeated")
    flags.add_argument("--processors", type=int, metavar="N", help="offer so many (default: those this process may use)")
    flags.add_argument("--cpu-time", type=int, metavar="SECONDS", help="what is left of the slot (default: no end)")
    flags.add_argument("--max-ram", type=int, metavar="MB", help="offer so much memory (default: what the node has)")
    flags.add_argument("--vo", help="serve this community only")
    flags.add_argument("--idle-limit", type=int, metavar="SECONDS", help="leave after so long without a job (default: 600)")
    flags.add_argument("--max-jobs", type=int, metavar="N", help="leave after so many jobs (default: no limit)")
    flags.add_argument("--isolation", metavar="|".join(ISOLATION), help="how a payload is kept apart (default: auto)")
    flags.add_argument("--container-image", metavar="DIR|FILE.sif", help="what payloads see as the node under apptainer")
    flags.add_argument(
        "--pool",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="run several jobs at once, as processors and memory allow (default: no)",
    )
    flags.add_argument(
        "--keep-token",
        action="store_true",
        default=None,
        help="keep the token beside the spool, so that the next pilot here can say this one's last words; "
        "only where no payload can read it",
    )
    flags.add_argument("--name", help="the pilot's id (default: a new one)")
    return flags
