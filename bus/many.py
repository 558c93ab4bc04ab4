"""Many jobs written to a packed file that the bus reads: JSON lines or a table, one after the other, in bounded memory."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from bus.errors import Invalid
from bus.inputs import MOST_JOBS, Inputs, local
from bus.sandbox import Packed
from schemas.rules.attributes import DEFAULTS, DescriptionError
from schemas.rules.description import normalise
from schemas.rules.parametric import expand
from schemas.rules.rows import from_table

JSON_LINES, TABLE = "jsonl", "table"
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Rows:
    """A file of jobs, and how many they are."""

    packed: Packed
    count: int
    form: str

    @property
    def dataref(self) -> dict[str, Any]:
        """How a request names it."""
        return {"digest": self.packed.digest, "size_bytes": self.packed.size_bytes, "format": self.form}


def jobs_of(descriptions: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The jobs of descriptions, each made when it is asked for. Raises Invalid with the description's number, from 0."""
    for number, description in enumerate(descriptions):
        if not isinstance(description, Mapping):
            raise Invalid(f"description {number}: is no mapping of attributes")
        try:
            yield from expand(normalise(dict(description)), MOST_JOBS)
        except DescriptionError as problem:
            raise Invalid(f"description {number}: {problem}") from problem


def json_lines(jobs: Iterable[Mapping[str, Any]], path: Path, inputs: Inputs) -> Rows:
    """The normalised jobs are in the file, and their files here in the store. Raises Invalid for none, and for too many."""
    count = 0
    with _packed(path) as file:
        for job in itertools.islice(jobs, MOST_JOBS + 1):
            count += 1
            told = inputs.stored(job, local(job.get("InputSandbox", [])))
            # what is as everywhere need not travel: the bus fills in the same
            said = {name: value for name, value in told.items() if DEFAULTS.get(name, _ABSENT) != value}
            file.write(json.dumps(said, separators=(",", ":")) + "\n")
    return _rows(path, count, JSON_LINES)


def one_line(description: Mapping[str, Any], count: int, path: Path) -> Rows:
    """A description that is too long for a request is in the file."""
    with _packed(path) as file:
        file.write(json.dumps(description) + "\n")
    return _rows(path, count, JSON_LINES)


def table(template: Mapping[str, Any], text: TextIO, path: Path) -> Rows:
    """The table is in the file, and each of its rows makes a job of the template. Raises Invalid as json_lines does."""
    with _packed(path) as file:
        copied = _Copied(text, file)
        count = sum(1 for _ in itertools.islice(from_table(dict(template), copied), MOST_JOBS + 1))
    return _rows(path, count, TABLE)


@contextlib.contextmanager
def _packed(path: Path) -> Iterator[TextIO]:
    """A text that is packed by gzip as it is written; the same text gives the same bytes again."""
    with (
        path.open("wb") as raw,
        # the name "" and time 0 go into the header: otherwise a repeat would not be the same submission
        gzip.GzipFile("", "wb", 3, raw, mtime=0) as zipped,
        io.TextIOWrapper(zipped, encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        yield file


class _Copied:
    """A text that is read line by line, each line of which is written to another file."""

    def __init__(self, text: TextIO, file: TextIO) -> None:
        self._text, self._file = text, file

    def readline(self, size: int, /) -> str:
        line = self._text.readline(size)
        self._file.write(line)
        return line


def _rows(path: Path, count: int, form: str) -> Rows:
    if not count:
        raise Invalid("there is no job in it")
    if count > MOST_JOBS:
        raise Invalid(f"there are more than {MOST_JOBS} jobs in it, the most of one submission")
    with path.open("rb") as file:
        return Rows(Packed(path, hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size), count, form)
