"""What an executor may be asked to run, as a job description: a command, a description, or a Python function."""

from __future__ import annotations

import base64
import inspect
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus.errors import Invalid
from bus.pilotbus_call import RESULT

RUNNER = Path(__file__).with_name("pilotbus_call.py")

WRITTEN = ["std.out", "std.err"]
LARGEST_ARGUMENTS = 15_000  # a description has 32 KiB, and says them twice where they are a parameter

Work = str | Mapping[str, Any] | Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A description whose Arguments may still be filled, and how to write them."""

    description: dict[str, Any]
    returns_value: bool

    def with_arguments(self, arguments: str) -> dict[str, Any]:
        """The description with its arguments."""
        lead = self.description.get("Arguments", "")
        said = f"{lead} {arguments}".strip()
        return {**self.description, **({"Arguments": said} if said else {})}


def call_of(work: Work) -> Call:
    """What is run. Raises Invalid for what a worker node could not run.

    A function is run by python3 of the node, from a copy of the file that defines it; what that file imports has to be
    there. Arguments and value travel as JSON.
    """
    if isinstance(work, str):
        return Call({"Executable": work, "OutputSandbox": WRITTEN}, returns_value=False)
    if isinstance(work, Mapping):
        return Call(dict(work), returns_value=False)
    name = getattr(work, "__qualname__", "")
    try:
        file = inspect.getsourcefile(work)
    except TypeError:
        file = None
    if not name or "<" in name or file is None or not file.endswith(".py"):
        raise Invalid(f"{name or work!r} is no function of the top of a Python file, which alone can be run elsewhere")
    described = {
        "Executable": "python3",
        "Arguments": shlex.join([RUNNER.name, Path(file).name, name]),
        "InputSandbox": [str(RUNNER), str(Path(file).resolve())],
        "OutputSandbox": [*WRITTEN, RESULT],
        "JobName": name[:128],
    }
    return Call(described, returns_value=True)


def arguments_of(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """The arguments as one text for the description. Raises Invalid for what is no JSON."""
    if not call.returns_value:
        if kwargs:
            raise Invalid(f"a command has no argument by name, such as {next(iter(kwargs))}")
        return _short(shlex.join(map(str, args)))
    try:
        text = json.dumps({"args": args, "kwargs": dict(kwargs)}, allow_nan=False)
    except (TypeError, ValueError) as problem:
        raise Invalid(f"the arguments can not be sent as JSON: {problem}") from problem
    return _short(base64.b64encode(text.encode()).decode())


def _short(text: str) -> str:
    if len(text) > LARGEST_ARGUMENTS:
        raise Invalid(f"arguments of {len(text)} characters are more than {LARGEST_ARGUMENTS}; put what is large in a file")
    return text
