"""The documents are true: what there is is in them, what they name is there, and what a reader types first works."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from bus.discover import Handler
from bus.settings import Settings
from deploy import main
from deploy.verbs import common

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("schemas", "bus", "handlers", "pilot", "deploy", "tests")
DOCUMENTS = [ROOT / "README.md", *(ROOT / room / "README.md" for room in ROOMS), ROOT / "deploy" / "CHANGES.md"]
TABLE = re.compile(r"(<!-- handlers: [^\n]*-->\n)(.*?)(<!-- /handlers -->)", re.DOTALL)
BLOCK = re.compile(r"(?:^<!-- (?P<mark>\w+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
NOT_COPIED = shutil.ignore_patterns(".git", ".run", ".venv", "__pycache__", ".*_cache", ".hypothesis")
SERVERS = (Path("/usr/lib/rabbitmq/bin/rabbitmq-server"), Path("/usr/lib/postgresql"))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def everything() -> str:
    return "\n".join(map(text_of, DOCUMENTS))


def rows(text: str) -> dict[str, list[str]]:
    """The rows of all tables whose first cell is code, by that code."""
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in text.splitlines() if line.startswith("| `")]
    return {name: row for row in cells for name in re.findall(r"`([^`]+)`", row[0])}


def blocks(path: Path) -> Iterator[tuple[str, str, str]]:
    """Mark, language and text of each code block."""
    for found in BLOCK.finditer(text_of(path)):
        yield found["mark"] or "", found["language"], found["text"]


def table(found: dict[str, Handler]) -> str:
    """Every handler as handlers/README.md shows it."""
    lines = ["| handler | verb | what | hears | says |", "|---|---|---|---|---|"]
    for handler in sorted(found.values(), key=lambda handler: handler.name):
        heard = [f"`{name}`" for name in handler.consumes] + [f"wakes: `{name}`" for name in handler.wakes]
        said = [f"`{name}`" for name in handler.emits]
        lines.append(f"| `{handler.name}` | {handler.verb} | {handler.summary} | {', '.join(heard)} | {', '.join(said)} |")
    return "\n".join(lines).replace("|  |", "| |") + "\n"


def test_every_verb_is_explained() -> None:
    known = everything()
    assert [verb for verb in main.VERBS if not re.search(rf"`pilotbus {verb.replace('_', '-')}\b", known)] == []


def test_every_exit_code_is_explained() -> None:
    codes = {value for name, value in vars(common).items() if name.isupper() and type(value) is int and value < 10}
    assert {int(code) for code in rows(text_of(ROOT / "README.md")) if code.isdecimal()} == codes | {0, 130}


def test_every_setting_is_explained_with_its_default() -> None:
    explained = rows(text_of(ROOT / "bus" / "README.md"))
    for setting in fields(Settings):
        row = explained.get(f"PILOTBUS_{setting.name.upper()}")
        assert row is not None, setting.name
        assert row[1].strip("`") == setting.default, setting.name


def test_every_variable_that_the_code_reads_is_explained() -> None:
    sources = "\n".join(text_of(path) for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    read = set(re.findall(r'(?<!startswith\()"(PILOTBUS_[A-Z0-9_]*[A-Z0-9])"', sources))
    assert sorted(name for name in read if f"`{name}`" not in everything()) == []


def test_the_table_of_handlers_is_current(found: dict[str, Handler]) -> None:
    shown = TABLE.search(text_of(ROOT / "handlers" / "README.md"))
    assert shown is not None
    wanted = table(found)
    assert shown[2] == wanted, f"put this between the markers of handlers/README.md:\n{wanted}"


def test_every_failpoint_and_every_library_is_explained() -> None:
    from tomllib import loads

    from bus.failpoints import NAMES

    project = loads(text_of(ROOT / "pyproject.toml"))["project"]
    wanted = {*NAMES, *project["dependencies"], *project["optional-dependencies"]["s3"]}
    assert sorted(name for name in wanted if f"`{name}`" not in everything()) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text_of(path)):
        other = (path.parent / target).resolve() if target else path
        assert other.exists(), target
        headings = [re.sub(r"[^\w -]", "", line.strip("# ").lower()).replace(" ", "-") for line in titles(other)]
        assert not anchor or anchor in headings, f"{target}#{anchor}"


def titles(path: Path) -> list[str]:
    return [line for line in text_of(path).splitlines() if line.startswith("#")] if path.suffix == ".md" else []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_that_is_named_is_there(path: Path) -> None:
    for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text_of(path)):
        assert (ROOT / file).is_file(), file
        assert not name or f"def {name}(" in text_of(ROOT / file), f"{file}::{name}"


def test_every_file_to_copy_is_there() -> None:
    named = re.search(r"\| I want to … \|.*?\n\n", text_of(ROOT / "README.md"), re.DOTALL)
    assert named is not None
    paths = re.findall(r"`([\w.]+/[\w./]+)(?:::\w+)?`", named[0])
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_code_block_is_well_formed(path: Path) -> None:
    for _, language, text in blocks(path):
        if language == "python":
            ast.parse(text)
        elif language == "json":
            json.loads(text)
        elif language == "yaml":
            yaml.safe_load(text)
        elif language == "sh":
            assert subprocess.run(["sh", "-n"], input=text.encode(), check=False).returncode == 0, text


def test_no_document_names_a_machine() -> None:
    assert re.findall(r"(?<![\w.])/(?:root|home|work|tmp)/\S*", everything()) == []


@pytest.fixture
def clone() -> Iterator[Path]:
    """A copy of this working tree, installed as `make setup` would; nothing of it runs or is left after the test."""
    if not all(path.exists() for path in SERVERS):
        pytest.skip("RabbitMQ and PostgreSQL are not installed on this machine")
    place = Path(tempfile.mkdtemp(prefix="pilotbus-docs-"))  # not tmp_path: PostgreSQL's account has to pass through
    place.chmod(0o711)
    made = place / "clone"
    try:
        shutil.copytree(ROOT, made, ignore=NOT_COPIED)
        install(made)
        try:
            yield made
        finally:
            subprocess.run([".venv/bin/python", "-m", "deploy.stack", "clean"], cwd=made, env=plain(made), check=True)
    finally:
        shutil.rmtree(place)


def install(made: Path) -> None:
    """A .venv that is this one, for the copy: its Python finds the copy first, and its stamp tells `make setup` so."""
    programs = made / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, words in {
        "python": "",
        "pilotbus": "-m deploy.main",
        "publish-event": "-m deploy.main publish-event",
    }.items():
        (programs / name).write_text(f'#!/bin/sh\nPYTHONPATH="{made}" exec "{sys.executable}" {words} "$@"\n')
        (programs / name).chmod(0o755)
    locked = (made / "requirements.lock").read_bytes() + (made / "pyproject.toml").read_bytes()
    (made / ".venv" / "stamp").write_text(hashlib.sha256(locked + f"{made}\n".encode()).hexdigest() + "\n")


def plain(made: Path) -> dict[str, str]:
    """An environment that knows of no other stack."""
    told = {name: value for name, value in os.environ.items() if not name.startswith(("PILOTBUS_", "MAKE", "PYTHON"))}
    return told | {"PWD": str(made), "PILOTBUS_STACK_FSYNC": "off"}


def runs(path: Path, clone: Path) -> list[str]:
    """The marked blocks as a shell runs them; Python is a file of its own, as functions of it want."""
    told = []
    for number, (mark, language, text) in enumerate(blocks(path)):
        if mark == "run" and language == "python":
            file = clone / f"{path.parent.name}_{number}.py"
            file.write_text(text)
            told.append(f"python {file.name}\n")
        elif mark == "run":
            told.append(text)
    return told


@pytest.mark.timeout(400)
def test_the_five_minutes_run_as_written(clone: Path) -> None:
    *first, last = runs(ROOT / "README.md", clone)
    assert "pilotbus up" in "".join(first).splitlines()
    assert "pilotbus down" in last.splitlines()
    program = runs(ROOT / "bus" / "README.md", clone)
    assert len(program) >= 3
    script = "".join([*first, *program, last])

    log = clone.parent / "log"
    with log.open("w") as told:  # a file, not a pipe: the stack must not keep the test waiting for its end
        done = subprocess.run(
            ["sh", "-eux"], input=script.encode(), cwd=clone, env=plain(clone), stdout=told, stderr=told, check=False, timeout=350
        )

    shown = log.read_text()
    assert done.returncode == 0, shown
    assert re.search(r"^\d+ +killed", shown, re.MULTILINE), shown
    assert '"type":"job.' in shown, shown
    assert (clone / ".run" / "outputs" / "1" / "std.out").read_text().startswith("hello from ")
