"""What a pilot is told: flags, then the environment, then a JSON file, the first that says it wins."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pilot import batch
from pilot.flags import ISOLATION, parser
from pilot.layers import BY, Told, merged, told
from pilot.wire.login import Login, each, login
from schemas.rules.identity import pilot_of

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
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
    proxy: str = field(default="", repr=False)
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
    last_words_limit_s: int = 1800
    wall_factor: float = 3.0
    sandbox_limit_mb: int = 10
    unpacked_limit_mb: int = 512
    keep_token: bool = False
    pool: bool = False
    isolation: str = "auto"
    config_file: str = ""
    container_image: str = ""
    container_binds: tuple[str, ...] = ("/cvmfs",)
    disk_limit_mb: int = 0
    output_limit_mb: int = 1024
    process_limit: int = 2048
    grace_s: int = 30
    line_spool_mb: int = 256
    least: Mapping[str, int] = field(default_factory=dict)
    ce_type: str = ""
    plans: tuple[Mapping[str, Any], ...] = ()
    cvmfs: tuple[str, ...] = ()
    benchmark_s: float = 0.3
    list_commands: bool = False
    told: Told = field(default_factory=Told, repr=False)


_FILE_ONLY = {
    "least": dict,
    "plans": list,
    "cvmfs": list,
    "benchmark_s": (int, float),
    **dict.fromkeys(BY, dict),
    "password": str,
    "secret": str,
    "connect_limit": int,
    "last_words_limit": int,
    "wall_factor": (int, float),
    "sandbox_limit_mb": int,
    "unpacked_limit_mb": int,
    "disk_limit_mb": int,
    "output_limit_mb": int,
    "process_limit": int,
    "grace_s": int,
    "container_binds": list,
    "line_spool_mb": int,
}
_KINDS: dict[str, Any] = {
    **dict.fromkeys(
        (
            "ca",
            "door",
            "proxy",
            "secret_file",
            "site",
            "ce",
            "plan",
            "workdir",
            "vo",
            "name",
            "isolation",
            "ce_type",
            "container_image",
        ),
        str,
    ),
    **dict.fromkeys(("processors", "cpu_time", "max_ram", "idle_limit", "max_jobs"), int),
    **dict.fromkeys(("tag", "required_tag"), list),
    "url": (str, list),
    **dict.fromkeys(("keep_token", "pool"), bool),
    **_FILE_ONLY,
}
# what an operator may settle for a site or a community: how its pilots work, never whom they trust
_SETTLED = ("plan", "plans", "least", "cvmfs", "idle_limit", "max_jobs", "pool", "benchmark_s", "wall_factor")
_TOLD = {key: _KINDS[key] for key in _SETTLED}


def configure(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """The configuration that these say together. Raises WrongConfig."""
    flags = {key: value for key, value in vars(parser().parse_args(arguments)).items() if value is not None}
    if any(_has_password(url) for urls in flags.get("url", ()) for url in each(urls)):
        raise WrongConfig(
            "a URL on the command line holds a password, which every user of this node can read; "
            "set PILOTBUS_PILOT_AMQP_URL or PILOTBUS_PILOT_PASSWORD instead"
        )
    if _has_password(flags.get("proxy", "")):
        raise WrongConfig("--proxy holds a password, which every user of this node can read; set https_proxy instead")
    config_file = flags.pop("config", "")
    layers, nearer = _file(config_file), {}
    for key, variable in (
        ("url", "PILOTBUS_PILOT_AMQP_URL"),
        ("password", "PILOTBUS_PILOT_PASSWORD"),
        ("door", "PILOTBUS_DOOR_URL"),
        ("secret", "PILOTBUS_PILOT_SECRET"),
        ("ca", "PILOTBUS_CA_FILE"),
    ):
        if environment.get(variable):
            nearer[key] = environment[variable]
    nearer.update(flags)
    nearer.setdefault("ce_type", layers.get("ce_type") or batch.name(environment))
    said = {**merged(layers, places=_places(nearer, layers)), **nearer}
    if said.get("secret_file"):
        said["secret"] = _secret(Path(said["secret_file"]))
    return replace(_config(said), config_file=config_file, told=told(layers, nearer))


def settled(config: Config, further: Mapping[str, Any], **placed: str) -> Config:
    """The configuration of a pilot that now knows its site, its computing element and its community. Raises WrongConfig."""
    _judge("what the services tell", further, _TOLD)
    known = {"site": placed["site"], "vo": placed["vo"], "ce_type": config.ce_type}
    fresh = _config(config.told.settings(further, _places(known, {})))
    kept = {name: getattr(config, name) for name in ("login", "door", "ca_file", "workdir", "config_file", "told", "ce_type")}
    return replace(fresh, **{**kept, **placed})


def _places(nearer: Mapping[str, Any], layers: Mapping[str, Any]) -> dict[str, str]:
    return {by: str(nearer.get(by[3:]) or layers.get(by[3:]) or "") for by in BY}


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
        said: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as problem:
        raise WrongConfig(f"{path}: {problem.strerror}") from problem
    except ValueError as problem:
        raise WrongConfig(f"{path}: is not JSON: {problem}") from problem
    _judge(path, said, _KINDS)
    for by in BY:
        for name, layer in said.get(by, {}).items():
            _judge(f"{path}: {by}.{name}", layer, {key: kind for key, kind in _KINDS.items() if key not in BY})
    return said


def _judge(place: str, said: Any, kinds: Mapping[str, Any]) -> None:
    if not isinstance(said, dict):
        raise WrongConfig(f"{place}: wants a JSON object")
    for key, value in said.items():
        if key not in kinds:
            raise WrongConfig(f"{place}: does not know {key!r}; it knows {', '.join(sorted(kinds))}")
        if not isinstance(value, kinds[key]) or isinstance(value, bool) != (kinds[key] is bool):
            raise WrongConfig(f"{place}: {key} is a {type(value).__name__}, which it can not be")


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
    image = str(said.get("container_image", ""))
    if image and not Path(image).is_absolute():
        raise WrongConfig(f"container_image is {image!r}, which is no absolute path")
    numbers = ("processors", "cpu_time", "max_ram", "idle_limit", "max_jobs")
    for key in (*numbers, "disk_limit_mb", "output_limit_mb", "process_limit", "grace_s", "line_spool_mb"):
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
        urls = said.get("url", "")
        text = urls if isinstance(urls, str) else ",".join(map(str, urls))
        who = login(text, ca_file=ca_file, password=password, enrols=bool(secret)) if text else None
    except ValueError as problem:
        raise WrongConfig(str(problem)) from problem
    name = _own_name(said, who, name)
    return Config(
        site=site,
        name=name,
        workdir=Path(str(said.get("workdir") or os.getcwd())).resolve(),
        login=who,
        ca_file=ca_file,
        proxy=str(said.get("proxy", "")),
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
        last_words_limit_s=int(said.get("last_words_limit", 1800)),
        wall_factor=float(said.get("wall_factor", 3.0)),
        sandbox_limit_mb=int(said.get("sandbox_limit_mb", 10)),
        unpacked_limit_mb=int(said.get("unpacked_limit_mb", 512)),
        isolation=isolation,
        disk_limit_mb=int(said.get("disk_limit_mb", 0)),
        process_limit=int(said.get("process_limit", 2048)),
        output_limit_mb=int(said.get("output_limit_mb", 1024)),
        grace_s=int(said.get("grace_s", 30)),
        container_image=image,
        container_binds=tuple(map(str, said.get("container_binds", ("/cvmfs",)))),
        line_spool_mb=int(said.get("line_spool_mb", 256)),
        keep_token=bool(said.get("keep_token", False)),
        pool=bool(said.get("pool", False)),
        least=dict(said.get("least", {})),
        ce_type=str(said.get("ce_type", "")),
        list_commands=bool(said.get("list_commands", False)),
        plans=tuple(said.get("plans", ())),
        cvmfs=tuple(map(str, said.get("cvmfs", ()))),
        benchmark_s=float(said.get("benchmark_s", 0.3)),
    )


def _own_name(said: Mapping[str, Any], who: Login | None, name: str) -> str:
    """The pilot's id: whoever has a token is named by it."""
    own = pilot_of(who.user) if who is not None else None
    if own and said.get("name", own) != own:
        raise WrongConfig(f"the name {name!r} is not {own!r}, whose token this is")
    return own or name
