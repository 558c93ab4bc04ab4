"""One description with Parameters stands for many jobs: how many, and each of them in turn, as DIRAC expands them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from schemas.rules.attributes import SEQUENCES, DescriptionError
from schemas.rules.description import normalise
from schemas.rules.template import UNNAMED, Template

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from schemas.rules import jdl

BEYOND = 2**63
MOST_SEQUENCES = 100


def is_parametric(description: dict[str, jdl.Value]) -> bool:
    """Say whether the description has any of the attributes that make it stand for many jobs."""
    heads = {str(name).partition(".")[0].lower() for name in description}
    return not heads.isdisjoint(name.lower() for name in SEQUENCES)


def count(description: dict[str, jdl.Value]) -> int:
    """Say how many jobs the description stands for, without making them, or raise DescriptionError."""
    return length_of(whole(description)) if is_parametric(description) else 1


def expand(description: dict[str, jdl.Value], limit: int | None = None) -> Iterator[dict[str, jdl.Value]]:
    """Give the jobs in order, normalised, each made when it is asked for, so that a million need the memory of one.

    Raises DescriptionError at once for what is wrong with the whole, with more jobs than `limit` too, and at its turn
    for what is wrong with one job. A description without Parameters is its only job, given as it is.
    %s, %(X)s and %n, as wide as the last number, are put in; %j stays, for the job's id is not known yet.
    """
    if not is_parametric(description):
        return iter([description])
    normalised = whole(description)
    total = length_of(normalised)
    if limit is not None and total > limit:
        message = f"Parameters makes {total} jobs, the limit is {limit}"
        raise DescriptionError(message, "Parameters")
    sequences = sequences_of(normalised, total)
    return _jobs(Template(normalised, list(sequences)), sequences, width=len(str(total - 1)))


def _jobs(template: Template, sequences: dict[str, Iterable[jdl.Value]], width: int) -> Iterator[dict[str, jdl.Value]]:
    for index, values in enumerate(zip(*sequences.values())):
        yield template.job(dict(zip(sequences, values)), index, str(index).zfill(width))


def whole(description: dict[str, jdl.Value]) -> dict[str, jdl.Value]:
    """Give the normalised description of many jobs, or raise DescriptionError."""
    normalised = normalise(description, template=True)
    if "Parameters" not in normalised:
        message = "Parameters is missing: it says how many jobs the named sequences make"
        raise DescriptionError(message)
    if (named := len(names_of(normalised)) - 1) > MOST_SEQUENCES:
        message = f"there are {named} named sequences, the most is {MOST_SEQUENCES}; a table may have more columns"
        raise DescriptionError(message)
    return normalised


def length_of(normalised: dict[str, jdl.Value]) -> int:
    """Say how many jobs a normalised description makes, or raise DescriptionError when its sequences differ in that."""
    first = normalised["Parameters"]
    total = len(first) if isinstance(first, list) else int(first)
    for name, value in normalised.items():
        if name.startswith("Parameters.") and len(value) != total:
            message = f"{name} has {len(value)} values, but Parameters makes {total} jobs"
            raise DescriptionError(message, name)
    return total


def sequences_of(normalised: dict[str, jdl.Value], total: int) -> dict[str, Iterable[jdl.Value]]:
    """Give every sequence by its name; the unnamed one is always there, as in DIRAC."""
    found: dict[str, Iterable[jdl.Value]] = {}
    for name in names_of(normalised):
        given = listed(normalised, name)
        found[name] = given if given is not None else _steps(total, *progression(normalised, name))
    return found


def names_of(normalised: Mapping[str, jdl.Value]) -> list[str]:
    """Give the names of the sequences, the unnamed one first."""
    names = [UNNAMED]
    for attribute in normalised:
        head, _, name = attribute.partition(".")
        if head in SEQUENCES and name not in names:
            names.append(name)
    return names


def listed(normalised: Mapping[str, jdl.Value], name: str) -> list[jdl.Value] | None:
    """Give the values of a sequence that is written as a list."""
    given = normalised.get(f"Parameters.{name}" if name else "Parameters")
    return given if isinstance(given, list) else None


def progression(normalised: Mapping[str, jdl.Value], name: str) -> tuple[float, float, float]:
    """Give start, step and factor of a sequence that is none."""
    tail = f".{name}" if name else ""
    start, step, factor = (
        normalised.get(f"{head}{tail}", default)
        for head, default in (("ParameterStart", 1), ("ParameterStep", 0), ("ParameterFactor", 1))
    )
    return start, step, factor


def _steps(total: int, start: float, step: float, factor: float) -> Iterator[jdl.Value]:
    """Give start, start * factor + step, and so on; all of one type, which is float as soon as one of the three is."""
    value = start * type(factor)(1) + type(step)(0)
    for index in range(total):
        if index:
            value = value * factor + step
        if not math.isfinite(value) or abs(value) >= BEYOND:
            message = f"ParameterFactor and ParameterStep lead beyond 2**63 at job {index}"
            raise DescriptionError(message)
        yield value
