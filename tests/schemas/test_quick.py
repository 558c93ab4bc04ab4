"""The quick yes: never said of what `check` refuses, and said of what is usual."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import FORMATS, Invalid, catalogue, check
from schemas.quick import takes
from tests.schemas.draw import body

KNOWN = catalogue()
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["\0", "\ud800", "p1", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def refused(schema: dict[str, Any], value: Any, *, strict: bool) -> bool:
    """Whether `check`, which takes its time, refuses it."""
    from schemas import _check

    try:
        _check(schema, value, strict, "body", 0)
    except Invalid:
        return True
    return False


def spoil(data: Any, value: Any) -> Any:
    """The value with something in it, anywhere, that may not belong there."""
    if isinstance(value, dict) and value and data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(value)))
        return value | {name: spoil(data, value[name])}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        return [spoil(data, value[0]), *value[1:]]
    if isinstance(value, dict):
        return value | {data.draw(st.text(max_size=4)): data.draw(ANYTHING)}
    return data.draw(ANYTHING)


@pytest.mark.parametrize("name", sorted(KNOWN))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_quick_yes_is_never_said_of_what_is_refused(name: str, data: Any) -> None:
    schema, strict = KNOWN[name], data.draw(st.booleans())
    value = spoil(data, data.draw(body(schema)))
    if takes(schema, FORMATS, strict=strict)(value):
        assert not refused(schema, value, strict=strict)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_every_example_is_taken_quickly(name: str) -> None:
    for example in KNOWN[name]["examples"]:
        check(KNOWN[name], example, strict=True)
        assert takes(KNOWN[name], FORMATS, strict=True)(example) or "." in repr(example)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(
        [
            {"type": "string", "maxLength": 3, "pattern": "[a-z]*"},
            {"type": ["string", "null"], "enum": ["a", None]},
            {"type": "integer", "minimum": 0, "maximum": 5},
            {"type": "number", "minimum": 0},
            {"type": "array", "maxItems": 2, "items": {"type": "integer"}},
            {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1},
            {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]},
            {"type": "object", "properties": {"a": {"type": "boolean"}}, "additionalProperties": False},
            {"const": 1},
            {"enum": [1, "1", True]},
            {},
        ]
    ),
    ANYTHING,
    st.booleans(),
)
def test_of_any_value_too(schema: dict[str, Any], value: Any, strict: bool) -> None:
    if takes(schema, FORMATS, strict=strict)(value):
        assert not refused(schema, value, strict=strict)
