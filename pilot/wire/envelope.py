"""The envelope of everything that crosses the wire: CloudEvents 1.0, structured JSON, at most 64 KiB."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

import schemas

LARGEST_BODY_BYTES = 65536
CONTENT_TYPE = "application/cloudevents+json"
REFUSED = "request.refused.v1.reply"


class Refused(Exception):
    """A service said no: a code and one clear sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@lru_cache(maxsize=1)
def words() -> dict[str, Any]:
    """Every schema that this pilot carries, by name."""
    return dict(schemas.catalogue())


def now() -> str:
    """This moment as RFC 3339 in UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seal(name: str, source: str, data: dict[str, Any], default_subject: str) -> dict[str, Any]:
    """The envelope around data that its schema accepts, strictly. Raises schemas.Invalid naming what is wrong."""
    schema = words().get(name)
    if schema is None:
        raise schemas.Invalid(f"{name}: this pilot carries no such schema")
    schemas.check(schema, data, strict=True, at=name)
    envelope = wrap(name, source, data, str(data.get(schema.get("x-key", ""), default_subject)))
    encode(envelope)  # too large is the speaker's mistake, and is found here rather than on the wire
    return envelope


def wrap(name: str, source: str, data: dict[str, Any], subject: str) -> dict[str, Any]:
    """The envelope around data that is surely what its schema says, such as lines that were cut to measure."""
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": source,
        "type": name,
        "subject": subject,
        "time": now(),
        "datacontenttype": "application/json",
        "data": data,
    }


def encode(envelope: dict[str, Any]) -> bytes:
    """The bytes that travel. Raises schemas.Invalid above 64 KiB."""
    raw = json.dumps(envelope, separators=(",", ":"), allow_nan=False).encode()
    if len(raw) > LARGEST_BODY_BYTES:
        raise schemas.Invalid(f"{envelope['type']}: {len(raw)} bytes are more than {LARGEST_BODY_BYTES}")
    return raw


def open_reply(raw: bytes, request_type: str) -> dict[str, Any]:
    """What the reply to a request of this type says. Raises Refused when it says no, or nothing we understand."""
    try:
        envelope = json.loads(raw)
        name, data = envelope["type"], envelope["data"]
        if name == REFUSED:
            raise Refused(str(data.get("code", "invalid")), str(data.get("reason", "no reason was given")))
        if name != f"{request_type}.reply" or not isinstance(data, dict):
            raise schemas.Invalid(f"{request_type}: the reply is a {name}")
        schemas.check(words()[name], data, strict=False, at=name)
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise Refused("invalid", f"the reply to {request_type} is not understood: {problem}") from problem
    return data
