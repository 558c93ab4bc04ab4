"""frames: what is written is what is read, in whatever pieces it comes; what is no STOMP ends in one sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilot.wire.frames import LARGEST_BODY_BYTES, LARGEST_HEAD_BYTES, BadFrame, Frame, Reader, written

TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=30)
FRAMES = st.lists(
    st.builds(
        Frame,
        st.sampled_from(["SEND", "MESSAGE", "RECEIPT"]),
        st.dictionaries(TEXT.filter(lambda name: name != "content-length"), TEXT, max_size=5),
        st.binary(max_size=200),
    ),
    max_size=4,
)


@given(FRAMES, st.integers(1, 50))
def test_frames_come_back_whole_from_any_pieces(frames: list[Frame], size: int) -> None:
    raw = b"\n".join(map(written, frames)) + b"\n"
    reader = Reader()
    found = [frame for start in range(0, len(raw), size) for frame in reader.feed(raw[start : start + size])]
    for frame, came in zip(frames, found, strict=True):
        assert (came.command, came.body) == (frame.command, frame.body)
        assert came.headers == {**frame.headers, "content-length": str(len(frame.body))}


@given(st.binary(max_size=300), st.integers(1, 50))
def test_noise_is_refused_or_waited_for_and_never_fails_otherwise(noise: bytes, size: int) -> None:
    reader = Reader()
    try:
        for start in range(0, len(noise), size):
            list(reader.feed(noise[start : start + size]))
    except BadFrame as problem:
        assert str(problem)


def test_a_body_may_hold_nulls_and_the_first_of_two_headers_holds() -> None:
    (frame,) = Reader().feed(b"\r\n\nMESSAGE\r\na:1\r\na:2\r\ncontent-length:3\r\n\r\n\0\0\0\0\n")
    assert frame == Frame("MESSAGE", {"a": "1", "content-length": "3"}, b"\0\0\0")


def test_the_headers_of_connected_are_read_as_they_are() -> None:
    (frame,) = Reader().feed(b"CONNECTED\nserver:a\\b:c\n\n\0")
    assert frame.headers == {"server": "a\\b:c"}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\n\n", "no command of STOMP"),
        (b"MESSAGE\nno colon\n\n\0", "has no colon"),
        (b"MESSAGE\na:\\t\n\n\0", "no escape of STOMP"),
        (b"MESSAGE\na:\\\n\n\0", "no escape of STOMP"),
        (b"MESSAGE\n\xff:1\n\n\0", "not UTF-8"),
        (b"MESSAGE\ncontent-length:-1\n\n\0", "no number"),
        (b"MESSAGE\ncontent-length:99999999999\n\n\0", "no number"),
        (b"MESSAGE\ncontent-length:\xd9\xa3\n\nabc\0", "no number"),
        (b"MESSAGE\ncontent-length:2\n\nabc\0", "not 2 bytes long"),
        (b"MESSAGE\ncontent-length:%d\n\n" % (LARGEST_BODY_BYTES + 1), "body has more than"),
        (b"MESSAGE\n\n" + b"x" * (LARGEST_BODY_BYTES + 1), "body has more than"),
        (b"MESSAGE\n" + b"x" * LARGEST_HEAD_BYTES, "headers have more than"),
        (b"MESSAGE\n" + b"a:b\n" * LARGEST_HEAD_BYTES + b"\n", "headers have more than"),
    ],
)
def test_what_is_no_stomp_is_one_sentence(raw: bytes, said: str) -> None:
    with pytest.raises(BadFrame, match=said):
        list(Reader().feed(raw))


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
def test_a_login_that_would_write_a_header_of_its_own_is_refused(value: str) -> None:
    with pytest.raises(BadFrame, match="can not be written"):
        written(Frame("CONNECT", {"login": value}))
