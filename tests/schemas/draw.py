"""Bodies drawn out of a schema: any that it allows, with ids from so small a set that they collide."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

ID_COUNT = 5
LONGEST = 4  # of a list or a free-form object: more of the same finds nothing new
DEEPEST = 3

_STORABLE = st.characters(codec="utf-8", exclude_characters="\0")
_WHOLE = st.integers(-(2**63), 2**63 - 1)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
_SCALARS: st.SearchStrategy[Any] = st.one_of(st.none(), st.booleans(), _WHOLE, _NUMBERS, st.text(_STORABLE, max_size=20))


def body(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Any body that the schema allows, strictly: optional fields come and go, and no other ones are there."""
    kinds = schema.get("type", [])
    if isinstance(kinds, list):
        return st.one_of([_OF_KIND[kind](schema) for kind in kinds]) if kinds else anything()
    return _OF_KIND[kinds](schema)


def anything() -> st.SearchStrategy[Any]:
    """Any JSON that can be stored."""
    return st.recursive(_SCALARS, _containers, max_leaves=2**DEEPEST)


def spoil(data: st.DataObject, value: Any) -> Any:
    """The value with one thing in it left out, replaced or added; what only `check` refuses has tests of its own."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 3)):
        name = data.draw(st.sampled_from(sorted(value)))
        change = data.draw(st.sampled_from(["drop", "add", "deeper", "deeper", "deeper"]))
        if change == "drop":
            return {key: inner for key, inner in value.items() if key != name}
        if change == "add":
            return value | {"colour": "green"}
        return value | {name: spoil(data, value[name])}
    if isinstance(value, list) and value and data.draw(st.integers(0, 3)):
        return [*value[:-1], spoil(data, value[-1])]
    if isinstance(value, str) and data.draw(st.booleans()):
        return value + data.draw(st.sampled_from(["", ".", "/", "é", "x" * 5000, "Z"]))
    if isinstance(value, int) and not isinstance(value, bool) and data.draw(st.booleans()):
        return data.draw(st.sampled_from([-value - 1, 0, value + 2**53, 2**70, value + 0.5]))
    return data.draw(anything().filter(lambda drawn: not (isinstance(drawn, float) and drawn.is_integer())))


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=LONGEST) | st.dictionaries(st.text(_STORABLE, max_size=20), inner, max_size=LONGEST)


def _object(schema: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    known = schema.get("properties", {})
    required = set(schema.get("required", ()))
    drawn = st.fixed_dictionaries(
        {name: body(inner) for name, inner in known.items() if name in required},
        optional={name: body(inner) for name, inner in known.items() if name not in required},
    )
    others = schema.get("additionalProperties", False)
    if others is False:
        return drawn
    room = min(LONGEST, schema.get("maxProperties", LONGEST) - len(known))
    values = body(others) if isinstance(others, dict) else anything()
    more = st.dictionaries(st.text(_STORABLE, max_size=20).filter(lambda name: name not in known), values, max_size=room)
    free = st.builds(lambda one, two: {**two, **one}, drawn, more)
    return _examples(schema) | free if schema.get("examples") else free


def _array(schema: Mapping[str, Any]) -> st.SearchStrategy[list[Any]]:
    least = schema.get("minItems", 0)
    most = min(schema.get("maxItems", LONGEST), least + LONGEST)
    return st.lists(body(schema.get("items", {})), min_size=least, max_size=most)


def _string(schema: Mapping[str, Any]) -> st.SearchStrategy[str]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 4096)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("format") == "uuid":
        drawn = st.uuids().map(str)
    elif schema.get("format") == "date-time":
        drawn = st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z")
    elif "pattern" in schema:
        inside = schema["pattern"].removeprefix("^").removesuffix("$")  # a $ would let a newline in
        drawn = st.from_regex(inside, fullmatch=True).filter(lambda text: least <= len(text) <= most)
    else:
        drawn = st.text(_STORABLE, min_size=least, max_size=min(most, least + 40))
    return _examples(schema) | drawn if schema.get("examples") else drawn


def _examples(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from(schema["examples"])


def _integer(schema: Mapping[str, Any]) -> st.SearchStrategy[int]:
    least, most = schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1)
    return st.integers(least, min(most, least + ID_COUNT - 1)) if most > 1_000_000 else st.integers(least, most)


def _number(schema: Mapping[str, Any]) -> st.SearchStrategy[float]:
    least, most = schema.get("minimum"), schema.get("maximum")
    whole = st.integers(None if least is None else math.ceil(least), None if most is None else math.floor(most))
    return st.floats(least, most, allow_nan=False, allow_infinity=False) | whole


def _boolean(_: Mapping[str, Any]) -> st.SearchStrategy[bool]:
    return st.booleans()


def _null(_: Mapping[str, Any]) -> st.SearchStrategy[None]:
    return st.none()


_OF_KIND: dict[str, Callable[[Mapping[str, Any]], st.SearchStrategy[Any]]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "null": _null,
}
