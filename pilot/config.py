"""What a pilot is told: flags, then the environment, then a JSON file, the first that says it wins."""

from __future__ import annotations

import argparse
import json
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pilot import VERSION
from pilot.wire.login import Login, login
from schemas.rules.identity import pilot_of

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
ISOLATION = ("auto", "bubblewrap", "userns", "none")
_SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class WrongConfig(Exception):
    """The arguments or the file do not say what a pilot needs; one sentence says what."""


@dataclass(frozen=True)
class Config:
    """One pilot's configuration; None or 0 means: measure it, or no limit."""

    site: str
    name: str
    workdir: Path
    login: Login | None = None
    ca_file: str = ""
    door: str = ""
    secret: str = field(default="", repr=False)
    ce: str = ""
    plan: str = "default"
    vo: str = ""
    tags: tuple[str, ...] = ()
    required_tags: tuple[str, ...] = ()
    processors: int = 0
    max_ram_mb: int = 0
    cpu_time_s: int = 0
    idle_limit_s: int = 600
    max_jobs: int = 0
    connect_limit_s: int = 60
    wall_factor: float = 3.0
    sandbox_limit_mb: int = 10
    unpacked_limit_mb: int = 512
    keep_token: bool = False
    pool: bool = False
    isolation: str = "auto"
    config_file: str = ""
    disk_limit_mb: int = 0
    process_limit: int = 2048
    least: Mapping[str, int] = field(default_factory=dict)


_FILE_ONLY = {
    "least": dict,
    "password": str,
    "secret": str,
    "connect_limit": int,
    "wall_factor": (int, float),
    "sandbox_limit_mb": int,
    "unpacked_limit_mb": int,
    "disk_limit_mb": int,
    "process_limit": int,
}
_KINDS: dict[str, Any] = {
    **dict.fromkeys(("url", "ca", "door", "secret_file", "site", "ce", "plan", "workdir", "vo", "name", "isolation"), str),
    **dict.fromkeys(("processors", "cpu_time", "max_ram", "idle_limit", "max_jobs"), int),
    **dict.fromkeys(("tag", "required_tag"), list),
    **dict.fromkeys(("keep_token", "pool"), bool),
    **_FILE_ONLY,
}


