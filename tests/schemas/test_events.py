"""The words of the house: each file says what it is, its examples are right, and `check` judges as JSON Schema does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.discover import handlers
from bus.event import LARGEST_BODY_BYTES
from schemas import FORMATS, OUTSIDERS, Invalid, catalogue, check, exchange_of, is_moment, journaled, key_of
from tests.schemas.draw import body, spoil

ROOT = Path(__file__).resolve().parents[2] / "schemas"
WORDS = catalogue()
FILES = sorted(path for kind in ("events", "requests", "replies") for path in (ROOT / kind).glob("*/*.json"))
ABOUT = {"$id", "title", "description", "x-emitted-by", "x-key", "x-exchange", "x-journal", "examples"}
JUDGED = {
    "type", "required", "properties", "items", "enum", "const", "pattern", "format", "minimum", "maximum",
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "additionalProperties",
}  # fmt: skip
BOUNDS = {
    "string": {"maxLength"},
    "array": {"maxItems", "items"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "object": set(),
    "boolean": set(),
    "null": set(),
}
NO_HANDLERS = OUTSIDERS | {"timer", "bus.gate", "bus.clock", "bus.broker_events", "any"}

EVERY_WORD = pytest.mark.parametrize("name", sorted(WORDS))
FORMAT_CHECKER = jsonschema.FormatChecker(formats=())
for _name, _judge in FORMATS.items():
    FORMAT_CHECKER.checks(_name)(lambda value, judge=_judge: not isinstance(value, str) or judge(value))


def parts(schema: dict[str, Any], at: str) -> list[tuple[str, dict[str, Any]]]:
    """The schema and every schema inside it, with its place."""
    inner = [(f"{at}.{name}", part) for name, part in schema.get("properties", {}).items()]
    inner += [(f"{at}[]", schema[key]) for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    return [(at, schema), *(found for place, part in inner for found in parts(part, place))]


def closed(schema: Any) -> Any:
    """The same schema, and JSON Schema refuses the names that `check` refuses when it is strict."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: value if key == "examples" else closed(value) for key, value in schema.items() if key != "$id"}
    named = isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema and "type" in schema
    return found | ({"additionalProperties": False} if named else {})


def validator(schema: dict[str, Any]) -> jsonschema.Draft7Validator:
    """The jsonschema package's judgement, with our two formats."""
    return jsonschema.Draft7Validator(schema, format_checker=FORMAT_CHECKER)


def judged(schema: dict[str, Any], value: Any, *, strict: bool) -> str:
    """What `check` has against the value, or nothing."""
    try:
        check(schema, value, strict=strict)
    except Invalid as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_called_what_it_calls_itself(path: Path) -> None:
    kind, room, leaf = path.relative_to(ROOT).parts
    name = f"{room}.{leaf.removesuffix('.json')}{'.reply' if kind == 'replies' else ''}"
    assert json.loads(path.read_text(encoding="utf-8"))["$id"] == name
    assert WORDS[name]["$id"] == name
    assert re.fullmatch(r"[a-z]+\.[a-z_]+\.v[1-9]", name.removesuffix(".reply"))


def test_every_file_is_in_the_catalogue() -> None:
    assert len(FILES) == len(WORDS)


@EVERY_WORD
def test_only_known_keywords_are_used(name: str) -> None:
    for at, part in parts(WORDS[name], name):
        about = ABOUT if at == name else {"title", "description", "examples"}
        assert set(part) - about - JUDGED == set(), at


@EVERY_WORD
def test_everything_is_described_and_bounded(name: str) -> None:
    schema = WORDS[name]
    assert schema["title"] == schema["title"].strip(". ")
    assert '"' not in schema["title"]
    for at, part in parts(schema, name):
        if not at.endswith("[]") or part.get("type") == "object":
            assert part["description"].endswith("."), at
        kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
        for kind in kinds:
            assert set(part) >= BOUNDS[kind], at
        if "object" in kinds:
            assert "properties" in part or part["maxProperties"], at
            assert set(part.get("required", ())) <= set(part.get("properties", {})), at


