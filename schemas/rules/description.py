"""One job description, the same from JDL, YAML and JSON: DIRAC's attribute names, defaults and bounds."""

from __future__ import annotations

import json

from schemas.rules import jdl
from schemas.rules.attributes import BLOCK, DEFAULTS, DROPPED, ORDER, DescriptionError, is_called, known
from schemas.rules.values import refuse, renewed, shown

_NARROWING = ("Tags", "BannedSites")


def load(text: str, kind: str = "jdl", *, template: bool = False) -> dict[str, jdl.Value]:
    """Give the normalised description that a text of this kind holds, or raise DescriptionError, with its place in JDL."""
    if kind == "json":
        return normalise(read_json(text), template=template)
    if kind != "jdl":
        message = f"no kind of text is called {kind}, only jdl and json"
        raise ValueError(message)
    raw = jdl.parse(text)
    try:
        return normalise(raw, template=template)
    except DescriptionError as error:
        attribute = error.attribute
        place = jdl.place(text, lambda written: is_called(written, attribute))
        if place is None:
            raise
        raise jdl.JdlError(*place, str(error)) from error


def read_json(text: str, line: int = 1) -> jdl.Value:
    """Give what a JSON text says that begins in this line, or raise DescriptionError with its place."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except DescriptionError:
        raise
    except json.JSONDecodeError as error:
        at = line + error.lineno - 1
        raise DescriptionError(f"line {at}, column {error.colno}: the text is not JSON: {error.msg}", line=at) from error
    except (ValueError, RecursionError) as error:
        raise DescriptionError(f"the text is not JSON: {error}") from error


def normalise(raw: dict[str, jdl.Value], *, template: bool = False) -> dict[str, jdl.Value]:
    """Give the description in DIRAC's names with defaults filled in; of a normalised one, an equal one.

    Owner, OwnerGroup and VirtualOrganization are dropped because the server derives them from who is logged in.
    In a template, which a parametric description always is, a number may still be a placeholder; whoever fills it
    looks at it again.
    """
    given = _gathered(raw)
    template = template or "Parameters" in given
    job = dict(DEFAULTS)
    for name in sorted(given, key=lambda name: (ORDER.get(name, len(ORDER)), name)):
        values = [renewed(name, value, template=template) for value in given[name]]
        values = [value for value in values if value not in ("", [])]
        if values:
            job[name] = _combined(name, values)
    if "StopSigRegex" in job:
        job.setdefault("StopSigNumber", 2)
    refuse_contradictions(job)
    return job


def refuse_contradictions(job: dict[str, jdl.Value]) -> None:
    """Raise DescriptionError when no resource could ever be right for the job, or it runs nothing."""
    if not str(job.get("Executable", "")).strip():
        refuse("Executable", "is missing")
    sites, banned = job.get("Site", []), job.get("BannedSites", [])
    if sites and set(sites) <= set(banned):
        refuse("BannedSites", f"bans every Site the job asks for: {', '.join(sites)}")
    for low, high in (
        ("MinNumberOfProcessors", "MaxNumberOfProcessors"),
        ("MinNumberOfProcessors", "NumberOfProcessors"),
        ("NumberOfProcessors", "MaxNumberOfProcessors"),
        ("MinRAM", "MaxRAM"),
    ):
        least, most = job.get(low), job.get(high)
        # DIRAC writes MaxRAM = 0 for "no limit".
        if isinstance(least, int) and isinstance(most, int) and least > most and (high, most) != ("MaxRAM", 0):
            refuse(low, f"is {least}, more than {high}, which is {most}")


def _once(pairs: list[tuple[str, jdl.Value]]) -> dict[str, jdl.Value]:
    whole: dict[str, jdl.Value] = {}
    for name, value in pairs:
        if name in whole:
            refuse(name, "is given twice")
        whole[name] = value
    return whole


def _gathered(raw: object) -> dict[str, list[jdl.Value]]:
    """Bring every attribute, of the top and of JobRequirements, under its one name."""
    if not isinstance(raw, dict):
        raise DescriptionError(f"a job description has attributes with values, it is not {shown(raw)}")
    given: dict[str, list[jdl.Value]] = {}
    pairs = list(raw.items())
    for written, value in pairs:
        if not isinstance(written, str):
            raise DescriptionError(f"an attribute's name must be text and not {shown(written)}")
        name = known(written)
        if value is None or name in DROPPED:
            continue
        if name != BLOCK:
            given.setdefault(name, []).append(value)
        elif isinstance(value, dict) and not any(str(inner).lower() == BLOCK.lower() for inner in value):
            pairs.extend(value.items())
        else:
            refuse(BLOCK, "must be a block of attributes")
    return given


def _combined(name: str, values: list[jdl.Value]) -> jdl.Value:
    """Give the one value of an attribute that was written under several names."""
    first = values[0]
    for other in values[1:]:
        if name in _NARROWING:
            first = list(dict.fromkeys(first + other))
        elif other != first:
            refuse(name, f"is given twice, as {shown(first)} and as {shown(other)}")
    return first
