"""The files here that a job description names: packed, stored once by their content, and named by their digest."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bus.errors import Invalid
from bus.sandbox import Packed, pack
from schemas.rules.attributes import PLACEHOLDER
from schemas.rules.description import normalise
from schemas.rules.parametric import expand, is_parametric

STORED = ("SB:", "LF:", "LFN:")
MOST_JOBS = 1_000_000

Put = Callable[[Packed], None]


def local(entries: Sequence[str]) -> list[str]:
    """The entries of an InputSandbox that are files here."""
    return [entry for entry in entries if not entry.upper().startswith(STORED)]


def shared(description: Mapping[str, Any]) -> list[str]:
    """The files here that all jobs of a description find in their one input sandbox.

    Raises Invalid where a parameter names another: as in DIRAC, what differs from job to job has to be stored.
    """
    entries = normalise(dict(description), template=True).get("InputSandbox", [])
    filled = [entry for entry in entries if is_parametric(dict(description)) and PLACEHOLDER.search(entry)]
    found = [entry for entry in local(entries) if entry not in filled]
    for job in expand(dict(description), MOST_JOBS) if filled else ():
        other = next((entry for entry in local(job.get("InputSandbox", [])) if entry not in found), None)
        if other is not None:
            raise Invalid(
                f"a parameter names the local file {other} for the InputSandbox, which all jobs share;"
                " list the file itself, or name stored ones (LFN:…)"
            )
    return found


class Inputs:
    """Each different set of files is packed and put once, however many descriptions name it."""

    def __init__(self, put: Put, base: Path) -> None:
        """Of files below a folder, put by a call that stores an archive."""
        self._put, self._base = put, base
        self._known: dict[tuple[str, ...], str] = {}

    def stored(self, description: Mapping[str, Any], files: Sequence[str]) -> dict[str, Any]:
        """The description with these of its files in the store. Raises Invalid for one that is not there."""
        if not files:
            return dict(description)
        kept = [entry for entry in normalise(dict(description), template=True)["InputSandbox"] if entry not in files]
        others = {name: value for name, value in description.items() if name.lower() != "inputsandbox"}
        return others | {"InputSandbox": [f"SB:{self._digest(tuple(files))}", *kept]}

    def _digest(self, files: tuple[str, ...]) -> str:
        if files not in self._known:
            with tempfile.TemporaryDirectory() as folder:
                packed = pack([self._base / entry for entry in files], Path(folder) / "input.tar.gz")
                self._put(packed)
            self._known[files] = packed.digest
        return self._known[files]