@EVERY_WORD
def test_a_pattern_is_anchored_and_every_choice_explained(name: str) -> None:
    for at, part in parts(WORDS[name], name):
        if "pattern" in part:
            assert re.fullmatch(r"\^[^|]+\$", part["pattern"]), at  # so that search means what fullmatch means
        for choice in part.get("enum", ()):
            assert isinstance(choice, str), at
            assert choice in part["description"], at


@EVERY_WORD
def test_who_says_it_is_known_and_the_key_is_a_field_that_is_always_there(name: str) -> None:
    schema = WORDS[name]
    assert schema["x-emitted-by"], name
    assert key_of(schema) is None or key_of(schema) in schema["required"]
    if exchange_of(schema) == "requests":
        assert set(schema["x-emitted-by"]) <= OUTSIDERS
        assert f"{name}.reply" in WORDS
    if exchange_of(schema) == "reply" and name != "request.refused.v1.reply":
        assert name.removesuffix(".reply") in WORDS


def test_handlers_and_schemas_agree_on_who_says_what() -> None:
    found = {handler.name: handler for handler in handlers(known=WORDS)}
    said = {(emitter, name) for name, schema in WORDS.items() for emitter in schema["x-emitted-by"]} - {
        (emitter, name) for name in WORDS for emitter in NO_HANDLERS
    }
    replies = {(h.name, f"{kind}.reply") for h in found.values() for kind in h.consumes if f"{kind}.reply" in WORDS}
    assert said == {(handler.name, name) for handler in found.values() for name in handler.emits} | replies


def test_where_a_word_is_sent_follows_from_who_says_it() -> None:
    places = {name: (exchange_of(WORDS[name]), journaled(WORDS[name])) for name in WORDS}
    assert places["job.reported.v1"] == ("ingress", True)
    assert places["site.described.v1"] == ("ingress", True)
    assert places["job.matched.v1"] == ("events", True)
    assert places["log.written.v1"] == ("telemetry", False)
    assert places["log.stored.v1"] == ("events", False)
    assert places["job.submit.v1"] == ("requests", False)
    assert places["job.submit.v1.reply"] == ("reply", False)


@EVERY_WORD
def test_the_examples_are_right_here_and_for_others(name: str) -> None:
    schema = WORDS[name]
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["examples"]
    for example in schema["examples"]:
        check(schema, example, strict=True)
        validator(schema).validate(example)
        assert len(json.dumps(example)) < LARGEST_BODY_BYTES / 2


@EVERY_WORD
def test_a_name_that_nobody_knows_is_refused_going_out_and_ignored_coming_in(name: str) -> None:
    schema = WORDS[name]
    example = schema["examples"][0] | {"colour": "green"}
    assert judged(schema, example, strict=True) == "body: does not know colour"
    assert judged(schema, example, strict=False) == ""


@EVERY_WORD
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whatever_is_drawn_from_a_schema_is_right(name: str, data: st.DataObject) -> None:
    drawn = data.draw(body(WORDS[name]))
    check(WORDS[name], drawn, strict=True)
    validator(closed(WORDS[name])).validate(drawn)


@EVERY_WORD
@settings(max_examples=50, deadline=None)
@given(data=st.data(), strict=st.booleans())
def test_check_and_json_schema_agree_on_spoilt_bodies(name: str, data: st.DataObject, strict: bool) -> None:
    schema = WORDS[name]
    spoilt = spoil(data, data.draw(body(schema)))
    theirs = validator(closed(schema) if strict else schema).is_valid(spoilt)
    assert (judged(schema, spoilt, strict=strict) == "") == theirs


NAMED = {"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string", "pattern": "^[a-z]+$"}}}


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"n": "1"}, "body.n: wants integer, has string"),
        ({"n": True}, "body.n: wants integer, has boolean"),
        ({"n": 1.0}, "body.n: wants integer, has number"),  # JSON Schema calls it an integer, Postgres does not
        ({"n": float("nan")}, "body.n: wants integer, has number"),
        ({"x": float("nan")}, "body.x: nan is not JSON"),
        ({"x": float("-inf")}, "body.x: -inf is not JSON"),
        ({"s": "ada\n"}, "body.s: 'ada\\n' does not match ^[a-z]+$"),
        ({"x": "a\0b"}, "body.x: holds a NUL or half a surrogate pair, which cannot be stored"),
        ({"x": "\ud800"}, "body.x: holds a NUL or half a surrogate pair, which cannot be stored"),
        ({"x\0": 1}, "body: the name 'x\\x00' cannot be stored"),
        ({"x": (1, 2)}, "body.x: tuple is not JSON"),
        ([], "body: wants object, has array"),
        (None, "body: wants object, has null"),
    ],
)
def test_a_refusal_is_one_sentence_that_names_the_place(value: Any, sentence: str) -> None:
    assert judged(NAMED, value, strict=False) == sentence


