"""The words of the bus: every event, request and reply by name, and what a body must hold.

Standard library only and Python 3.9, because the pilot carries this package with it.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from schemas.quick import Takes, takes
from schemas.rules.secrets import scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from importlib.abc import Traversable

HOME: Any = files(__name__)  # not __file__: the pilot reads this from inside a zip
DEEPEST = 32
OUTSIDERS = frozenset({"client", "door", "operator", "pilot"})

_SUFFIX = {"events": "", "requests": "", "replies": ".reply"}
_EXCHANGE = {"requests": "requests", "replies": "reply"}
_COMMON = "_common.json"
_COMMON_REF = f"{_COMMON}#/$defs/"
_TYPES = ((bool, "boolean"), (str, "string"), (int, "integer"), (dict, "object"), (list, "array"), (float, "number"))
_EXACT = {**dict(_TYPES), type(None): "null"}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?"
    r"(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])"  # no clock on earth is further from Greenwich, and Postgres refuses it
)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # JSON may say them; Postgres can keep neither


class Invalid(ValueError):
    """The body is not what its schema promises: one sentence that names the place, and holds no secret that it quotes."""

    def __init__(self, sentence: str = "") -> None:
        super().__init__(scrub(sentence))


@cache
def catalogue(*homes: Traversable) -> dict[str, dict[str, Any]]:
    """Every schema under the homes (folders with events/, requests/, replies/), the house's own when none is given.

    events/job/matched.v1.json is job.matched.v1, replies/job/submit.v1.json is job.submit.v1.reply; all are flat, and
    requests and replies have their x-exchange. Raises LookupError when a name is taken, or a file calls itself otherwise.
    """
    found: dict[str, dict[str, Any]] = {}
    for home in homes or (HOME,):
        shared = _shared(home)
        for kind, room, leaf in _files(home):
            name = f"{room.name}.{leaf.name[:-5]}{_SUFFIX[kind]}"
            schema = _flat(json.loads(leaf.read_text(encoding="utf-8")), shared, name)
            if name in found:
                raise LookupError(f"{leaf}: {name} is already taken")
            if schema.get("$id") != name:
                raise LookupError(f"{leaf}: calls itself {schema.get('$id')}, and its place calls it {name}")
            if kind in _EXCHANGE:
                schema["x-exchange"] = _EXCHANGE[kind]
            found[name] = schema
    return found


def exchange_of(schema: Mapping[str, Any]) -> str:
    """Where its author sends it: ingress, events, telemetry, requests, or reply for the asker's own queue.

    What an outsider says enters by ingress, and the gate says it again on events.
    """
    usual = "ingress" if OUTSIDERS.intersection(schema["x-emitted-by"]) else "events"
    return str(schema.get("x-exchange", usual))


def key_of(schema: Mapping[str, Any]) -> str | None:
    """The field of the body that is also the envelope's subject, when there is one."""
    return schema.get("x-key")


def journaled(schema: Mapping[str, Any]) -> bool:
    """Whether the event store keeps it; requests and replies are nobody's history."""
    return schema.get("x-journal", True) is True and exchange_of(schema) not in _EXCHANGE.values()