def parser() -> argparse.ArgumentParser:
    """The flags of the pilot."""
    flags = argparse.ArgumentParser(
        prog="pilot",
        allow_abbrev=False,
        description="Look at this node, ask for jobs and run them, one after another or, with --pool, side by side.",
        epilog="The enrolment secret comes from PILOTBUS_PILOT_SECRET, --secret-file or the file; never from a flag.",
    )
    flags.add_argument("--version", action="version", version=f"pilotbus pilot {VERSION}")
    flags.add_argument("--config", metavar="FILE.json", help="read these settings from a file; flags win")
    flags.add_argument("--url", metavar="amqps://HOST:PORT/VHOST", help="the broker (PILOTBUS_PILOT_AMQP_URL)")
    flags.add_argument("--door", metavar="https://HOST:PORT", help="where the secret is exchanged (PILOTBUS_DOOR_URL)")
    flags.add_argument("--secret-file", metavar="FILE", help="a file with the enrolment secret; it is removed once read")
    flags.add_argument("--ca", metavar="FILE", help="trust this authority only (PILOTBUS_CA_FILE)")
    flags.add_argument("--site", help="the site's name, e.g. LCG.CERN.ch")
    flags.add_argument("--ce", help="the computing element's name")
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
    flags.add_argument(
        "--pool", action="store_true", default=None, help="run several jobs at once, as processors and memory allow"
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


def configure(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """The configuration that these say together. Raises WrongConfig."""
    flags = {key: value for key, value in vars(parser().parse_args(arguments)).items() if value is not None}
    if _has_password(flags.get("url", "")):
        raise WrongConfig(
            "the URL on the command line holds a password, which every user of this node can read; "
            "set PILOTBUS_PILOT_AMQP_URL or PILOTBUS_PILOT_PASSWORD instead"
        )
    config_file = flags.pop("config", "")
    said = _file(config_file)
    for key, variable in (
        ("url", "PILOTBUS_PILOT_AMQP_URL"),
        ("password", "PILOTBUS_PILOT_PASSWORD"),
        ("door", "PILOTBUS_DOOR_URL"),
        ("secret", "PILOTBUS_PILOT_SECRET"),
        ("ca", "PILOTBUS_CA_FILE"),
    ):
        if environment.get(variable):
            said[key] = environment[variable]
    said.update(flags)
    if said.get("secret_file"):
        said["secret"] = _secret(Path(said["secret_file"]))
    return replace(_config(said), config_file=config_file)


def _secret(path: Path) -> str:
    """The secret in the file, which is gone from now on: it is of use only once."""
    try:
        secret = path.read_text(encoding="ascii").strip()
        path.unlink()
    except (OSError, UnicodeDecodeError) as problem:
        raise WrongConfig(f"{path}: the enrolment secret can not be read and removed: {problem}") from problem
    return secret


def _has_password(url: str) -> bool:
    try:
        return urlsplit(url).password is not None
    except ValueError:
        return "@" in url


def _file(path: str) -> dict[str, Any]:
    if not path:
        return {}
    try:
        said = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as problem:
        raise WrongConfig(f"{path}: {problem.strerror}") from problem
    except ValueError as problem:
        raise WrongConfig(f"{path}: is not JSON: {problem}") from problem
    if not isinstance(said, dict):
        raise WrongConfig(f"{path}: wants a JSON object")
    for key, value in said.items():
        if key not in _KINDS:
            raise WrongConfig(f"{path}: does not know {key!r}; it knows {', '.join(sorted(_KINDS))}")
        if not isinstance(value, _KINDS[key]) or isinstance(value, bool) != (_KINDS[key] is bool):
            raise WrongConfig(f"{path}: {key} is a {type(value).__name__}, which it can not be")
    return said


def _config(said: Mapping[str, Any]) -> Config:
    name = str(said.get("name") or uuid.uuid4())
    if not _NAME.fullmatch(name):
        raise WrongConfig(f"the name {name!r} is no pilot id: letters, digits, - and _, at most 64")
    site = str(said.get("site") or "Unknown")
    if not _SITE.fullmatch(site):
        raise WrongConfig(f"the site {site!r} is no site's name, such as LCG.CERN.ch")
    isolation = str(said.get("isolation", "auto"))
    if isolation not in ISOLATION:
        raise WrongConfig(f"isolation is {isolation!r}, which is none of {', '.join(ISOLATION)}")
    for key in ("processors", "cpu_time", "max_ram", "idle_limit", "max_jobs", "disk_limit_mb", "process_limit"):
        if said.get(key, 0) < 0:
            raise WrongConfig(f"{key} is {said[key]}, which is less than nothing")
    ca_file = str(said.get("ca", ""))
    if ca_file and not Path(ca_file).is_file():
        raise WrongConfig(f"{ca_file}: there is no such file with the authority to trust")
    secret, door = str(said.get("secret", "")), str(said.get("door", "")).rstrip("/")
    if secret and not door.startswith("https://"):
        raise WrongConfig("an enrolment secret is exchanged at a door: set --door or PILOTBUS_DOOR_URL to its https:// address")
    try:
        password = str(said.get("password", ""))
        who = login(said["url"], ca_file=ca_file, password=password, enrols=bool(secret)) if said.get("url") else None
    except ValueError as problem:
        raise WrongConfig(str(problem)) from problem
    name = _own_name(said, who, name)
    return Config(
        site=site,
        name=name,
        workdir=Path(str(said.get("workdir") or os.getcwd())).resolve(),
        login=who,
        ca_file=ca_file,
        door=door,
        secret=secret,
        ce=str(said.get("ce", "")),
        plan=str(said.get("plan") or "default"),
        vo=str(said.get("vo", "")),
        tags=tuple(said.get("tag", ())),
        required_tags=tuple(said.get("required_tag", ())),
        processors=int(said.get("processors", 0)),
        max_ram_mb=int(said.get("max_ram", 0)),
        cpu_time_s=int(said.get("cpu_time", 0)),
        idle_limit_s=int(said.get("idle_limit", 600)),
        max_jobs=int(said.get("max_jobs", 0)),
        connect_limit_s=int(said.get("connect_limit", 60)),
        wall_factor=float(said.get("wall_factor", 3.0)),
        sandbox_limit_mb=int(said.get("sandbox_limit_mb", 10)),
        unpacked_limit_mb=int(said.get("unpacked_limit_mb", 512)),
        isolation=isolation,
        disk_limit_mb=int(said.get("disk_limit_mb", 0)),
        process_limit=int(said.get("process_limit", 2048)),
        keep_token=bool(said.get("keep_token", False)),
        pool=bool(said.get("pool", False)),
        least=dict(said.get("least", {})),
    )


def _own_name(said: Mapping[str, Any], who: Login | None, name: str) -> str:
    """The pilot's id: whoever has a token is named by it."""
    own = pilot_of(who.user) if who is not None else None
    if own and said.get("name", own) != own:
        raise WrongConfig(f"the name {name!r} is not {own!r}, whose token this is")
    return own or name
