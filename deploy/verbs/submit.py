"""Submit the job or the parameter sweep that FILE describes (JDL, YAML or JSON; - reads JDL from standard input).

Prints the job ids: the same --key always gets the same ids, whatever was lost on the way.
"""

from __future__ import annotations

import sys
import tempfile
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from bus.client import Client
from bus.errors import Invalid
from bus.sandbox import pack, upload
from deploy.verbs.common import Json, client, client_settings, print_json, talk
from schemas.rules.attributes import DescriptionError
from schemas.rules.description import load, normalise
from schemas.rules.jdl import JdlError


def run(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A job description; - is standard input.")],
    key: Annotated[str, typer.Option(help="The submission's own uuid; made up when not given.")] = "",
    owner_group: Annotated[str, typer.Option(help="In which of your groups; the default one when not given.")] = "",
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Submit what FILE describes."""
    description = describe(file)
    base = Path.cwd() if file == "-" else Path(file).resolve().parent
    with client("submit") as bus:
        description = with_sandbox(bus, description, base)
        asked = {"submission": _key(key), "description": description} | ({"owner_group": owner_group} if owner_group else {})
        found = bus.ask("job.submit.v1", asked, within_s=60)
    first, count = found["first_job_id"], found["count"]
    if json:
        print_json({"submission": asked["submission"], "first_job_id": first, "count": count})
    else:
        talk.print(f"submitted {count} job{'s' * (count > 1)} under key {asked['submission']}")
        sys.stdout.write(f"{first}-{first + count - 1}\n" if count > 1 else f"{first}\n")


def _key(text: str) -> str:
    try:
        return str(uuid.UUID(text)) if text else str(uuid.uuid4())
    except ValueError as problem:
        raise Invalid(f"--key {text} is no uuid") from problem


def describe(file: str) -> dict[str, Any]:
    """The description in a file. Raises Invalid with file, line and column, or the attribute, that is wrong."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise Invalid(f"{file}: is not text in UTF-8 (byte {problem.start})") from problem
    try:
        if file.endswith((".yaml", ".yml")):
            raw = yaml.safe_load(text)
            if not isinstance(raw, dict):
                raise Invalid(f"{file}: is not a mapping of attributes")
        else:
            raw = load(text, kind="json" if file.endswith(".json") else "jdl")
        normalise(raw)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise Invalid(f"{file}: {where}{problem.problem}") from problem
    except (JdlError, DescriptionError, yaml.YAMLError, RecursionError) as problem:
        raise Invalid(f"{file}: {problem}") from problem
    return dict(raw)


def with_sandbox(bus: Client, raw: dict[str, Any], base: Path) -> dict[str, Any]:
    """The description with its local input files in the sandbox store, named by digest."""
    entries = normalise(raw).get("InputSandbox", [])
    local = [entry for entry in entries if not str(entry).startswith(("SB:", "LF:", "LFN:"))]
    if not local:
        return raw
    with tempfile.TemporaryDirectory() as folder:
        packed = pack([base / entry for entry in local], Path(folder) / "input.tar.gz")
        about = {"digest": packed.digest, "size_bytes": packed.size_bytes}
        grant = bus.ask("sandbox.grant.v1", {"operation": "put", **about})
        upload(grant["url"], grant["headers"], packed.path, ca_file=client_settings().ca_file)
    kept = [entry for entry in entries if entry not in local]
    named = {name: value for name, value in raw.items() if name.lower() != "inputsandbox"}
    return named | {"InputSandbox": [f"SB:{packed.digest}", *kept]}
