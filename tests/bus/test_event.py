"""The envelope: what is written is read back, and what is no CloudEvent is refused with the place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import Invalid
from bus.event import LARGEST_BODY_BYTES, Event

GOOD = Event("job.done.v1", "/pilotbus/job.report", "17", {"job_id": 17})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_is_read_back(data: object) -> None:
    event = Event("job.done.v1", "/a/b", "1", data)
    assert Event.from_json(event.to_json()) == event


def test_an_answer_carries_cause_and_correlation() -> None:
    second = GOOD.answer("job.failed.v1", 17, {}).signed("/pilotbus/x")
    third = second.answer("job.failed.v1", 17, {})
    assert (third.causationid, third.correlationid) == (second.id, GOOD.id)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"id": "../../etc"}, "event.id"),
        ({"id": None}, "lacks id"),
        ({"type": "job.done"}, "event.type"),
        ({"type": "job.done.v1\n"}, "event.type"),
        ({"source": "//evil"}, "event.source"),
        ({"subject": "a.b"}, "event.subject"),
        ({"subject": "#"}, "event.subject"),
        ({"subject": 17}, "event.subject"),
        ({"time": "yesterday"}, "event.time"),
        ({"time": "2026-01-01T00:00:00"}, "event.time"),
    ],
)
def test_a_malformed_attribute_is_named(change: dict[str, object], why: str) -> None:
    body = json.loads(GOOD.to_json()) | change
    with pytest.raises(Invalid, match=why):
        Event.from_json(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"data": NaN}', "NaN"),
        (b"[" * 30000, "not JSON"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested|not JSON"),
        (b'{"id": 1, "id": 2}', "twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"x" * (LARGEST_BODY_BYTES + 1), "more than"),
    ],
)
def test_hostile_bytes_are_refused(raw: bytes, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        Event.from_json(raw)


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800"])
def test_what_postgres_can_not_keep_is_refused(text: str) -> None:
    raw = GOOD.to_json().replace(b'"job_id":17', f'"job_id":"{text}"'.encode())
    with pytest.raises(Invalid, match="NUL"):
        Event.from_json(raw)


def test_a_written_backslash_u0000_is_only_text() -> None:
    event = Event("job.done.v1", "/a/b", "1", {"x": "\\u0000"})
    assert Event.from_json(event.to_json()) == event


def test_a_body_above_64_kib_is_refused_when_it_is_written() -> None:
    with pytest.raises(Invalid, match="65536"):
        Event("job.done.v1", "/a/b", "1", {"x": "x" * LARGEST_BODY_BYTES}).to_json()
