"""The jobs of a template, each made by its place alone: so that a million of them need be kept only once."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from schemas.rules.parametric import length_of, listed, names_of, progression, sequences_of, whole
from schemas.rules.template import Template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemas.rules import jdl

EVERY = 512  # a progression is only known from its beginning: so far apart are the values that are kept of it
MOST_KNOWN = 1024  # more than one batch of requests can bring


def body_of(description: dict[str, jdl.Value]) -> dict[str, Any]:
    """Give the body of a description with Parameters, or raise DescriptionError for what is wrong with the whole."""
    normalised = whole(description)
    count = length_of(normalised)
    marks = {
        name: list(itertools.islice(values, 0, None, EVERY))
        for name, values in sequences_of(normalised, count).items()
        if listed(normalised, name) is None and _moves(normalised, name)
    }
    return {"description": normalised, "count": count, "marks": marks}


def body_of_table(template: dict[str, jdl.Value], columns: Sequence[str]) -> dict[str, Any]:
    """Give the body of a normalised template that the rows of a table with these columns fill."""
    return {"description": template, "columns": list(columns)}


class Placed:
    """One template's jobs."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        """Take a body as `body_of` gave it."""
        self._normalised: dict[str, jdl.Value] = body["description"]
        self._columns: list[str] | None = body.get("columns")
        self._marks: dict[str, list[Any]] = body.get("marks", {})
        self._width = len(str(body["count"] - 1)) if "count" in body else 0
        self._names = names_of(self._normalised) if self._columns is None else self._columns
        self._template = Template(self._normalised, self._names)

    @property
    def differing(self) -> tuple[str, ...]:
        """Name the attributes in which the jobs may differ, beside their parameters."""
        return self._template.differing

    def job(self, place: int, cells: Sequence[str] | None = None) -> dict[str, jdl.Value]:
        """Give the job at this place, counted from 0, as `expand` or `from_table` gave it; `cells` are its row's."""
        if self._columns is not None:
            values: dict[str, jdl.Value] = dict(zip(self._columns, cells or ()))
        else:
            values = {name: self._value(name, place) for name in self._names}
        return self._template.job(values, place, str(place).zfill(self._width))

    def _value(self, name: str, place: int) -> jdl.Value:
        values = listed(self._normalised, name)
        if values is not None:
            return values[place]
        start, step, factor = progression(self._normalised, name)
        if name not in self._marks:
            return start * type(factor)(1) + type(step)(0)
        value = self._marks[name][place // EVERY]
        for _ in range(place % EVERY):
            value = value * factor + step
        return value


class Templates:
    """Templates by their ids, the last ones that were asked for: each is prepared once. One thread uses it."""

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[int, Placed] = {}

    def unknown(self, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Give the ids of the templates of these rows that `know` has not told."""
        wanted = {row["template_id"] for row in rows if row["template_id"] is not None}
        return sorted(wanted - self._known.keys())

    def know(self, template_id: int, body: Mapping[str, Any]) -> None:
        """Take a template; of too many, the oldest is forgotten."""
        while len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[template_id] = Placed(body)

    def description(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Give the description of a row with description, template_id, place and cells."""
        if row["template_id"] is None:
            own: dict[str, Any] = row["description"]
            return own
        return self._known[row["template_id"]].job(row["place"], row["cells"])


def described(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give the description of a row with description, template (its body), place and cells."""
    if row.get("template") is None:
        own: dict[str, Any] = row["description"]
        return own
    return Placed(row["template"]).job(row["place"], row["cells"])


def _moves(normalised: Mapping[str, jdl.Value], name: str) -> bool:
    _, step, factor = progression(normalised, name)
    return bool(step) or factor != 1
