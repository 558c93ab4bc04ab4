"""A description with placeholders: filled once for each job, with DIRAC's %s, %(X)s and %n; %j stays for the pilot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from schemas.rules import jdl
from schemas.rules.attributes import DEFAULTS, PLACEHOLDER, SEQUENCES, DescriptionError
from schemas.rules.description import refuse_contradictions
from schemas.rules.values import renewed

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping, Sequence

UNNAMED = ""


class Template:
    """What all jobs of a description share, and what has to be filled for each of them."""

    def __init__(self, description: Mapping[str, jdl.Value], names: Sequence[str]) -> None:
        """Take a normalised description, or raise DescriptionError when it names something that nothing fills."""
        self._shared = {name: value for name, value in description.items() if name.partition(".")[0] not in SEQUENCES}
        self._differing = [name for name, value in self._shared.items() if _placeholders(value)]
        self._refuse_misspelt(list(names))

    @property
    def differing(self) -> tuple[str, ...]:
        """Name the attributes that hold placeholders."""
        return tuple(self._differing)

    def job(self, values: Mapping[str, jdl.Value], index: int, number: str) -> dict[str, jdl.Value]:
        """Give one job, normalised, which says its Parameter.X and ParameterNumber; `number` is what %n becomes.

        What does not differ is shared between the jobs, so change none of them in place.
        """
        try:
            return self._filled(values, index, number)
        except DescriptionError as error:
            raise DescriptionError(f"job {index}: {error}", error.attribute) from error

    def _filled(self, values: Mapping[str, jdl.Value], index: int, number: str) -> dict[str, jdl.Value]:
        job = dict(self._shared)
        for name in self._differing:
            value = renewed(name, _put_in(name, job.pop(name), values, number))
            if value in ("", []):
                value = DEFAULTS.get(name)
            if value is not None:
                job[name] = value
        for name, value in values.items():
            job[f"Parameter.{name}" if name else "Parameter"] = value if isinstance(value, list) else _text(value)
        job["ParameterNumber"] = index
        refuse_contradictions(job)
        return job

    def _refuse_misspelt(self, names: list[str]) -> None:
        """Raise for a %(Y)s that nothing fills, when there are names at all, and for a %s when all have names."""
        named = [name for name in names if name]
        for attribute in self._differing if named else ():
            for found in _placeholders(self._shared[attribute]):
                name = found.group(1) or UNNAMED
                if found.group() == "%n" or name in names:
                    continue
                message = f"{attribute} names {found.group()}, but the sequences are {', '.join(named)}"
                raise DescriptionError(message, attribute)


def _placeholders(value: jdl.Value) -> list[re.Match[str]]:
    texts = value if isinstance(value, list) else [value]
    return [found for text in texts if isinstance(text, str) for found in PLACEHOLDER.finditer(text)]


def _put_in(attribute: str, value: jdl.Value, values: Mapping[str, jdl.Value], number: str) -> jdl.Value:
    """Give the attribute with its placeholders filled; in a list, a list that fills a whole entry is spliced in."""
    if not isinstance(value, list):
        return PLACEHOLDER.sub(_filler(values, number), value)
    entries: list[jdl.Value] = []
    for entry in value:
        found = PLACEHOLDER.fullmatch(entry)
        filling = values.get(found.group(1) or UNNAMED) if found and found.group() != "%n" else None
        splice = _entries(filling)
        if splice is not None:
            entries.extend(splice)
            continue
        entries.append(PLACEHOLDER.sub(_filler(values, number, f"{attribute} = {entry}"), entry))
    return entries


def _filler(values: Mapping[str, jdl.Value], number: str, entry: str = "") -> Callable[[re.Match[str]], str]:
    """Give what replaces a found placeholder; a list inside an entry with other text has no meaning."""

    def fill(found: re.Match[str]) -> str:
        if found.group() == "%n":
            return number
        name = found.group(1) or UNNAMED
        if name not in values:
            return found.group()
        if entry and _entries(values[name]) is not None:
            raise DescriptionError(f"{entry} mixes text with a parameter that is a list")
        return _text(values[name])

    return fill


def _entries(value: jdl.Value) -> list[str] | None:
    """Give the entries of a value that is a list, also when it is written as the text "{a, b}"."""
    if isinstance(value, str) and value.strip().startswith("{"):
        value = _read_list(value)
    return [_text(entry) for entry in value] if isinstance(value, list) else None


def _read_list(text: str) -> list[jdl.Value]:
    reason = "it goes on after its }"
    try:
        attributes = jdl.parse(f"List = {text};")
    except jdl.JdlError as error:
        attributes, reason = {}, error.reason
    entries = attributes.get("List", [])
    if len(attributes) != 1 or any(isinstance(entry, dict) for entry in entries):
        raise DescriptionError(f"the parameter {text!r:.60} begins like a list but is none: {reason}")
    return list(entries)


def _text(value: jdl.Value) -> str:
    if isinstance(value, list):
        return "{" + ", ".join(_text(entry) for entry in value) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)
