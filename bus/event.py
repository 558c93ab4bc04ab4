"""One event: the only thing that crosses between processes. CloudEvents 1.0, structured JSON, at most 64 KiB."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

from schemas import Invalid, is_moment

LARGEST_BODY_BYTES = 65536
LARGEST_PAGE_BYTES = 56_000
CONTENT_TYPE = "application/cloudevents+json"
REFUSED = "request.refused.v1.reply"
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,70}")
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,40}\.[a-z][a-z0-9_]{0,40}\.v[1-9][0-9]{0,2}(\.reply)?")
_SOURCE = re.compile(r"/[a-z][a-zA-Z0-9_-]{0,69}(/[A-Za-z0-9._-]{1,100}){0,2}")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_LABEL = re.compile(r"[!-~]{1,128}")
_DEEPEST = 32
_AT_ONCE = 256


def fitting(rows: Sequence[dict[str, Any]], largest_bytes: int = LARGEST_PAGE_BYTES) -> list[dict[str, Any]]:
    """As many of the rows, from the first, as one reply can carry; always at least one, if there is any."""
    size = 0
    for number, row in enumerate(rows):
        size += len(json.dumps(row)) + 1
        if number and size > largest_bytes:
            return list(rows[:number])
    return list(rows)


def now() -> str:
    """This moment as RFC 3339 in UTC, to the millisecond."""
    return _moment(time.time_ns() // 1_000_000)


@lru_cache(maxsize=16)  # many events are of one moment
def _moment(since_ms: int) -> str:
    return datetime.fromtimestamp(since_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_chance: list[bytes] = []
_VARIANTS = {letter: "89ab"[int(letter, 16) & 3] for letter in "0123456789abcdef"}


def new_id() -> str:
    """A random UUID; as uuid.uuid4, but the system is asked for chance once for many."""
    try:
        drawn = _chance.pop()
    except IndexError:
        many = os.urandom(16 * _AT_ONCE)
        _chance.extend(many[at : at + 16] for at in range(16, len(many), 16))
        drawn = many[:16]
    text = drawn.hex()  # the version is 4, and the variant's two bits are 10 (RFC 9562)
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANTS[text[16]]}{text[17:20]}-{text[20:]}"


os.register_at_fork(after_in_child=_chance.clear)  # or parent and child would draw the same


def audience(routing_key: str, owner: str | None, vo: str | None) -> list[str]:
    """The keys beside its own under which an event travels: `of.<owner>.…` and `in.<vo>.…`."""
    return [f"{word}.{name}.{routing_key}" for word, name in (("of", owner), ("in", vo)) if name]


@dataclass(frozen=True, slots=True)
class Event:
    """A fact that has happened, or a request and its reply: CloudEvents attributes under their own names."""

    type: str
    source: str
    subject: str
    data: Any
    id: str = field(default_factory=new_id)
    time: str = field(default_factory=now)
    partitionkey: str | None = None
    causationid: str | None = None
    correlationid: str | None = None
    traceparent: str | None = None
    authid: str | None = None
    owner: str | None = None
    vo: str | None = None
    _raw: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def answer(self, type: str, subject: object, data: Any) -> Event:  # noqa: A002 - CloudEvents' own word
        """The event that follows from this one: same correlation, same owner, and this one as its cause."""
        return Event(
            type,
            "",  # the runner signs it with the handler's name
            str(subject),
            data,
            causationid=self.id,
            correlationid=self.correlationid or self.id,
            traceparent=self.traceparent,
            owner=self.owner,
            vo=self.vo,
        )

    def of(self, owner: str, vo: str) -> Event:
        """The same event as that person's and that community's, who may follow it."""
        return self._but(owner=owner, vo=vo)

    def reply(self, data: Any) -> Event:
        """The reply to this request."""
        return self.answer(f"{self.type}.reply", self.subject, data)

    def refuse(self, code: str, reason: str) -> Event:
        """The reply that says no: a code (invalid, not_found, denied, conflict, unavailable) and one clear sentence."""
        return self.answer(REFUSED, self.subject, {"code": code, "reason": reason[:2000]})

    def attested(self, account: str) -> Event:
        """The same event with the sender that the broker has verified, and with its order ours to say."""
        return self._but(authid=account, partitionkey=None, owner=None, vo=None)

    def signed(self, source: str) -> Event:
        """The same event with its source."""
        return self._but(source=source)

    def about(self, data: Any) -> Event:
        """The same event with other data."""
        return self._but(data=data)

    def _but(self, **changes: Any) -> Event:
        # a third of what dataclasses.replace takes, and every event is changed some times on its way
        other = object.__new__(Event)
        for keep, value in zip(_KEEP, _told(self), strict=True):
            keep(other, value)
        for name, value in changes.items():
            object.__setattr__(other, name, value)
        object.__setattr__(other, "_raw", None)
        return other

    @property
    def key(self) -> str:
        """What orders events: those of one key are applied one after another."""
        return self.partitionkey or self.subject

    @property
    def age_s(self) -> float:
        """How long ago it happened, by the clock of whoever says it; never less than nothing."""
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(self.time)).total_seconds())

    @property
    def routing_key(self) -> str:
        """Where it goes on a trusted exchange: type first, so that `job.#` means every job event."""
        return f"{self.type}.{self.subject}"

    @property
    def audience(self) -> list[str]:
        """The keys by which its owner and its owner's community follow it, who may not follow all."""
        return audience(self.routing_key, self.owner, self.vo)

    def to_json(self) -> bytes:
        """The bytes that travel and that the event store keeps. Raises Invalid above 64 KiB."""
        if self._raw is not None:
            return self._raw
        attributes = {name: value for name in _ATTRIBUTES if (value := getattr(self, name)) is not None}
        text = _encode(_FIXED | attributes | {"data": self.data})
        if len(text) > LARGEST_BODY_BYTES:
            raise Invalid(
                f"event {self.type}: {len(text)} bytes are more than {LARGEST_BODY_BYTES}; send large data as a sandbox"
            )
        raw = text.encode()
        object.__setattr__(self, "_raw", raw)  # it is judged by its size before it travels, and nothing of it changes
        return raw

    @classmethod
    def from_json(cls, raw: bytes) -> Event:
        """The event of these bytes. Raises Invalid, naming the attribute, when they are none."""
        if len(raw) > LARGEST_BODY_BYTES:
            raise Invalid(f"event: {len(raw)} bytes are more than {LARGEST_BODY_BYTES}")
        body = _decode(raw)
        if body.get("specversion") != "1.0":
            raise Invalid("event: specversion is not 1.0")
        known = {name: body[name] for name in _ATTRIBUTES if body.get(name) is not None}
        for name in ("id", "type", "source", "subject", "time"):
            if name not in known:
                raise Invalid(f"event: lacks {name}")
        for name, value in known.items():
            if not isinstance(value, str) or len(value) > 256:
                raise Invalid(f"event.{name}: is not a string of at most 256 characters")
        _judge(known)
        if "data" not in body:
            raise Invalid("event: lacks data")
        return cls(data=body["data"], **known)


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_NAMES = tuple(name for name in Event.__slots__ if name != "_raw")
_KEEP = tuple(Event.__dict__[name].__set__ for name in _NAMES)
_told = attrgetter(*_NAMES)
_ATTRIBUTES = tuple(name for name in _NAMES if name != "data")
_FIXED = {"specversion": "1.0", "datacontenttype": "application/json"}