def test_what_is_nested_too_deep_is_refused_and_not_followed() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {"x": deep}
    assert judged({}, deep, strict=False).endswith("is nested deeper than 32")
    assert judged({}, [[[[[[[[1]]]]]]]], strict=True) == ""


def test_a_refusal_stays_short_whatever_was_sent() -> None:
    values = [{"n": 10**5000}, {"n": "x" * 60_000}, {"s": "X" * 60_000}, {"y" * 60_000: 1}, {"y" * 60_000: float("nan")}]
    schema = NAMED | {"properties": NAMED["properties"] | {"n": {"type": "integer", "maximum": 5}}}  # type: ignore[operator]
    assert all(0 < len(judged(schema, value, strict=True)) < 300 for value in values)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("2026-11-21T05:08:12.345Z", True),
        ("2024-02-29T23:59:59+08:00", True),
        ("2026-02-29T00:00:00Z", False),
        ("2026-11-21T24:00:00Z", False),
        ("2026-11-21T05:08:12", False),
        ("2026-11-21 05:08:12Z", False),
        ("2026-11-21T05:08:12+23:00", False),
        ("2026-W47-6T05:08:12Z", False),
        ("٢٠٢٦-11-21T05:08:12Z", False),
    ],
)
def test_a_moment_is_one_that_exists(text: str, right: bool) -> None:
    assert is_moment(text) is right


def write(home: Path, place: str, **schema: Any) -> None:
    """A schema file in an extension."""
    path = home / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(schema), encoding="utf-8")


def test_an_extension_adds_words_and_shares_the_houses_definitions(tmp_path: Path) -> None:
    field = {"$ref": "_common.json#/$defs/job_id", "description": "Its job."}
    write(tmp_path, "events/lhcb/notified.v1.json", **{"$id": "lhcb.notified.v1", "properties": {"job_id": field}})
    found = catalogue(tmp_path)["lhcb.notified.v1"]["properties"]["job_id"]
    assert found == WORDS["job.done.v1"]["properties"]["job_id"] | {"description": "Its job."}


@pytest.mark.parametrize(
    ("place", "schema", "why"),
    [
        ("events/job/done.v1.json", {"$id": "job.done.v1"}, "job.done.v1 is already taken"),
        ("events/lhcb/a.v1.json", {"$id": "lhcb.b.v1"}, "calls itself lhcb.b.v1"),
        ("events/lhcb/a.v1.json", {"$id": "lhcb.a.v1", "items": {"$ref": "_common.json#/$defs/x"}}, "there is no _common"),
    ],
)
def test_a_taken_a_wrong_or_a_dangling_name_stops_the_start(tmp_path: Path, place: str, schema: Any, why: str) -> None:
    write(tmp_path, place, **schema)
    with pytest.raises(LookupError, match=why):
        catalogue(ROOT, tmp_path)


def test_the_words_can_be_read_from_inside_a_zip(tmp_path: Path) -> None:
    target = tmp_path / "words.pyz"
    with zipfile.ZipFile(target, "w") as zipped:
        for name in ("__init__.py", "quick.py", "rules/__init__.py", "rules/secrets.py"):
            zipped.write(ROOT / name, f"schemas/{name}")
        for path in [*FILES, ROOT / "events" / "_common.json"]:
            zipped.write(path, f"schemas/{path.relative_to(ROOT)}")
        zipped.writestr("__main__.py", "import json, schemas\nprint(json.dumps(schemas.catalogue()))\n")
    command = [sys.executable, "-I", str(target)]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == WORDS
