"""WIRE.md: every message that it shows is one that would be taken."""

from __future__ import annotations

import json
import re

import pytest

import schemas
from bus.apply import Words
from bus.event import Event
from deploy.pilot_zip import ROOT, _python, _said
from pilot.wire.frames import Frame, Reader

WIRE = (ROOT / "pilot" / "WIRE.md").read_text(encoding="utf-8")
JSON = re.findall(r"^<!-- (\w+) ?([\w.]*) -->\n```json\n(.*?)^```$", WIRE, re.DOTALL | re.MULTILINE)
FRAMES = re.findall(r"^```stomp\n(.*?)^```$", WIRE, re.DOTALL | re.MULTILINE)


def frame(text: str) -> Frame:
    """The frame that a block shows."""
    (found,) = Reader().feed(text.replace("^@", "\0").encode())
    return found


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for mark, kind, text in JSON if mark == "data"])
def test_each_body_is_what_its_schema_wants(words: Words, kind: str, text: str) -> None:
    schemas.check(words.known[kind], json.loads(text), strict=True)


@pytest.mark.parametrize("text", [text for mark, _, text in JSON if mark == "event"])
def test_each_envelope_is_an_event(words: Words, text: str) -> None:
    words.judge(Event.from_json(text.encode()), strict=True)


def test_every_block_is_looked_at() -> None:
    assert {mark for mark, _, _ in JSON} == {"door", "data", "event"}
    assert len(JSON) == WIRE.count("```json")
    assert all(json.loads(text) for _, _, text in JSON)


def test_the_door_answers_as_its_schema_says(words: Words) -> None:
    _, answer = (json.loads(text) for mark, _, text in JSON if mark == "door")
    schemas.check(words.known["pilot.enrol.v1.reply"], answer, strict=True)


def test_each_frame_is_stomp_and_is_sent_where_its_event_belongs(words: Words) -> None:
    frames = [frame(text) for text in FRAMES]
    assert [found.command for found in frames] == ["CONNECT", "SUBSCRIBE", "SEND"]
    sent = frames[-1]
    event = Event.from_json(sent.body)
    words.judge(event, strict=True)
    exchange = schemas.exchange_of(words.known[event.type])
    assert sent.headers["destination"] == f"/exchange/{exchange}/{frames[0].headers['login']}.{event.type}.{event.subject}"
    assert sent.headers["amqp-message-id"] == sent.headers["receipt"] == event.id


def test_every_word_that_a_pilot_speaks_is_described() -> None:
    spoken = _said(_python(ROOT, "pilot"))
    assert sorted(name for name in spoken if name.removesuffix(".reply") not in WIRE) == []
