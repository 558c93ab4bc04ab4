"""Many jobs from a text that is read line by line: JSON lines, or a table whose rows fill a template."""

from __future__ import annotations

import contextlib
import csv
import re
from typing import TYPE_CHECKING, Protocol

from schemas.rules.attributes import SEQUENCE_NAME, DescriptionError
from schemas.rules.description import normalise, read_json
from schemas.rules.parametric import expand, is_parametric
from schemas.rules.template import Template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.rules import jdl

LONGEST = 1_048_576
"""The characters of a line, or of a row that has several; a description has far fewer."""

MOST_COLUMNS = 1000

_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # the last is what errors="surrogateescape" makes of other bytes


class Lined(Protocol):
    """What is read line by line: a file that is open, or a network's stream."""

    def readline(self, size: int, /) -> str:
        """Give the next line, no more than `size` characters of it; nothing at the end."""


def from_json_lines(text: Lined, limit: int | None = None) -> Iterator[dict[str, jdl.Value]]:
    """Give the job of each line, normalised, or raise DescriptionError that names the line.

    Lines are read as jobs are asked for, and forgotten. Empty lines are passed over; a line with Parameters is all
    its jobs.
    """
    lines = _Lines(text)
    for line in lines:
        lines.begin()
        if not line.strip():
            continue
        with _at(lines.number):
            jobs = expand(normalise(read_json(line, lines.number)), limit)
        while True:
            with _at(lines.number):
                job = next(jobs, None)
            if job is None:
                break
            yield job


def from_table(template: dict[str, jdl.Value], text: Lined) -> Iterator[dict[str, jdl.Value]]:
    """Give a job for each row of a CSV text, or raise DescriptionError that names the line in which the row begins.

    The first row names the columns; %(X)s in the template becomes what stands in column X, %n the row's number from 0,
    which has no leading zeros because nobody knows how many rows come. Rows are read as jobs are asked for, and
    forgotten. Empty rows are passed over. A cell that begins with { is a list, as DIRAC's parameters are.
    The text should be opened with newline="", as the csv module wants it.
    """
    if is_parametric(template):
        raise DescriptionError("a template for a table has no Parameters of its own: the rows make the jobs", "Parameters")
    lines = _Lines(text)
    rows = _rows(lines)
    begins, columns = next(rows, (1, []))
    with _at(begins):
        columns = _columns(columns)
    prepared = Template(normalise(template, template=True), columns)
    for index, (begins, row) in enumerate(rows):
        with _at(begins):
            if len(row) != len(columns):
                raise DescriptionError(f"the row has {len(row)} cells, but there are {len(columns)} columns")
            job = prepared.job(dict(zip(columns, row)), index, str(index))
        yield job


def _rows(lines: _Lines) -> Iterator[tuple[int, list[str]]]:
    """Give each row that is not empty with the line in which it begins."""
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    while True:
        begins = lines.begin()
        with _at(begins):
            try:
                row = next(reader, None)
            except csv.Error as error:
                raise DescriptionError(f"the row is not CSV: {error}") from error
        if row is None:
            return
        if any(cell.strip() for cell in row):
            yield begins, row


def _columns(row: list[str]) -> list[str]:
    columns = [cell.strip() for cell in row]
    if not columns:
        raise DescriptionError("the names of the columns are missing")
    if len(columns) > MOST_COLUMNS:
        raise DescriptionError(f"there are {len(columns)} columns, the most is {MOST_COLUMNS}")
    taken: set[str] = set()
    for name in columns:
        if not SEQUENCE_NAME.fullmatch(name):
            raise DescriptionError(f"a column is named by letters, digits and _, separated by commas, and not {name!r:.60}")
        if name.lower() in taken:
            raise DescriptionError(f"column {name} is there twice")
        taken.add(name.lower())
    return columns


@contextlib.contextmanager
def _at(line: int) -> Iterator[None]:
    """Raise a DescriptionError of the block with its line, unless it has one."""
    try:
        yield
    except DescriptionError as error:
        if error.line:
            raise
        raise DescriptionError(f"line {line}: {error}", error.attribute, line) from error


class _Lines:
    """The lines of a text and the number of the last one; what is held of them at a time has a bound."""

    def __init__(self, text: Lined) -> None:
        self._text = text
        self.number = 0
        self._begins, self._held = 1, 0

    def begin(self) -> int:
        """Forget the lines before, and give the number of the next one."""
        self._begins, self._held = self.number + 1, 0
        return self._begins

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LONGEST + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._held += len(line)
        if self._held > LONGEST:
            message = f"line {self._begins}: more than {LONGEST} characters belong together here; is a quote not closed?"
            raise DescriptionError(message, line=self._begins)
        if _NO_TEXT.search(line):
            raise DescriptionError(f"line {self.number}: is not text in UTF-8", line=self.number)
        return line.removeprefix("\ufeff") if self.number == 1 else line
