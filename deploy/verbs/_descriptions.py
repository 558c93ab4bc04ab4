"""What files say of jobs: one description, or many jobs of one, of JSON lines or of a table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import yaml

from bus.errors import Invalid
from bus.inputs import MOST_JOBS, local, shared
from schemas.rules.attributes import DescriptionError
from schemas.rules.description import load, normalise
from schemas.rules.parametric import count, expand
from schemas.rules.rows import from_json_lines, from_table

JSON_LINES = "jsonl"
FORMS = ("jdl", "json", "yaml", JSON_LINES)
_ENDS = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".jsonl": JSON_LINES, ".ndjson": JSON_LINES}

Job = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Jobs:
    """Jobs, each made when it is asked for, and how many where that is known beforehand."""

    jobs: Iterator[Job]
    count: int | None = None


def form_of(file: str, said: str = "") -> str:
    """What stands in a file: what is said, else what its name says, and JDL where nothing does. Raises Invalid."""
    if said and said not in FORMS:
        raise Invalid(f"{said} is no format; there are {', '.join(FORMS)}")
    return said or _ENDS.get(Path(file).suffix, "jdl")


def describe(file: str, form: str = "", *, template: bool = False) -> Job:
    """The description in a file. Raises Invalid with file, line and column, or the attribute, that is wrong."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise Invalid(f"{file}: is not text in UTF-8 (byte {problem.start})") from problem
    with _named(file):
        if (form := form_of(file, form)) != "yaml":
            return load(text, form, template=template)
        raw = _yaml(file, text)
        normalise(raw, template=template)
        return raw


def jobs_in(file: str, table: str = "", form: str = "") -> Jobs:
    """The jobs of a file, or of a template in a file and a table of rows; local input files are there.

    Raises Invalid, at once or while jobs are asked for, with file and line of what is wrong.
    """
    base = folder_of(file)
    if form_of(file, form) == JSON_LINES:
        return Jobs(_present(_read(file, lambda text: from_json_lines(text, MOST_JOBS)), base))
    if table:
        template = describe(file, form, template=True)
        return Jobs(_present(_read(table, lambda text: from_table(template, text), template=file), base))
    description = normalise(describe(file, form))
    shared_files(file, description)
    with _named(file):
        return Jobs(_present(_each(file, expand(description, MOST_JOBS)), base), count(description))


def folder_of(file: str) -> Path:
    """Where the files are that a description names."""
    return Path.cwd() if file == "-" else Path(file).resolve().parent


def shared_files(file: str, description: Job) -> list[str]:
    """The files here that all jobs of a description find in their one input sandbox.

    Raises Invalid where a parameter names another: as in DIRAC, what differs from job to job has to be stored.
    """
    try:
        with _named(file):
            return shared(description)
    except Invalid as problem:
        raise Invalid(str(problem) if str(problem).startswith(f"{file}: ") else f"{file}: {problem}") from problem


@contextmanager
def rows_of(table: str, template: str) -> Iterator[TextIO]:
    """The text of a table is open inside the block; what is wrong with it, or its template, is told with its file."""
    with _opened(table) as text, _named(table, template):
        yield text


@contextmanager
def _opened(file: str) -> Iterator[TextIO]:
    where: str | int = 0 if file == "-" else file
    # other bytes than UTF-8 are found with their line
    with open(where, encoding="utf-8", errors="surrogateescape", newline="", closefd=file != "-") as text:
        yield text


def _present(jobs: Iterator[Job], base: Path) -> Iterator[Job]:
    @lru_cache(maxsize=1024)
    def is_here(entry: str) -> bool:
        return (base / entry).exists()

    for number, job in enumerate(jobs):
        for entry in local(job.get("InputSandbox", [])):
            if not is_here(entry):
                raise Invalid(f"job {number}: there is no file {base / entry} for the InputSandbox")
        yield job


def _read(file: str, jobs_of: Callable[[TextIO], Iterator[Job]], template: str = "") -> Iterator[Job]:
    """The jobs of a text that is open as long as they are asked for."""
    with _opened(file) as text:
        yield from _each(file, jobs_of(text), template)


def _each(file: str, jobs: Iterator[Job], template: str = "") -> Iterator[Job]:
    with _named(file, template):
        yield from jobs


@contextmanager
def _named(file: str, template: str = "") -> Iterator[None]:
    """Failures are told with the file in which they are: of a table that is, without a line, its template."""
    try:
        yield
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise Invalid(f"{file}: {where}{problem.problem}") from problem
    except (DescriptionError, Invalid) as problem:
        wrong = problem if isinstance(problem, DescriptionError) else problem.__cause__
        if not isinstance(wrong, DescriptionError):
            raise
        raise Invalid(f"{file if wrong.line or not template else template}: {wrong}") from wrong
    except (yaml.YAMLError, RecursionError) as problem:
        raise Invalid(f"{file}: {problem}") from problem


def _yaml(file: str, text: str) -> Job:
    raw = yaml.safe_load(text)
    if not isinstance(raw, dict):
        raise Invalid(f"{file}: is not a mapping of attributes")
    return raw
