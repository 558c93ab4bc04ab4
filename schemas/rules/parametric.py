"""One description with Parameters stands for many jobs: how many, and each of them, as DIRAC expands them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from schemas.rules import description as rules

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from schemas.rules import jdl

UNNAMED = ""
BEYOND = 2**63


def count(description: dict[str, jdl.Value]) -> int:
    """Say how many jobs the description stands for, without making them, or raise DescriptionError."""
    template = _template(description)
    return 1 if template is None else _length(template)


def expand(description: dict[str, jdl.Value], limit: int) -> list[dict[str, jdl.Value]]:
    """Give the jobs in order, normalised, at most `limit` of them, or raise DescriptionError and give none.

    A description without Parameters is given as it is. %s, %(X)s and %n are put in; %j stays, for the job's id is
    not known yet. What does not differ is shared between the jobs, so change none of them in place.
    """
    template = _template(description)
    if template is None:
        return [description]
    total = _length(template)
    if total > limit:
        message = f"Parameters makes {total} jobs, the limit is {limit}"
        raise rules.DescriptionError(message)
    sequences = _sequences(template, total)
    _refuse_misspelt(template, sequences)
    shared = {name: value for name, value in template.items() if name.partition(".")[0] not in rules.SEQUENCES}
    differing = [name for name, value in shared.items() if _holds_placeholder(value)]
    width = len(str(total - 1))
    return [_job(shared, differing, sequences, index, width) for index in range(total)]


def _job(
    shared: dict[str, jdl.Value],
    differing: list[str],
    sequences: dict[str, list[jdl.Value]],
    index: int,
    width: int,
) -> dict[str, jdl.Value]:
    values = {name: sequence[index] for name, sequence in sequences.items()}
    number = str(index).zfill(width)
    job = dict(shared)
    for name in differing:
        value = rules.renewed(name, _put_in(name, job.pop(name), values, number))
        if value in ("", []):
            value = rules.DEFAULTS.get(name)
        if value is not None:
            job[name] = value
    for name, value in values.items():
        job[f"Parameter.{name}" if name else "Parameter"] = value if isinstance(value, list) else _text(value)
    job["ParameterNumber"] = index
    rules.refuse_contradictions(job)
    return job


def _template(description: dict[str, jdl.Value]) -> dict[str, jdl.Value] | None:
    """Give the normalised description when it is parametric."""
    heads = {str(name).partition(".")[0].lower() for name in description}
    if heads.isdisjoint(name.lower() for name in rules.SEQUENCES):
        return None
    template = rules.normalise(description)
    if "Parameters" not in template:
        message = "Parameters is missing: it says how many jobs the named sequences make"
        raise rules.DescriptionError(message)
    return template


def _length(template: dict[str, jdl.Value]) -> int:
    first = template["Parameters"]
    total = len(first) if isinstance(first, list) else int(first)
    for name, value in template.items():
        if name.startswith("Parameters.") and len(value) != total:
            message = f"{name} has {len(value)} values, but Parameters makes {total} jobs"
            raise rules.DescriptionError(message)
    return total


def _sequences(template: dict[str, jdl.Value], total: int) -> dict[str, list[jdl.Value]]:
    """Give every sequence by its name; the unnamed one is always there, as in DIRAC."""
    names = [UNNAMED]
    for attribute in template:
        head, _, name = attribute.partition(".")
        if head in rules.SEQUENCES and name not in names:
            names.append(name)
    sequences = {}
    for name in names:
        tail = f".{name}" if name else ""
        given = template.get(f"Parameters{tail}")
        start, step, factor = (
            template.get(f"{head}{tail}", default)
            for head, default in (("ParameterStart", 1), ("ParameterStep", 0), ("ParameterFactor", 1))
        )
        sequences[name] = given if isinstance(given, list) else _steps(total, start, step, factor)
    return sequences


def _steps(total: int, start: float, step: float, factor: float) -> list[jdl.Value]:
    """Give start, start * factor + step, and so on; all of one type, which is float as soon as one of the three is."""
    value = start * type(factor)(1) + type(step)(0)
    values = [value]
    for index in range(1, total):
        value = value * factor + step
        if not math.isfinite(value) or abs(value) >= BEYOND:
            message = f"ParameterFactor and ParameterStep lead beyond 2**63 at job {index}"
            raise rules.DescriptionError(message)
        values.append(value)
    return values


def _refuse_misspelt(template: dict[str, jdl.Value], sequences: dict[str, list[jdl.Value]]) -> None:
    """Raise DescriptionError for a %(Y)s that no sequence fills, when there are named sequences at all."""
    known = [name for name in sequences if name]
    for attribute, value in template.items():
        if not known or attribute.partition(".")[0] in rules.SEQUENCES:
            continue
        for text in value if isinstance(value, list) else [value]:
            for name in rules.PLACEHOLDER.findall(text) if isinstance(text, str) else ():
                if name and name not in known:
                    message = f"{attribute} names %({name})s, but the sequences are {', '.join(known)}"
                    raise rules.DescriptionError(message)


def _holds_placeholder(value: jdl.Value) -> bool:
    texts = value if isinstance(value, list) else [value]
    return any(isinstance(text, str) and rules.PLACEHOLDER.search(text) for text in texts)


def _put_in(attribute: str, value: jdl.Value, values: dict[str, jdl.Value], number: str) -> jdl.Value:
    """Give the attribute with its placeholders filled; in a list, a list that fills a whole entry is spliced in."""
    if not isinstance(value, list):
        return rules.PLACEHOLDER.sub(_filler(values, number), value)
    entries: list[jdl.Value] = []
    for entry in value:
        found = rules.PLACEHOLDER.fullmatch(entry)
        filling = values.get(found.group(1) or UNNAMED) if found and found.group() != "%n" else None
        splice = _entries(filling)
        if splice is not None:
            entries.extend(splice)
            continue
        entries.append(rules.PLACEHOLDER.sub(_filler(values, number, f"{attribute} = {entry}"), entry))
    return entries


def _filler(values: dict[str, jdl.Value], number: str, entry: str = "") -> Callable[[re.Match[str]], str]:
    """Give what replaces a found placeholder; a list inside an entry with other text has no meaning."""

    def fill(found: re.Match[str]) -> str:
        if found.group() == "%n":
            return number
        name = found.group(1) or UNNAMED
        if name not in values:
            return found.group()
        if entry and _entries(values[name]) is not None:
            message = f"{entry} mixes text with a parameter that is a list"
            raise rules.DescriptionError(message)
        return _text(values[name])

    return fill


def _entries(value: jdl.Value) -> list[str] | None:
    """Give the entries of a value that is a list, also when it is written as the text "{a, b}"."""
    if isinstance(value, list):
        return [_text(entry) for entry in value]
    if isinstance(value, str) and value.strip().startswith("{"):
        entries = value.strip().lstrip("{").rstrip("}").split(",")
        return [entry.strip().strip('"') for entry in entries]
    return None


def _text(value: jdl.Value) -> str:
    if isinstance(value, list):
        return "{" + ", ".join(_text(entry) for entry in value) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)
