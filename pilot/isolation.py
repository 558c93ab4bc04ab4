"""What keeps a payload apart from its pilot: the strongest that this node gives, tried for real once per pilot."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pilot import container
from pilot.config import Config
from pilot.keeper import Order, start

_TRY_S = 30
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - both are the job's own
_DEVICES = ("dri", "fuse", "infiniband", "kfd", "nvidia*")
_KEYS = ("~/.ssh", "~/.globus", "~/.gnupg", "~/.condor")
_NAME_KEYS = ("X509_USER_PROXY", "X509_USER_KEY", "BEARER_TOKEN_FILE", "KRB5CCNAME")
_SOCKETS = "/run/user"  # by the user's own service manager there, a process could be started outside


class NotGiven(Exception):
    """The node does not give the isolation that is wanted; one sentence says why."""


@dataclass(frozen=True)
class Isolation:
    """How a payload of this pilot is run."""

    level: str = "none"
    wrapper: str = ""
    user: tuple[int, int] | None = None
    hidden: tuple[str, ...] = ()
    image: str = ""
    binds: tuple[str, ...] = ()

    @property
    def details(self) -> dict[str, Any]:
        """What is said of it."""
        user = {"user": pwd.getpwuid(self.user[0]).pw_name} if self.user else {}
        return {"isolation": self.level, **user, **({"image": self.image} if self.image else {})}

    @property
    def shows_node(self) -> bool:
        """Whether a payload finds the node's programs where the pilot does."""
        return self.level != "apptainer"

    def reachable(self, path: str) -> str:
        """What of this search path the payload's user can get to."""
        if not self.shows_node:
            return container.PATH
        return path if self.user is None else ":".join(filter(_open_to_all, path.split(":")))

    def order(self, command: Sequence[str], home: Path, environment: Mapping[str, str]) -> Order:
        """How to run this in home/work, with home/tmp and what else is in home, which a keeper understands."""
        user = list(self.user or ())
        if self.level == "apptainer":
            container.furnish(home, environment)
        if self.user is not None:
            _give(home, self.user)
        plain = Order(list(command), str(home / "work"), dict(environment), user=user)
        if self.level == "none":
            return plain
        if self.level == "userns":
            return replace(plain, room=self._room(home), wrapped=True)
        if self.level == "apptainer":
            words = container.words(self.wrapper, self.image, self.binds, home, command)
            return replace(plain, command=words, environment=container.own_environment(home), wrapped=True)
        # the environment is an option: in bubblewrap's own, a job's LD_PRELOAD would act outside
        options = [*self._options(home), *(word for pair in environment.items() for word in ("--setenv", *pair))]
        return replace(plain, command=[self.wrapper, *command], directory="/", environment={}, options=options, wrapped=True)

    def _options(self, home: Path) -> list[str]:
        work, temporary = str(home / "work"), str(home / "tmp")
        options = ["--unshare-all", "--share-net", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
        options += ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/dev/shm"]  # noqa: S108
        for device in (path for name in _DEVICES for path in glob.glob(f"/dev/{name}")):
            options += ["--dev-bind-try", device, device]
        options += ["--remount-ro", "/dev"]
        for place in _places():
            options += ["--bind", temporary, place]
        emptied = [path for path in self.hidden if os.path.isdir(path)]
        for path in self.hidden:
            options += ["--tmpfs", path] if path in emptied else ["--ro-bind", os.devnull, path]
        options += ["--ro-bind", str(home), str(home), "--bind", work, work, "--bind", temporary, temporary]
        for path in emptied:
            options += ["--remount-ro", path]
        return [*options, "--chdir", work]

    def _room(self, home: Path) -> dict[str, list[list[str]] | list[str]]:
        own = [[str(home / name), str(home / name)] for name in ("work", "tmp")]
        over = [*([str(home / "tmp"), place] for place in _places()), *own]
        return {"over": over, "shown": [[str(home), str(home)]], "hidden": list(self.hidden)}


def detect(config: Config, home: Path) -> Isolation:
    """The strongest isolation that is wanted and that works here. Raises NotGiven."""
    reason = _shortage(config)
    if os.getuid() == 0 and home != config.workdir:
        home.chmod(0o711)  # whom the superuser becomes has to get to its folders
    for isolation in _candidates(config, home):
        reason = "" if isolation.level == "none" else _try(isolation, home)
        if not reason:
            return isolation
    raise NotGiven(f"isolation {config.isolation} is wanted, and this node does not give it: {reason}")


def _shortage(config: Config) -> str:
    """Why there may be no candidate at all."""
    if config.isolation != "apptainer":
        return "the superuser has nobody to become"
    if not config.container_image:
        return "it wants an image: --container-image"
    return "there is no apptainer on this node"


def _candidates(config: Config, home: Path) -> list[Isolation]:
    hidden = _hidden(config, home)
    wrapper = shutil.which("bwrap", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin") or "/usr/bin/bwrap"
    users = _users()
    runner = container.program()
    made = [Isolation("apptainer", runner, user, (), config.container_image, config.container_binds) for user in users]
    made = made if runner and config.container_image else []
    made += [Isolation("bubblewrap", wrapper, user, hidden) for user in users]
    # the superuser keeps its rights in namespaces that it makes itself
    made += [Isolation("userns", "", user, hidden) for user in users if user is not None or os.getuid() != 0]
    made += [Isolation("none")]
    return [each for each in made if config.isolation in ("auto", each.level)]


def _users() -> list[tuple[int, int] | None]:
    """Whom a payload may be run as, the weakest first; None is the pilot's own user."""
    if os.getuid() != 0:
        return [None]
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return [None]
    return [(nobody.pw_uid, nobody.pw_gid), None]


def _hidden(config: Config, home: Path) -> tuple[str, ...]:
    """What no payload is to see: what pilots keep here, and the keys of their user."""
    pilots = home if config.workdir == Path("/") else config.workdir
    named = [os.environ.get(name, "").rpartition(":")[2] for name in _NAME_KEYS]
    keys = [os.path.expanduser(path) for path in _KEYS]
    paths = [os.path.realpath(path) for path in (_SOCKETS, *keys, *named, config.config_file) if path and os.path.exists(path)]
    # what is under the temporary folders is hidden by the job's own being there
    gone = tuple(f"{place}/" for place in _places())
    return (*(path for path in dict.fromkeys(paths) if not path.startswith((*gone, f"{pilots}/"))), str(pilots))


def _places() -> list[str]:
    return list(dict.fromkeys(os.path.realpath(place) for place in _TEMPORARY))


def _open_to_all(folder: str) -> bool:
    place = Path(folder).resolve()
    try:
        return all(each.stat().st_mode & 0o001 for each in (place, *place.parents))
    except OSError:
        return False


def _give(home: Path, user: tuple[int, int]) -> None:
    """The job's home and all in it is this user's."""
    for folder, _, files in os.walk(home):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            os.chown(path, *user, follow_symlinks=False)


def _try(isolation: Isolation, home: Path) -> str:
    """Why it does not work; nothing when a command did run, could write its folder and saw nothing that is hidden."""
    place = Path(tempfile.mkdtemp(prefix="trial-", dir=home))
    witness = place / "witness"
    try:
        place.chmod(0o711)
        witness.touch()
        for name in ("work", "tmp"):
            (place / "job" / name).mkdir(parents=True)
        script = 'test ! -e "$1" && echo > written && ! echo 2>/dev/null > ../written'
        order = isolation.order(["/bin/sh", "-c", script, "sh", str(witness)], place / "job", {"PATH": "/usr/bin:/bin"})
        keeper = start(order)
        line, keeper.stdin = keeper.stdin, None  # communicate would close it, and end the trial
        try:
            said = keeper.communicate(timeout=_TRY_S)[1].decode("utf-8", "replace").strip().rpartition("\n")[2]
        except subprocess.TimeoutExpired:
            said = f"it takes longer than {_TRY_S} s"
        finally:
            if line is not None:
                line.close()
            keeper.communicate()
            keeper.cpu_seconds()
        return "" if keeper.returncode == 0 else said or "it does not keep a command in its folder"
    except OSError as problem:
        return str(problem)
    finally:
        shutil.rmtree(place, ignore_errors=True)
