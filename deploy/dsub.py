"""What COMDIRAC's dsub means by its words: JDL, then the script's own `#JDL` lines, then the options, which win."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bus.errors import Invalid
from schemas.rules import jdl as language
from schemas.rules.attributes import DescriptionError, known

DEFAULT = 'OutputSandbox = {"std.out", "std.err"};'
LISTS = ("OutputSandbox", "InputSandbox", "OutputData", "InputData", "Site", "BannedSites", "Platform")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_LOOP = re.compile(rf"({_NUMBER}):({_NUMBER})(?::({_NUMBER})(?::({_NUMBER}))?)?")
_DIRECTIVE = re.compile(r"#JDL\s+(\w+(?:\.\w+)?)\s*=\s*(.*?);?\s*")


def describe(
    jdl: str, command: Sequence[str], given: Mapping[str, str], parametric: str, *, force_upload: bool, folder: Path
) -> dict[str, Any]:
    """The description. Raises Invalid for what is no JDL, and for a script that is not here.

    As in COMDIRAC, an executable without a leading / is a file here and goes with the job, and without any command the
    script is read from standard input; it is kept in the folder.
    """
    named = os.path.isfile(jdl)  # noqa: PTH113 - Path would raise for JDL that is too long for a name
    job = _parsed(Path(jdl).read_text(encoding="utf-8") if named else jdl or DEFAULT, "the JDL")
    script = str(command[0] if command else job.get("Executable", ""))
    uploads = not script.startswith("/") or force_upload
    if not script:
        script = str(folder / "stdin.sh")
        Path(script).write_text(sys.stdin.read(), encoding="utf-8")
        job.setdefault("JobName", "STDIN")
    job.update(_directives(script) if uploads or Path(script).is_file() else {})
    job["Executable"] = Path(script).name if uploads else script
    job.update({name: _entries(value) if name in LISTS else value for name, value in given.items()})
    if uploads:
        if not Path(script).is_file():
            raise Invalid(f"there is no file {script} to run; name one of the node with a leading /")
        listed = job.get("InputSandbox", [])
        job["InputSandbox"] = [*([listed] if isinstance(listed, str) else listed), script]
        job.setdefault("JobName", Path(script).name)
    if len(command) > 1:
        job["Arguments"] = shlex.join(command[1:])
    return job | _parameters(parametric)


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return {known(name): value for name, value in language.parse(text).items()}
    except DescriptionError as problem:
        raise Invalid(f"{where}: {problem}") from problem


def _directives(script: str) -> dict[str, Any]:
    try:
        lines = Path(script).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}  # a program, or not here
    found = [(number, match) for number, line in enumerate(lines, 1) if (match := _DIRECTIVE.fullmatch(line))]
    told: dict[str, Any] = {}
    for number, match in found:
        told.update(_parsed(f"{match[1]} = {match[2]};", f"{script}: line {number}"))
    return told


def _entries(text: str) -> list[str]:
    return [word.strip().strip('"') for word in text.strip("{}").split(",") if word.strip()]


def _parameters(parametric: str) -> dict[str, Any]:
    """COMDIRAC's --Parametric: values with commas, or a loop, whose end is left out."""
    if not parametric:
        return {}
    loop = _LOOP.fullmatch(parametric)
    if loop is None:
        if any(_LOOP.fullmatch(word) for word in parametric.split(",")):
            raise Invalid(f"--Parametric {parametric}: one loop, or values, and not both; submit twice")
        return {"Parameters": parametric.split(",")}
    start, stop, step, factor = (_number(text or "1") for text in loop.groups())
    return {
        "Parameters": _length(parametric, start, stop, step, factor),
        "ParameterStart": start,
        "ParameterStep": step,
        "ParameterFactor": factor,
    }


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _length(parametric: str, start: float, stop: float, step: float, factor: float) -> int:
    sign, value, count = (1 if start < stop else -1), start, 0
    while (value - stop) * sign < 0:
        following = value * factor + step
        if (following - value) * sign <= 0 or count >= 1_000_000:
            raise Invalid(f"--Parametric {parametric}: this does not lead from {start} to {stop}, or not in a million steps")
        value, count = following, count + 1
    if not count:
        raise Invalid(f"--Parametric {parametric}: there is nothing between {start} and {stop}")
    return count
