"""What many jobs are stored as: judged one after another, with what each has of its own waiting on disk to be stored."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from schemas.rules.attributes import DescriptionError
from schemas.rules.description import normalise
from schemas.rules.inputs import inputs
from schemas.rules.matching import NEEDED
from schemas.rules.parametric import count, expand, is_parametric
from schemas.rules.placed import Placed, body_of, body_of_table
from schemas.rules.rows import Lined, from_json_lines, from_table
from schemas.rules.submission import LABELS, Judge, labels

MOST_JOBS = 1_000_000
MOST_INPUTS = 100_000
MOST_CPU_S = 300  # a million jobs take a tenth of it
ROWS_AT_ONCE, BYTES_AT_ONCE = 2_000, 4 << 20
Verdict = TypeVar("Verdict")
_VARYING = frozenset((*LABELS, *NEEDED))


class Rows:
    """Rows on disk, in pieces of which each is one JSON array."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._held = file, list[str]()
        self._held_bytes = 0
        self.count = 0
        self.inputs: set[str] = set()

    def add(self, job: Mapping[str, Any], shape: int, **own: Any) -> None:
        """The next job has this of its own."""
        row = json.dumps({"place": self.count, "shape": shape, **labels(job), **own})
        self._held.append(row)
        self._held_bytes += len(row)
        self.count += 1
        self.need(job)
        if len(self._held) == ROWS_AT_ONCE or self._held_bytes > BYTES_AT_ONCE:
            self._write()

    def need(self, job: Mapping[str, Any]) -> None:
        """The job needs the sandboxes that it names. Raises DescriptionError when too many are needed."""
        self.inputs.update(inputs(job))
        if len(self.inputs) > MOST_INPUTS:
            raise DescriptionError(f"the jobs name more than {MOST_INPUTS} input sandboxes; make several submissions of them")

    def pieces(self) -> Iterator[str]:
        """All of them, from the first."""
        self._write()
        self._file.seek(0)
        for line in self._file:
            yield line.decode()

    def _write(self) -> None:
        if self._held:
            self._file.write(f"[{','.join(self._held)}]\n".encode())
            self._held.clear()
            self._held_bytes = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """So many jobs: of a template or not, alike in what has columns of its own or not."""

    count: int
    body: dict[str, Any] | None
    alike: dict[str, Any] | None


def plan(asked: Mapping[str, Any], text: Lined | None, judge: Judge, rows: Rows) -> Plan:
    """What is to be stored. Raises DescriptionError that names the first job, or the line, that can never run."""
    description = asked.get("description")
    if text is None:
        if description is None:
            raise DescriptionError("say a description, or a dataref to the rows of many")
        return _of_one(normalise(description), judge, rows)
    if asked["dataref"]["format"] == "table":
        if description is None:
            raise DescriptionError("say the description that the rows of the table fill")
        return _of_table(description, text, judge, rows)
    if description is not None:
        raise DescriptionError("a description goes with a table; each of the JSON lines is one of its own")
    for job in _in_time(from_json_lines(text, MOST_JOBS)):
        rows.add(job, _judged(job, judge, rows), description=job)
    return Plan(_at_least_one(rows), None, None)


def _of_one(description: dict[str, Any], judge: Judge, rows: Rows) -> Plan:
    """The jobs of one description, which a pilot's answer is made of anew: of all that they share one copy is kept."""
    if not is_parametric(description):
        rows.add(description, judge.shape(description), description=description)
        return Plan(1, None, None)
    _refuse_many(count(description))
    body = body_of(description)
    if not _VARYING.isdisjoint(Placed(body).differing):
        for job in _in_time(expand(description)):
            rows.add(job, _judged(job, judge, rows))
        return Plan(rows.count, body, None)
    alike: dict[str, Any] = {}
    for place, job in enumerate(_in_time(expand(description))):
        if alike:
            _named(place, judge.refuse, job)
        else:
            alike = {"shape": _named(place, judge.shape, job), **labels(job)}
        rows.need(job)
    return Plan(body["count"], body, alike)


def _of_table(description: dict[str, Any], text: Lined, judge: Judge, rows: Rows) -> Plan:
    columns: list[str] = []
    for job in _in_time(from_table(description, text)):
        columns = columns or [name.partition(".")[2] for name in job if name.startswith("Parameter.")]
        rows.add(job, _judged(job, judge, rows), cells=[job[f"Parameter.{column}"] for column in columns])
    return Plan(_at_least_one(rows), body_of_table(normalise(description, template=True), columns), None)


def _in_time(jobs: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The jobs, as long as what is made of them does not take too long: everybody else's submissions wait meanwhile."""
    began_s = time.thread_time()
    for job in jobs:
        if time.thread_time() - began_s > MOST_CPU_S:
            raise DescriptionError(f"these jobs take more than {MOST_CPU_S} s to make; fill in less, or make several submissions")
        yield job


def _judged(job: Mapping[str, Any], judge: Judge, rows: Rows) -> int:
    _refuse_many(rows.count + 1)
    return _named(rows.count, judge.shape, job)


def _named(place: int, judged: Callable[[Mapping[str, Any]], Verdict], job: Mapping[str, Any]) -> Verdict:
    try:
        return judged(job)
    except DescriptionError as problem:
        raise DescriptionError(f"job {place}: {problem}", problem.attribute) from problem


def _refuse_many(jobs: int) -> None:
    if jobs > MOST_JOBS:
        raise DescriptionError(f"there are more than {MOST_JOBS} jobs; make several submissions of them", "Parameters")


def _at_least_one(rows: Rows) -> int:
    if not rows.count:
        raise DescriptionError("there is no job in what was sent")
    return rows.count
