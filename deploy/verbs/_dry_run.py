"""Jobs as they would be submitted, shown: a table for people, JSON for programs, a few of many or all."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from bus.errors import Invalid
from deploy.verbs._descriptions import Job, Jobs
from deploy.verbs.common import print_table, progress, talk

FEW = 10
PAGE = 1000


def show(found: Jobs, *, everything: bool, as_json: bool) -> None:
    """The first few jobs, or all, are on standard output; all are checked before a few are shown. Raises Invalid."""
    jobs = iter(found.jobs)
    first = list(islice(jobs, FEW))
    if not first:
        raise Invalid("there is no job in it")
    more = 0 if everything else _checked(jobs, found.count)
    shown = chain(first, jobs if everything else ())
    total = (_print_json if as_json else _print_pages)(shown, more) + more
    left = f"; {more} more, which --all shows" if more else ""
    talk.print(f"{total} job{'s' * (total > 1)}, not submitted{left}")


def _checked(jobs: Iterator[Job], count: int | None) -> int:
    """How many jobs come, each of which has been made."""
    with progress() as bar:
        left = None if count is None else max(0, count - FEW)
        return sum(1 for _ in bar.track(jobs, total=left, description="checking"))


def _print_json(jobs: Iterable[Job], more: int) -> int:
    """One document, written while jobs come."""
    count = 0
    sys.stdout.write('{"jobs": [')
    for count, job in enumerate(jobs, 1):
        sys.stdout.write(("," if count > 1 else "") + "\n  " + json.dumps(job))
    sys.stdout.write(f'\n], "count": {count + more}, "more": {more}}}\n')
    return count


def _print_pages(jobs: Iterable[Job], more: int) -> int:
    """Tables, each of so many jobs that it can be laid out."""
    count, coming = 0, iter(jobs)
    while page := list(islice(coming, PAGE)):
        _print_page(count, page)
        count += len(page)
    return count


def _print_page(first: int, jobs: Sequence[Job]) -> None:
    """What all these jobs have alike, and a row for each with what differs."""
    names = list(dict.fromkeys(name for job in jobs for name in job))
    alike = [name for name in names if all(job.get(name) == jobs[0].get(name) for job in jobs)]
    print_table(("Attribute", "Value"), ((name, _text(jobs[0][name])) for name in alike))
    differing = [name for name in names if name not in alike and name != "ParameterNumber"]
    if len(jobs) > 1:
        sys.stdout.write("\n")
        rows = ((number, *(_text(job.get(name, "")) for name in differing)) for number, job in enumerate(jobs, first))
        print_table(("Job", *differing), rows)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
