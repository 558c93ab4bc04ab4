"""secrets: what looks like a secret is marked, what was remembered is too, and innocent text stays as it is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules import secrets
from schemas.rules.secrets import MARK, Scrubber, remember, scrub, scrubbed

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwaWxvdC1wMSJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIr\nabc\n-----END EC PRIVATE KEY-----"
SECRET = f"pbs1.p1.{'Ab3_-' * 8}xyz"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"token {JWT}.", f"token {MARK}."),
        (f"a {KEY} b", f"a {MARK} b"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", MARK),
        (f"enrol with {SECRET}", f"enrol with {MARK}"),
        ("amqps://pilot:hunter22@host:5671/v", f"amqps://pilot:{MARK}@host:5671/v"),
        ("Authorization: Bearer abc.def.ghi", f"Authorization: Bearer {MARK}"),
        ("'authorization': 'Basic dXNlcjpwYXNz'", f"'authorization': 'Basic {MARK}'"),
        ("curl -H bearer 0123456789abcdef", f"curl -H bearer {MARK}"),
        ("id " + "AKIA" + "ABCDEFGHIJKLMNOP", f"id {MARK}"),
        ("aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCY", f"aws_secret_access_key = {MARK}"),
        ("https://s3/x?X-Amz-Signature=0123456789&a=1", f"https://s3/x?X-Amz-Signature={MARK}&a=1"),
        ("https://h/sandbox/ab?expires=1&signature=0123abcd", f"https://h/sandbox/ab?expires=1&signature={MARK}"),
    ],
)
def test_a_secret_is_marked_and_nothing_else(text: str, clean: str) -> None:
    assert scrub(text) == clean
    assert scrub(clean) == clean


def test_what_was_remembered_is_marked_and_short_words_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_KNOWN", [])
    remember("correct horse battery")
    remember("it")
    assert scrub("it is correct horse battery, isn't it") == f"it is {MARK}, isn't it"


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters=":=?&"), max_size=300))
def test_innocent_text_is_unchanged(text: str) -> None:
    lowered = text.lower()
    if not any(word in lowered for word in ("eyj", "pbs1", "bearer", "akia", "asia", "private key", "authorization")):
        assert scrub(text) == text


@given(st.text(max_size=300))
def test_twice_is_once(text: str) -> None:
    assert scrub(scrub(text)) == scrub(text)


def test_all_that_is_nested_is_scrubbed() -> None:
    assert scrubbed({"a": [JWT, 1, {"b": (JWT,)}], "c": None}) == {"a": [MARK, 1, {"b": [MARK]}], "c": None}


def test_a_key_that_comes_line_by_line_is_marked_whole_and_in_its_own_stream_only() -> None:
    scrubber = Scrubber()
    lines = [scrubber.line("out", line) for line in ["before", *KEY.split("\n"), "after"]]
    assert lines == ["before", MARK, MARK, MARK, MARK, "after"]
    scrubber.line("out", "-----BEGIN PRIVATE KEY-----")
    assert scrubber.line("err", "innocent") == "innocent"


WORDS = ("eyJ", "://a:", "bearer ", "-----BEGIN ", "x", "-----BEGIN PRIVATE KEY-----", "authorization", "a@", "&signature=")


@pytest.mark.parametrize("word", WORDS)
def test_a_hostile_line_costs_little(word: str) -> None:
    began_s = time.monotonic()
    scrub(word * (1_000_000 // len(word)))
    assert time.monotonic() - began_s < 20, "a pattern that backtracks would take hours"