def _no_constant(text: str) -> Any:
    raise Invalid(f"event: {text} is not JSON")


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Invalid("event: a name occurs twice in one object")
    return found


def _decode(raw: bytes) -> dict[str, Any]:
    try:  # the order of the clauses matters: each is a ValueError
        body = json.loads(raw.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_doubles)
        deep = _depth(body)
    except Invalid:
        raise
    except (UnicodeDecodeError, RecursionError) as problem:
        raise Invalid(f"event: not JSON ({type(problem).__name__})") from problem
    except json.JSONDecodeError as problem:
        raise Invalid(f"event: not JSON: {problem.msg} at character {problem.pos}") from problem
    except ValueError as problem:
        raise Invalid(f"event: not JSON that can be kept ({problem})") from problem
    if deep > _DEEPEST:
        raise Invalid(f"event: nested deeper than {_DEEPEST}")
    if b"\\u0000" in raw or b"\\ud" in raw.lower():
        _no_unstorable(body)
    if not isinstance(body, dict):
        raise Invalid("event: not a JSON object")
    return body


def _no_unstorable(value: Any) -> None:
    # NUL and lone surrogates are JSON, and Postgres can keep neither
    if isinstance(value, str) and _UNSTORABLE.search(value):
        raise Invalid("event: holds a NUL or half a surrogate pair")
    if isinstance(value, (dict, list)):
        for item in value:
            _no_unstorable(item)
    if isinstance(value, dict):
        for item in value.values():
            _no_unstorable(item)


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        if deepest > _DEEPEST:
            break
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = inner
    return deepest


def _judge(known: dict[str, str]) -> None:
    if not is_moment(known["time"]):
        raise Invalid(f"event.time: {known['time']!r} is no RFC 3339 moment")
    for name in ("partitionkey", "causationid", "correlationid", "traceparent", "authid", "owner", "vo"):
        if name in known and not _LABEL.fullmatch(known[name]):
            raise Invalid(f"event.{name}: {known[name]!r} is not well formed")
    for name, pattern in (("id", _ID), ("type", _TYPE), ("source", _SOURCE), ("subject", _WORD)):
        if not pattern.fullmatch(known[name]):
            raise Invalid(f"event.{name}: {known[name]!r} is not well formed")
