"""Build the pilot: one file that runs wherever Python 3.9 is, and is the same bytes each time."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterable, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from pilot.plan import PACKED, PLANS, changed

ROOT = Path(__file__).resolve().parents[1]
_SHEBANG = b"#!/usr/bin/env python3\n"
_MAIN = b"import sys\n\nfrom pilot.__main__ import main\n\nsys.exit(main())\n"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest moment that a zip can name


def build(target: Path, extensions: Sequence[Path] = ()) -> str:
    """The pilot is at target, with the commands of these extension folders; its SHA-256. Raises LookupError."""
    files = {"__main__.py": _MAIN, **_python(ROOT, "pilot"), **_vendored("pika")}
    for extension in extensions:
        _add(files, _python(extension, "pilot/commands"), extension)
    files[f"pilot/{PACKED}"] = json.dumps(_plans(extensions, set(files)), sort_keys=True).encode()
    said = _said(files)
    files.update((f"schemas/{path.name}", path.read_bytes()) for path in sorted((ROOT / "schemas").glob("*.py")))
    files.update((f"schemas/rules/{name}.py", (ROOT / f"schemas/rules/{name}.py").read_bytes()) for name in _rules(files))
    for house in (ROOT, *extensions):
        _add(files, _schemas(house / "schemas", said), house)
    _complete(files, said)
    raw = _SHEBANG + _zipped(files)
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    fresh.write_bytes(raw)
    fresh.chmod(0o755)
    fresh.replace(target)  # never half a file, and pilots that run from the old one keep it
    return hashlib.sha256(raw).hexdigest()


def _python(house: Path, folder: str) -> dict[str, bytes]:
    return {str(path.relative_to(house)): path.read_bytes() for path in sorted((house / folder).rglob("*.py"))}


def _add(files: dict[str, bytes], more: dict[str, bytes], house: Path) -> None:
    """An extension adds and never replaces."""
    for name, content in more.items():
        if name in files and not name.endswith("__init__.py"):
            raise LookupError(f"{house}: {name} is already taken")
        files.setdefault(name, content)


def _plans(extensions: Sequence[Path], files: set[str]) -> list[dict[str, Any]]:
    """The plans that the extensions bring, each new and of commands that the zip has."""
    known, found = dict(PLANS), []
    for path in (extension / "pilot" / PACKED for extension in extensions):
        brought = _json(path) if path.exists() else []
        for change in brought:
            if change.get("plan") in known:
                raise LookupError(f"{path}: plan {change['plan']} is already taken")
            try:
                known = changed(known, [change])
            except LookupError as problem:
                raise LookupError(f"{path}: {problem}") from problem
            names = [item.rstrip("?") for item in known[change["plan"]]]
            if missing := [name for name in names if f"pilot/commands/{name}.py" not in files]:
                raise LookupError(f"{path}: plan {change['plan']} names {missing[0]}, and there is no such command")
        found += brought
    return found


def _json(path: Path) -> list[dict[str, Any]]:
    try:
        brought = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise LookupError(f"{path}: is not JSON: {problem}") from problem
    if not isinstance(brought, list) or not all(isinstance(change, dict) for change in brought):
        raise LookupError(f"{path}: wants a list of plans, each an object")
    return brought


def _vendored(name: str) -> dict[str, bytes]:
    """The package as it is installed here, and its licence."""
    installed = distribution(name)
    found = {}
    for entry in installed.files or ():
        inside = entry.parts[0] == name and entry.suffix == ".py"
        if inside or entry.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")):
            found[entry.as_posix()] = Path(str(installed.locate_file(entry))).read_bytes()
    if not any(entry.endswith(f"{name}/__init__.py") for entry in found):
        raise LookupError(f"{name} is not installed as plain files; the pilot can not carry it")
    return found


def _said(files: dict[str, bytes]) -> set[str]:
    """Every schema that the pilot's modules say they need: their SAYS, their ASKS, and the replies to those."""
    said: set[str] = set()
    for name, content in files.items():
        if name.startswith("pilot/"):
            constants = _constants(ast.parse(content, name))
            said.update(constants.get("SAYS", ()))
            said.update(ask + end for ask in constants.get("ASKS", ()) for end in ("", ".reply"))
    return said


def _rules(files: dict[str, bytes]) -> list[str]:
    """The rules that the pilot thinks with; the others stay at home."""
    named = {rule.decode() for content in files.values() for rule in re.findall(rb"schemas\.rules\.(\w+)", content)}
    return sorted(named | {"__init__"})


def _constants(module: ast.Module) -> dict[str, Iterable[str]]:
    assignments = [node for node in module.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
    named = {node.targets[0].id: node.value for node in assignments if isinstance(node.targets[0], ast.Name)}
    return {name: ast.literal_eval(named[name]) for name in ("SAYS", "ASKS") if name in named}


def _schemas(folder: Path, said: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    shared = sorted(folder.glob("*/_*.json"))  # what schemas refer to
    found.update((f"schemas/{path.relative_to(folder).as_posix()}", path.read_bytes()) for path in shared)
    for path in sorted(folder.glob("*/*/*.json")):
        if json.loads(path.read_text(encoding="utf-8")).get("$id") in said:
            found[f"schemas/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return found


def _complete(files: dict[str, bytes], said: set[str]) -> None:
    carried = {
        json.loads(content).get("$id")
        for name, content in files.items()
        if name.startswith("schemas/") and name.endswith(".json")
    }
    if missing := said - carried:
        raise LookupError(f"no schema for {', '.join(sorted(missing))}")


def _zipped(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bundle:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.create_system = 3  # Unix, wherever it is built
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            bundle.writestr(entry, files[name])
    return archive.getvalue()


def main(arguments: Sequence[str]) -> int:
    """`python -m deploy.pilot_zip TARGET [EXTENSION…]`: build it, and print its size and digest."""
    if not arguments or arguments[0].startswith("-"):
        print("usage: python -m deploy.pilot_zip TARGET [EXTENSION ...]", file=sys.stderr)  # noqa: T201
        return 2
    target = Path(arguments[0])
    try:
        digest = build(target, [Path(folder) for folder in arguments[1:]])
    except (LookupError, OSError) as problem:
        print(f"pilot_zip: {problem}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"{target} {target.stat().st_size} bytes sha256:{digest}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
