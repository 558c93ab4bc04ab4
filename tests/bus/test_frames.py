"""What is written by hand is what pika reads: the same message, whatever its words and its size."""

from __future__ import annotations

from typing import Any

import pika.frame
import pika.spec
from hypothesis import given
from hypothesis import strategies as st

from bus.frames import in_pieces, published

words = st.text(st.characters(codec="utf-8"), max_size=40)
headers = st.dictionaries(words.filter(bool), words | st.lists(words, max_size=3), max_size=3)


def read(raw: bytes) -> list[Any]:
    """The frames in these bytes."""
    found = []
    while raw:
        size, frame = pika.frame.decode_frame(raw)
        assert frame is not None
        found.append(frame)
        raw = raw[size:]
    return found


@given(
    st.binary(max_size=9000), words, words, st.booleans(), st.booleans(), headers,
    st.fixed_dictionaries({}, optional=dict.fromkeys(("correlation_id", "reply_to", "message_id", "type", "user_id"), words)),
)  # fmt: skip
def test_a_message_is_read_as_it_was_written(
    body: bytes,
    exchange: str,
    key: str,
    durable: bool,
    mandatory: bool,
    told: dict[str, Any],
    properties: dict[str, str],
) -> None:
    raw = published(
        exchange, key, body, channel=7, frame_bytes=4096, durable=durable, mandatory=mandatory, headers=told, **properties
    )
    method, header, *bodies = read(raw)
    assert (method.channel_number, header.channel_number) == (7, 7)
    assert (method.method.exchange, method.method.routing_key, method.method.mandatory) == (exchange, key, mandatory)
    assert header.body_size == len(body)
    assert b"".join(one.fragment for one in bodies) == body
    assert all(len(one.fragment) + 8 <= 4096 for one in bodies)
    assert header.properties.delivery_mode == (2 if durable else 1)
    assert (header.properties.headers or {}) == told
    for name in ("correlation_id", "reply_to", "message_id", "type", "user_id"):
        assert (getattr(header.properties, name) or "") == properties.get(name, "")


@given(st.lists(st.binary(min_size=1, max_size=50)), st.integers(1, 200))
def test_pieces_are_the_same_bytes(frames: list[bytes], size: int) -> None:
    pieces = list(in_pieces(frames, size))
    assert b"".join(pieces) == b"".join(frames)
    assert all(len(piece) >= size for piece in pieces[:-1])
