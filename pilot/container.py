"""A payload in an image, by apptainer or the older singularity: of the node it sees the kernel, the network and its folders."""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAMES = ("apptainer", "singularity")
_ON_CVMFS = "/cvmfs/oasis.opensciencegrid.org/mis/apptainer/bin"
_DEVICES = ("dri", "fuse", "infiniband", "kfd")
_SCRIPT, _EMPTY = "environment.sh", "empty"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_START = (
    'command -v "$1" >/dev/null || { echo "pilotbus: can not be started: it is not in the image" >&2; exit 127; }\nexec "$@"\n'
)


def program() -> str:
    """The program that runs images: on the search path, in the usual places, or on CVMFS; empty if there is none."""
    places = f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin:{_ON_CVMFS}"
    return next((found for name in _NAMES if (found := shutil.which(name, path=places))), "")


def furnish(home: Path, environment: Mapping[str, str]) -> None:
    """The job's home holds what starts a payload with this environment, which so stands in nobody's arguments."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items() if _VARIABLE.fullmatch(name)]
    (home / _EMPTY).mkdir(exist_ok=True)
    script = home / _SCRIPT
    script.touch(mode=0o600)
    script.write_text("\n".join([*lines, _START]), encoding="utf-8")


def words(called: str, image: str, binds: Sequence[str], home: Path, command: Sequence[str]) -> list[str]:
    """The command line that runs this in the image, with home/work and home/tmp to write and the rest of home to read."""
    work, temporary = str(home / "work"), str(home / "tmp")
    places = [f"{home}:{home}:ro", work, temporary, f"{temporary}:/tmp", f"{temporary}:/var/tmp"]
    places += [f"{path}:{path}:ro" for path in binds if os.path.exists(path)]
    # /sys would be the node's, and its control groups may be the pilot's own
    places += [f"{home / _EMPTY}:/sys/fs/cgroup:ro"]
    places += [device for name in _DEVICES for device in glob.glob(f"/dev/{name}")]
    options = [
        "--userns",
        "--no-privs",
        "--containall",
        "--cleanenv",
        "--no-home",
        "--no-eval",
        "--no-mount",
        "bind-paths,cwd,hostfs",
    ]
    options += ["--nv"] if os.path.exists("/dev/nvidiactl") else []
    options += [word for place in places for word in ("--bind", place)]
    return [called, "--quiet", "--nocolor", "exec", *options, "--pwd", work, image, "/bin/sh", str(home / _SCRIPT), *command]


def own_environment(home: Path) -> dict[str, str]:
    """What apptainer itself is told: nothing of the job's, and to keep no file in anybody's home."""
    folders = ("APPTAINER_TMPDIR", "APPTAINER_CACHEDIR", "APPTAINER_CONFIGDIR")
    return {"PATH": PATH, **dict.fromkeys(folders, str(home / "tmp"))}
