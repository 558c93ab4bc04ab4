"""A pilot for payloads to attack: its zip, run by a user whom nobody else on this machine is."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pilot.conftest import pilot_zip, services, store
from tests.pilot.counterpart import Services, Store
from tests.pilot.image import BINDS, make_image
from tests.pilot.jobs import Jobs, tar
from tests.pilot.test_life import last, text_of

__all__ = ["pilot_zip", "services", "store", "victim"]

PYTHON = "/usr/bin/python3"
LEVELS = ("apptainer", "bubblewrap", "userns", "none")
APART = ("apptainer", "bubblewrap", "userns")


class Victim:
    """A pilot of an unprivileged user that nobody else on this machine is, and what its payloads say."""

    def __init__(self, vhost: Any, zipped: Path, services: Services, store: Store, folder: Path) -> None:
        self.jobs, self.services, self.store = Jobs(services, store), services, store
        self.user = random.randrange(61_000, 65_000) if os.getuid() == 0 else os.getuid()
        self._named = _idle_account() if os.getuid() == 0 else self.user
        self.folder, self.workdir = folder, folder / "pilots"
        self.secret = vhost.pilot_url.split(":")[2].split("@")[0]
        self._url = vhost.pilot_url
        self._pilots: list[subprocess.Popen[str]] = []
        self._zip, self._ca = folder / "pilot.pyz", folder / "ca.pem"
        shutil.copy(zipped, self._zip)
        shutil.copy(vhost.ca_file, self._ca)
        self.workdir.mkdir()
        self._images = Path(tempfile.mkdtemp(prefix="pilotbus-image-"))
        self._images.chmod(0o755)
        self._become(self.user)

    def _become(self, user: int) -> None:
        self.user = user
        for path in (self.folder, self.workdir, self._zip, self._ca):
            path.chmod(0o755)
            os.chown(path, user, -1)

    def start(self, level: str, *flags: str, **told: Any) -> subprocess.Popen[str]:
        """A pilot that isolates its payloads so, or the test is skipped where the machine can not; told is its file."""
        if level == "apptainer":
            told.setdefault("container_binds", BINDS)
            flags = (*flags, "--container-image", str(make_image(self._images)))
            self._become(self._named)  # it wants to know its user's name
        config = self.folder / "pilot.json"
        config.write_text(json.dumps(told))
        config.chmod(0o600)
        os.chown(config, self.user, -1)
        rights = ["setpriv", "--reuid", str(self.user), "--regid", str(self.user), "--clear-groups"] if os.getuid() == 0 else []
        python = PYTHON if Path(PYTHON).exists() else sys.executable
        words = ["--isolation", level, "--config", str(config), "--site", "LCG.Test.org", "--workdir", str(self.workdir)]
        environment = {"PATH": "/usr/bin:/bin", "PILOTBUS_PILOT_AMQP_URL": self._url, "PILOTBUS_CA_FILE": str(self._ca)}
        command = [*rights, python, "-B", str(self._zip), *words, *flags]
        pilot = subprocess.Popen(command, env=environment, cwd=self.folder, stderr=subprocess.DEVNULL, text=True)
        self._pilots.append(pilot)

        def told_of() -> Any:
            phases = ("described", "leaving")
            return [data for data in self.services.of("pilot.reported.v1") if data["phase"] in phases] or pilot.poll()

        if self.services.until(told_of)[0]["phase"] == "leaving":
            pytest.skip(f"{self.services.of('pilot.reported.v1')[-1]['details']['reason']}")
        return pilot

    def attempt(self, program: str, *arguments: Any, **description: Any) -> list[str]:
        """What a payload of this program printed, its error output at the end; whether it was Done is in `report`."""
        given = self.store.keep(tar(attempt_py=program))
        words = " ".join(map(str, ("attempt.py", *arguments)))
        job = self.jobs.add(PYTHON, words, input=given, **description)
        self.report = last(self.services, job)
        return text_of(self.services, job, "std.out") + text_of(self.services, job, "std.err")

    def close(self) -> None:
        """No pilot lives."""
        for pilot in self._pilots:
            pilot.kill()
            pilot.wait()
        shutil.rmtree(self._images, ignore_errors=True)


def _idle_account() -> int:
    """An account of the system for which nothing runs."""
    busy = set()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            busy.add(path.stat().st_uid)
    return next(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid and entry.pw_uid not in busy)


@pytest.fixture
def victim(vhost: Any, pilot_zip: Path, services: Services, store: Store) -> Iterator[Victim]:
    """A pilot to attack; in a folder of its own, because pytest's are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="pilotbus-attack-"))
    made = Victim(vhost, pilot_zip, services, store, folder)
    yield made
    made.close()
    shutil.rmtree(folder)
