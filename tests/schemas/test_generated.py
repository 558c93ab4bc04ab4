"""What follows from the schemas follows from today's: types.py and asyncapi.json are current, and whole."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic_asyncapi.v3 import AsyncAPI

from deploy import generate
from schemas import catalogue, exchange_of

WORDS = catalogue()
GENERATED = {path.name: text for path, text in generate.generated().items()}
DOCUMENT: dict[str, Any] = json.loads(GENERATED["asyncapi.json"])


def references(value: Any) -> Iterator[str]:
    """Every $ref in the document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def at(reference: str) -> Any:
    """What a reference inside the document means."""
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found


def payload(name: str) -> dict[str, Any]:
    """The whole message as one JSON Schema, its references included."""
    return {**DOCUMENT["components"]["messages"][name]["payload"], "components": DOCUMENT["components"]}


def envelope(name: str, data: Any) -> dict[str, Any]:
    """A message of this type around the data."""
    return {
        "specversion": "1.0",
        "id": "c0a1f6de-2c5b-4a57-9a3d-6f2f0f6b8f10",
        "source": "/ada/test",
        "type": name,
        "subject": "1",
        "time": "2026-11-21T05:08:12.345Z",
        "data": data,
    }


def test_what_is_checked_in_is_current() -> None:
    assert [path.name for path in generate.stale()] == []


def test_check_names_the_stale_file_and_writing_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "schemas").mkdir()
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    capsys.readouterr()
    (tmp_path / "schemas" / "types.py").write_text("old")
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err == "schemas/types.py is stale: run python -m deploy.generate\n"
    assert (tmp_path / "schemas" / "types.py").read_text() == "old"


def test_there_is_one_typed_body_for_each_word_with_its_fields() -> None:
    spec = importlib.util.spec_from_loader("types_of_words", loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    exec(compile(GENERATED["types.py"], "types.py", "exec"), module.__dict__)
    for name, schema in WORDS.items():
        body = getattr(module, "".join(part[:1].upper() + part[1:] for part in re.split(r"[._]", name)))
        assert body.__doc__ == schema["title"]
        assert set(body.__annotations__) == set(schema["properties"])


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert found
    for reference in found:
        assert at(reference), reference


def test_every_word_is_said_or_taken_somewhere() -> None:
    carried = {name for channel in DOCUMENT["channels"].values() for name in channel["messages"]}
    assert carried == set(WORDS) == set(DOCUMENT["components"]["messages"])
    used = {operation["channel"]["$ref"] for operation in DOCUMENT["operations"].values()}
    used |= {o["reply"]["channel"]["$ref"] for o in DOCUMENT["operations"].values() if "reply" in o}
    assert used == {f"#/channels/{name}" for name in DOCUMENT["channels"]}


def test_an_operation_speaks_only_what_its_channel_carries() -> None:
    for operation in DOCUMENT["operations"].values():
        for side in (operation, operation.get("reply", operation)):
            assert all(message["$ref"].startswith(side["channel"]["$ref"] + "/messages/") for message in side["messages"])


def test_every_request_has_its_reply_and_its_refusal_on_the_askers_own_queue() -> None:
    asked = {
        message["$ref"].rpartition("/")[2]: operation["reply"]
        for operation in DOCUMENT["operations"].values()
        for message in operation["messages"]
        if "reply" in operation
    }
    assert set(asked) == {name for name, schema in WORDS.items() if exchange_of(schema) == "requests"}
    for name, reply in asked.items():
        assert reply["address"]["location"] == "$message.header#/reply_to"
        assert [m["$ref"].rpartition("/")[2] for m in reply["messages"]] == [f"{name}.reply", generate.REFUSED]


def test_what_an_outsider_says_is_said_again_behind_the_gate() -> None:
    for name, schema in WORDS.items():
        if exchange_of(schema) == "ingress":
            outside, inside = DOCUMENT["channels"][f"ingress.{name}"], DOCUMENT["channels"][f"events.{name}"]
            assert outside["address"] == f"{{account}}.{name}.{{subject}}"
            assert inside["address"] == f"{name}.{{subject}}"
            assert outside["x-rabbitmq"]["gate"] == {"queue": "gate", "says_again_on": "events"}
            assert outside["x-rabbitmq"]["queues"] == ["gate"]


def test_the_broker_is_described_whole() -> None:
    broker = DOCUMENT["x-rabbitmq"]
    queues = {queue["name"] for queue in broker["queues"]}
    exchanges = {exchange["name"] for exchange in broker["exchanges"]}
    assert all(b["queue"] in queues and b["exchange"] in exchanges for b in broker["bindings"])
    assert all(set(c.get("x-rabbitmq", {}).get("queues", ())) <= queues for c in DOCUMENT["channels"].values())


@pytest.mark.parametrize("name", sorted(WORDS))
def test_a_payload_is_a_json_schema_that_takes_the_examples_and_no_other_type(name: str) -> None:
    schema = payload(name)
    jsonschema.Draft7Validator.check_schema(schema)
    judge = jsonschema.Draft7Validator(schema)
    for example in WORDS[name]["examples"]:
        judge.validate(envelope(name, example))
    assert not judge.is_valid(envelope("job.other.v1", WORDS[name]["examples"][0]))
    assert not judge.is_valid(envelope(name, []))


def test_the_document_fits_the_model_of_asyncapi_3() -> None:
    spelt = copy.deepcopy(DOCUMENT)
    # the model is wrong in two places where the specification's own parser is right
    for channel in spelt["channels"].values():
        binding = channel["bindings"]["amqp"]
        binding["is"] = {"routingKey": "exchange", "queue": "queue"}[binding["is"]]
    assert [server.pop("security") for server in spelt["servers"].values()] == [
        [{"$ref": "#/components/securitySchemes/account"}]
    ]
    found = AsyncAPI.model_validate(spelt)
    assert found.asyncapi == "3.0.0"
    assert found.channels is not None
    assert len(found.channels) == len(DOCUMENT["channels"])
