"""Says yes, fast, to a body that fits its schema. A no only means that `check` has to look, which names the place.

Bodies nearly always fit, and are judged on every way in and out: this is most of what judging costs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from collections.abc import Mapping

Takes = Callable[[Any], bool]

_KNOWN = {
    "type", "properties", "required", "additionalProperties", "items", "enum", "pattern", "format", "minLength", "maxLength",
    "minItems", "maxItems", "minProperties", "maxProperties", "minimum", "maximum",
}  # fmt: skip
_TELLING = {"$id", "$schema", "$comment", "title", "description", "examples", "default"}
_DEEP_ENOUGH = 8
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def takes(schema: Mapping[str, Any], formats: Mapping[str, Callable[[object], bool]], *, strict: bool) -> Takes:
    """Give a function that is true only of values that fit; what it does not know of it leaves to `check`."""
    if any(name not in _KNOWN and name not in _TELLING and not name.startswith("x-") for name in schema):
        return _leave
    if not any(name in _KNOWN for name in schema):
        return _anything
    kinds = schema.get("type", ["string", "integer", "boolean", "null"])  # what holds more is left to `check`
    kinds = [kinds] if isinstance(kinds, str) else kinds
    by_type: dict[type, Takes] = {}
    for kind in kinds:
        by_type.update(_of_kind(kind, schema, formats, strict))
    if "enum" in schema:
        return _one_of(schema["enum"], by_type)
    return _by_type(by_type)


def _leave(_value: Any) -> bool:
    return False


def _fine(_value: Any) -> bool:
    return True


def _anything(value: Any, depth: int = 0) -> bool:
    kind = type(value)
    if kind is str:
        return _storable(value)
    if kind is list and depth < _DEEP_ENOUGH:
        return all(_anything(inner, depth + 1) for inner in value)
    if kind is dict and depth < _DEEP_ENOUGH:
        return all(type(name) is str and _storable(name) and _anything(inner, depth + 1) for name, inner in value.items())
    return value is None or kind is int or kind is bool


def _storable(text: str) -> bool:
    return (text.isascii() and "\0" not in text) or _UNSTORABLE.search(text) is None


def _one_of(choices: list[Any], by_type: dict[type, Takes]) -> Takes:
    typed, kinds = _by_type(by_type), {(type(choice), choice) for choice in choices if isinstance(choice, (str, int))}
    return lambda value: typed(value) and isinstance(value, (str, int)) and (type(value), value) in kinds


def _by_type(by_type: dict[type, Takes]) -> Takes:
    if len(by_type) == 1:
        ((only, inner),) = by_type.items()
        return lambda value: type(value) is only and inner(value)
    return lambda value: by_type.get(type(value), _leave)(value)


def _of_kind(
    kind: str,
    schema: Mapping[str, Any],
    formats: Mapping[str, Callable[[object], bool]],
    strict: bool,  # noqa: FBT001
) -> dict[type, Takes]:
    if kind == "string":
        return {str: _string(schema, formats)}
    if kind in ("integer", "number"):  # no fraction is hurried: whether it is finite is for `check` to see
        return {int: _between(schema.get("minimum"), schema.get("maximum"))}
    if kind == "boolean":
        return {bool: _fine}
    if kind == "null":
        return {type(None): _fine}
    if kind == "array":
        return {list: _array(schema, formats, strict)}
    return {dict: _object(schema, formats, strict)} if kind == "object" else {}


def _between(least: float | None, most: float | None) -> Takes:
    if least is None and most is None:
        return _fine
    low, high = float("-inf") if least is None else least, float("inf") if most is None else most
    return lambda value: low <= value <= high


def _string(schema: Mapping[str, Any], formats: Mapping[str, Callable[[object], bool]]) -> Takes:
    most, least = schema.get("maxLength", 1 << 62), schema.get("minLength", 0)
    pattern = re.compile(schema["pattern"]) if "pattern" in schema else None
    wanted = formats.get(schema.get("format", ""))

    def takes_string(value: str) -> bool:
        if not least <= len(value) <= most:
            return False
        return (
            _storable(value) and (pattern is None or pattern.fullmatch(value) is not None) and (wanted is None or wanted(value))
        )

    return takes_string


def _array(schema: Mapping[str, Any], formats: Mapping[str, Callable[[object], bool]], strict: bool) -> Takes:  # noqa: FBT001
    inner = takes(schema.get("items", {}), formats, strict=strict)
    most, least = schema.get("maxItems", 1 << 62), schema.get("minItems", 0)
    return lambda value: least <= len(value) <= most and all(map(inner, value))


def _object(schema: Mapping[str, Any], formats: Mapping[str, Callable[[object], bool]], strict: bool) -> Takes:  # noqa: FBT001
    known = {name: takes(inner, formats, strict=strict) for name, inner in schema.get("properties", {}).items()}
    required = frozenset(schema.get("required", ()))
    most, least = schema.get("maxProperties", 1 << 62), schema.get("minProperties", 0)
    others = schema.get("additionalProperties", not (strict and known))
    rest = _leave if others is False else takes(others if isinstance(others, dict) else {}, formats, strict=strict)

    def takes_object(value: dict[Any, Any]) -> bool:
        if not (least <= len(value) <= most and required <= value.keys()):
            return False
        for name, inner in value.items():
            judge = known.get(name)
            if judge is not None:
                if not judge(inner):
                    return False
            elif not (type(name) is str and _storable(name) and rest(inner)):
                return False
        return True

    return takes_object
