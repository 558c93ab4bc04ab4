"""Write what follows from schemas and handlers: schemas/types.py and schemas/asyncapi.json."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bus.discover import Handler, handlers
from bus.event import CONTENT_TYPE, LARGEST_BODY_BYTES
from bus.reply_to import REPLY_TO
from bus.topology import EVENTS, GATE, INGRESS, REQUESTS, Topology, topology
from pilot import VERSION
from schemas import catalogue, exchange_of, journaled, key_of

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "python -m deploy.generate"
REFUSED = "request.refused.v1.reply"
SERVICES = ("bus.gate", "bus.clock", "bus.broker_events", "timer")  # those who say something and are no handler
WIDTH = 120

Words = Mapping[str, Mapping[str, Any]]
Json = dict[str, Any]

_HEAD = f'''"""Bodies of the events, requests and replies, for the type checker alone. Written by `{COMMAND}`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:  # not in Python 3.9, which imports this all the same
    from typing_extensions import NotRequired
'''
_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def types_of(words: Words) -> str:
    """The module with one TypedDict per body, those of its inner objects before it."""
    classes: list[str] = []
    for name in sorted(words):
        _class(_camel(name), words[name], words[name]["title"], classes)
    return "\n\n\n".join([_HEAD.rstrip(), *classes]) + "\n"


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.replace("_", ".").split("."))


def _class(name: str, schema: Mapping[str, Any], title: str, classes: list[str]) -> None:
    required = set(schema.get("required", ()))
    lines = [f"class {name}(TypedDict):", textwrap.indent(f'"""{title}"""', "    "), ""]
    for field, inner in schema["properties"].items():
        kind = _annotation(name + _camel(field), inner, classes)
        lines.append(f"    {field}: {kind if field in required else f'NotRequired[{kind}]'}")
    classes.append("\n".join(lines))


def _annotation(name: str, schema: Mapping[str, Any], classes: list[str]) -> str:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " | ".join(_of_kind(kind, name, schema, classes) for kind in kinds)


def _of_kind(kind: str, name: str, schema: Mapping[str, Any], classes: list[str]) -> str:
    if kind == "array":
        return f"list[{_annotation(name, schema['items'], classes)}]"
    if kind == "string" and "enum" in schema:
        return f"Literal[{', '.join(json.dumps(value) for value in schema['enum'])}]"
    if kind != "object":
        return _SCALARS[kind]
    others = schema.get("additionalProperties")
    if others is not None:
        return f"dict[str, {_annotation(name, others, classes) if isinstance(others, dict) else 'Any'}]"
    _class(name, schema, schema["description"].split(". ")[0].split(": ")[0].rstrip(".") + ".", classes)
    return name


def asyncapi(words: Words, found: Sequence[Handler], made: Topology) -> Json:
    """The bus as AsyncAPI 3.0.0: from the side of the services, which receive what outsiders send."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "pilotbus",
            "version": VERSION,
            "description": f"Every word of the bus. Written by `{COMMAND}` from schemas/ and handlers/; do not edit.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {"bus": _SERVER},
        "channels": dict(_channels(words, made)),
        "operations": dict(_operations(words, found)),
        "components": {
            "schemas": {
                "envelope": _ENVELOPE,
                "properties": _PROPERTIES,
                **{n: _body(words[n]) for n in sorted(words)},
            },
            "messages": {name: _message(name, words[name]) for name in sorted(words)},
            "securitySchemes": {"account": {"type": "plain", "description": "PLAIN over TLS, one account per person."}},
        },
        "x-rabbitmq": _broker(made),
    }


_SERVER: Json = {
    "host": "{host}:{port}",
    "protocol": "amqps",
    "protocolVersion": "0.9.1",
    "pathname": "/{vhost}",
    "description": "RabbitMQ 3.10 or later. What an account may read and write is in bus/README.md.",
    "variables": {
        "host": {"default": "127.0.0.1", "description": "Where the broker is."},
        "port": {"default": "5671", "description": "Its TLS port."},
        "vhost": {"default": "pilotbus", "description": "The virtual host of this bus."},
    },
    "security": [{"$ref": "#/components/securitySchemes/account"}],
}
_ENVELOPE: Json = {
    "type": "object",
    "description": f"CloudEvents 1.0, structured JSON, at most {LARGEST_BODY_BYTES} bytes.",
    "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
    "properties": {
        "specversion": {"type": "string", "const": "1.0", "description": "CloudEvents' version."},
        "id": {
            "type": "string",
            "format": "uuid",
            "description": "Chosen by the author: sending twice is sending once.",
        },
        "source": {"type": "string", "maxLength": 256, "description": "/<account>/<component>: who says it."},
        "type": {"type": "string", "maxLength": 256, "description": "The word, with its major version."},
        "subject": {
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]{1,64}$",
            "description": "What it is about, as one word.",
        },
        "time": {"type": "string", "format": "date-time", "description": "When it happened, by its author's clock."},
        "datacontenttype": {"type": "string", "const": "application/json", "description": "What data is."},
        "partitionkey": {"type": "string", "maxLength": 256, "description": "What orders it, when not the subject."},
        "causationid": {"type": "string", "maxLength": 256, "description": "The id of what it follows from."},
        "correlationid": {"type": "string", "maxLength": 256, "description": "The id of what all this began with."},
        "traceparent": {"type": "string", "maxLength": 256, "description": "W3C trace context of its origin."},
        "authid": {"type": "string", "maxLength": 256, "description": "The verified sender; only the gate sets it."},
        "data": {"type": "object", "description": "The body, which the type's own schema describes."},
    },
}
_PROPERTIES: Json = {
    "type": "object",
    "description": "AMQP properties: copies for the broker, never read back as truth, but for user_id, which it verifies.",
    "properties": {
        "message_id": {"type": "string", "description": "The envelope's id."},
        "type": {"type": "string", "description": "The envelope's type."},
        "user_id": {"type": "string", "description": "The account that is logged in."},
        "reply_to": {"type": "string", "description": f"Requests only: {REPLY_TO}, and nothing else."},
        "correlation_id": {"type": "string", "description": "Requests and replies: the id of the request's envelope."},
    },
}


def _broker(made: Topology) -> Json:
    return {
        "exchanges": [{"name": name, "type": kind, "durable": True} for name, kind in made.exchanges.items()],
        "queues": [{"name": queue.name, "durable": True, "arguments": dict(queue.arguments)} for queue in made.queues],
        "bindings": [{"exchange": b.exchange, "queue": b.queue, "routing_key": b.routing_key} for b in made.bindings],
    }


def _body(schema: Mapping[str, Any]) -> Json:
    return {name: value for name, value in schema.items() if not name.startswith("x-") and name != "$id"}


def _message(name: str, schema: Mapping[str, Any]) -> Json:
    typed = {"type": {"type": "string", "const": name}, "data": {"$ref": f"#/components/schemas/{name}"}}
    message = {
        "name": name,
        "title": schema["title"],
        "description": schema["description"],
        "contentType": CONTENT_TYPE,
        "headers": {"$ref": "#/components/schemas/properties"},
        "payload": {"allOf": [{"$ref": "#/components/schemas/envelope"}, {"type": "object", "properties": typed}]},
        "x-emitted-by": schema["x-emitted-by"],
        "x-key": key_of(schema),
        "x-journal": journaled(schema),
    }
    if exchange_of(schema) in (REQUESTS, "reply"):
        message["correlationId"] = {"location": "$message.header#/correlation_id", "description": "The request's id."}
    return message


def _channels(words: Words, made: Topology) -> Iterator[tuple[str, Json]]:
    for name in sorted(words):
        exchange = exchange_of(words[name])
        if exchange == INGRESS:
            yield f"{INGRESS}.{name}", _channel(name, words[name], INGRESS, made)
            yield f"{EVENTS}.{name}", _channel(name, words[name], EVENTS, made)
        elif exchange != "reply":
            yield f"{exchange}.{name}", _channel(name, words[name], exchange, made)
        elif name != REFUSED:
            yield f"reply.{name.removesuffix('.reply')}", _reply_channel(name, words[name])


def _channel(name: str, schema: Mapping[str, Any], exchange: str, made: Topology) -> Json:
    trusted = exchange == EVENTS
    key = f"{name}.{{subject}}" if trusted else f"{{account}}.{name}.{{subject}}"
    subject = f"The {key_of(schema)} of the body." if key_of(schema) else "What it is about, as one word."
    account = {"account": {"description": "The sender's own account."}}
    heard = {f"{name}.*", f"*.{name}.*", "#"}
    queues = [b.queue for b in made.bindings if b.exchange == exchange and b.routing_key in heard]
    binding = {"name": exchange, "type": made.exchanges[exchange], "durable": True, "autoDelete": False, "vhost": "/"}
    facts: Json = {"exchange": exchange, "queues": queues, "trusted": trusted}
    if exchange == INGRESS:
        facts["gate"] = {"queue": GATE, "says_again_on": EVENTS}
    return {
        "address": key,
        "title": schema["title"],
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "parameters": {**({} if trusted else account), "subject": {"description": subject}},
        "bindings": {"amqp": {"is": "routingKey", "exchange": binding, "bindingVersion": "0.3.0"}},
        "x-rabbitmq": facts,
    }


def _reply_channel(name: str, schema: Mapping[str, Any]) -> Json:
    queue = {"name": REPLY_TO, "durable": False, "exclusive": True, "autoDelete": True, "vhost": "/"}
    return {
        "address": None,
        "title": schema["title"],
        "messages": {word: {"$ref": f"#/components/messages/{word}"} for word in (name, REFUSED)},
        "bindings": {"amqp": {"is": "queue", "queue": queue, "bindingVersion": "0.3.0"}},
    }


def _operations(words: Words, found: Sequence[Handler]) -> Iterator[tuple[str, Json]]:
    for handler in found:
        for name in (*handler.consumes, *handler.wakes):
            exchange = exchange_of(words[name])
            heard = EVENTS if exchange == INGRESS else exchange
            operation = _operation("receive", heard, name, handler.summary)
            yield f"{handler.name}.takes.{name}", operation | (_reply(name) if exchange == REQUESTS else {})
        for name in handler.emits:
            yield f"{handler.name}.says.{name}", _operation("send", EVENTS, name, handler.summary)
    for name in sorted(words):
        if exchange_of(words[name]) == INGRESS:
            yield f"{GATE}.takes.{name}", _operation("receive", INGRESS, name, "Check what an outsider says.")
            yield f"{GATE}.says.{name}", _operation("send", EVENTS, name, "Say again what is right.")
        for author in sorted(set(SERVICES).intersection(words[name]["x-emitted-by"])):
            yield f"{author}.says.{name}", _operation("send", EVENTS, name, words[name]["title"])


def _operation(action: str, exchange: str, name: str, summary: str) -> Json:
    channel = f"#/channels/{exchange}.{name}"
    messages = [{"$ref": f"{channel}/messages/{name}"}]
    return {"action": action, "channel": {"$ref": channel}, "summary": summary, "messages": messages}


def _reply(name: str) -> Json:
    channel = f"#/channels/reply.{name}"
    address = {"location": "$message.header#/reply_to", "description": "Direct reply-to: only the asker can read it."}
    messages = [{"$ref": f"{channel}/messages/{word}"} for word in (f"{name}.reply", REFUSED)]
    return {"reply": {"address": address, "channel": {"$ref": channel}, "messages": messages}}


def generated() -> dict[Path, str]:
    """What each generated file holds when it is current."""
    words = catalogue()
    found = list(handlers(known=words))
    document = asyncapi(words, found, topology(found, words))
    return {
        ROOT / "schemas" / "types.py": types_of(words),
        ROOT / "schemas" / "asyncapi.json": json.dumps(document, indent=1, ensure_ascii=False) + "\n",
    }


def stale() -> list[Path]:
    """The generated files that are missing or are not what they would be now."""
    return [path for path, text in generated().items() if not path.is_file() or path.read_text(encoding="utf-8") != text]


def main(arguments: Sequence[str] | None = None) -> int:
    """The generated files are current; or, with --check, 1 and their names on standard error when they are not."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    old = stale()
    if parser.parse_args(arguments).check:
        for path in old:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale: run {COMMAND}\n")
        return 1 if old else 0
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
    for path in old:
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