def is_uuid(text: object) -> bool:
    """Whether this is a uuid in its one canonical form, in lower case."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def is_moment(text: object) -> bool:
    """Whether this is a moment as RFC 3339 writes it, and one that exists."""
    return isinstance(text, str) and _is_moment(text)


@lru_cache(maxsize=1024)  # many lines of a log are of one moment
def _is_moment(text: str) -> bool:
    parts = _MOMENT.fullmatch(text)
    if parts is None:
        return False
    try:
        datetime.fromisoformat(parts[1])
    except ValueError:
        return False
    return True


_QUICK: dict[tuple[int, bool], tuple[Mapping[str, Any], Takes]] = {}
FORMATS: dict[str, Callable[[object], bool]] = {"uuid": is_uuid, "date-time": is_moment}


def check(schema: Mapping[str, Any], value: Any, *, strict: bool, at: str = "body") -> None:
    """Raise Invalid, naming the place, unless value fits. Strict also refuses names that the schema does not know."""
    key = (id(schema), strict)
    known = _QUICK.get(key)
    if known is None or known[0] is not schema:
        known = _QUICK[key] = (schema, takes(schema, FORMATS, strict=strict))
    if not known[1](value):
        _check(schema, value, strict, at, 0)


def _files(home: Traversable) -> Iterator[tuple[str, Traversable, Traversable]]:
    for kind in _SUFFIX:
        for room in _entries(home.joinpath(kind)):
            for leaf in _entries(room):
                if leaf.name.endswith(".json"):
                    yield kind, room, leaf


def _entries(folder: Traversable) -> list[Traversable]:
    return sorted(folder.iterdir(), key=lambda entry: entry.name) if folder.is_dir() else []


def _shared(home: Traversable) -> dict[str, Any]:
    """The house's shared definitions and the home's own, which win."""
    shared: dict[str, Any] = {}
    for path in (place.joinpath("events").joinpath(_COMMON) for place in (HOME, home)):
        if path.is_file():
            shared.update(json.loads(path.read_text(encoding="utf-8"))["$defs"])
    return shared


def _flat(schema: Any, shared: Mapping[str, Any], name: str) -> Any:
    if isinstance(schema, list):
        return [_flat(inner, shared, name) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    flat = {key: _flat(inner, shared, name) for key, inner in schema.items() if key != "$ref"}
    if "$ref" not in schema:
        return flat
    wanted = str(schema["$ref"])
    if not wanted.startswith(_COMMON_REF) or wanted[len(_COMMON_REF) :] not in shared:
        raise LookupError(f"{name}: there is no {wanted}")
    return {**_flat(shared[wanted[len(_COMMON_REF) :]], shared, name), **flat}


def _check(schema: Mapping[str, Any], value: Any, strict: bool, at: str, depth: int) -> None:  # noqa: FBT001
    if depth > DEEPEST:
        raise Invalid(f"{at[:200]}: is nested deeper than {DEEPEST}")
    kind = _kind(value)
    wanted = schema.get("type")
    if wanted is not None and kind != wanted and not _is_a(kind, wanted):
        raise Invalid(f"{at}: wants {wanted if isinstance(wanted, str) else ' or '.join(wanted)}, has {kind}")
    if "const" in schema and (value != schema["const"] or _kind(schema["const"]) != kind):
        raise Invalid(f"{at}: wants {schema['const']!r}, has {_shown(value)}")
    if "enum" in schema and value not in schema["enum"]:
        raise Invalid(f"{at}: wants one of {', '.join(map(str, schema['enum']))}, has {_shown(value)}")
    if kind == "object":
        _check_object(schema, value, strict, at, depth)
    elif kind == "array":
        _check_size(schema, len(value), at, "Items", "entries")
        for number, inner in enumerate(value):
            _check(schema.get("items", {}), inner, strict, f"{at}[{number}]", depth + 1)
    elif kind == "string":
        _check_string(schema, value, at)
    elif kind in ("integer", "number"):
        _check_number(schema, value, at)
    elif kind not in ("boolean", "null"):
        raise Invalid(f"{at}: {kind} is not JSON")


def _kind(value: Any) -> str:
    if known := _EXACT.get(type(value)):
        return known
    for kind, name in _TYPES:
        if isinstance(value, kind):
            return name
    return type(value).__name__


def _is_a(kind: str, wanted: str | list[str]) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    return kind in names or (kind == "integer" and "number" in names)


def _check_object(schema: Mapping[str, Any], value: dict[Any, Any], strict: bool, at: str, depth: int) -> None:  # noqa: FBT001
    known = schema.get("properties", {})
    others = schema.get("additionalProperties", not (strict and known))
    for name in schema.get("required", ()):
        if name not in value:
            raise Invalid(f"{at}: lacks {name}")
    _check_size(schema, len(value), at, "Properties", "names")
    for name, inner in value.items():
        if name in known:
            _check(known[name], inner, strict, f"{at}.{name}", depth + 1)
            continue
        if not isinstance(name, str) or _UNSTORABLE.search(name):
            raise Invalid(f"{at}: the name {_shown(name)} cannot be stored")
        if others is False:
            raise Invalid(f"{at}: does not know {name:.64}")
        _check(others if isinstance(others, dict) else {}, inner, strict, f"{at}.{name:.64}", depth + 1)


def _check_string(schema: Mapping[str, Any], value: str, at: str) -> None:
    _check_size(schema, len(value), at, "Length", "characters")
    if _UNSTORABLE.search(value):
        raise Invalid(f"{at}: holds a NUL or half a surrogate pair, which cannot be stored")
    pattern = schema.get("pattern")
    if pattern is not None and not re.fullmatch(pattern, value):  # not search: "ada\n" would match ^[a-z]+$
        raise Invalid(f"{at}: {_shown(value)} does not match {pattern}")
    wanted = schema.get("format")
    if wanted in FORMATS and not FORMATS[wanted](value):
        raise Invalid(f"{at}: wants {wanted}, has {_shown(value)}")


def _check_number(schema: Mapping[str, Any], value: float, at: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise Invalid(f"{at}: {value} is not JSON")
    if value < schema.get("minimum", value):
        raise Invalid(f"{at}: {_shown(value)} is less than {schema['minimum']}")
    if value > schema.get("maximum", value):
        raise Invalid(f"{at}: {_shown(value)} is more than {schema['maximum']}")


def _check_size(schema: Mapping[str, Any], size: int, at: str, word: str, unit: str) -> None:
    if size < schema.get(f"min{word}", 0):
        raise Invalid(f"{at}: has {size} {unit}, wants at least {schema[f'min{word}']}")
    if size > schema.get(f"max{word}", size):
        raise Invalid(f"{at}: has {size} {unit}, wants at most {schema[f'max{word}']}")


def _shown(value: object) -> str:
    if isinstance(value, int) and abs(value) >= 1 << 64:
        return "a number beyond 64 bits"  # Python refuses to print one of thousands of digits
    return f"{value!r:.60}"
