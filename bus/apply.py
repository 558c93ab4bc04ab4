"""Many events through one handler in one transaction: inbox, rows and answers commit together, or not at all."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import psycopg
from psycopg import Connection

from bus import failpoints
from bus.discover import Handler
from bus.errors import Bug, Conflict, Invalid, Later
from bus.event import Event
from bus.postgres import Direct, together
from schemas import catalogue, check, journaled

# rows travel as one JSON text: psycopg's own arrays are dumped letter by letter and cost a fifth of the runner's time
_SEEN = """INSERT INTO bus.inbox (handler, event_id)
SELECT %s, id FROM json_to_recordset(%s::json) AS (id uuid) ON CONFLICT DO NOTHING RETURNING event_id"""
_STORE = """WITH came AS (
    SELECT id, type, subject, body FROM json_to_recordset(%s::json) AS (id uuid, type text, subject text, body json)
), stored AS (
    INSERT INTO bus.events (event_id, type, subject, body) SELECT id, type, subject, body FROM came
)
INSERT INTO bus.unsent (unsent_id) SELECT id FROM came"""

TOGETHER = 200  # so many events are stored at once while others are made

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored:
    """An event with the bytes that travel: in the event store, or not journaled and only passing."""

    event: Event
    body: bytes
    journaled: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of one event: its answers, and whether it had been applied before."""

    event: Event
    answers: tuple[Event, ...]
    repeated: bool = False


class Words:
    """The catalogue as the bus asks it."""

    def __init__(self, known: Mapping[str, dict[str, Any]] | None = None) -> None:
        self.known = dict(known or catalogue())
        self._journaled = {name: journaled(schema) for name, schema in self.known.items()}

    def judge(self, event: Event, *, strict: bool = False) -> None:
        """Raise Invalid, naming the place, unless the event's body is what its schema says."""
        if event.type not in self.known:
            raise Invalid(f"no schema for {event.type}")
        check(self.known[event.type], event.data, strict=strict)

    def journaled(self, type: str) -> bool:  # noqa: A002 - CloudEvents' own word
        """Whether the event store keeps it."""
        return self._journaled[type]


def store(connection: Connection[Any], events: Sequence[Event], words: Words) -> list[Stored]:
    """The events are in the event store and owed to the broker, once the transaction commits."""
    found = [Stored(event, event.to_json(), words.journaled(event.type)) for event in events]
    if kept := [item for item in found if item.journaled]:
        connection.execute(_STORE, ("[" + ",".join(map(_row, kept)) + "]",))
    return found


def _row(item: Stored) -> str:
    # id, type and subject have been judged: none holds a letter that JSON would escape
    event = item.event
    return f'{{"id":"{event.id}","type":"{event.type}","subject":"{event.subject}","body":{item.body.decode()}}}'


def _waves(events: Iterable[Event]) -> list[list[Event]]:
    """Events of different keys together, those of one key one after another, in order."""
    waves: list[list[Event]] = []
    reached: dict[str, int] = {}
    for event in events:
        number = reached.get(event.key, 0)
        reached[event.key] = number + 1
        if number == len(waves):
            waves.append([])
        waves[number].append(event)
    return waves


def unseen(connection: Connection[Any], handler: str, events: Iterable[Event]) -> list[Event]:
    """Those of the events that the handler has not had before, each once, in order; from now on it has had them."""
    first: dict[str, Event] = {}
    for event in events:
        first.setdefault(event.id, event)
    rows = connection.execute(_SEEN, (handler, json.dumps([{"id": event_id} for event_id in first]))).fetchall()
    fresh = {str(event_id) for (event_id,) in rows}
    return [event for event_id, event in first.items() if event_id in fresh]


def _signed(handler: Handler, answers: Iterable[Event], words: Words) -> tuple[Event, ...]:
    signed = []
    for answer in answers:
        if answer.type not in handler.emits and not answer.type.endswith(".reply"):
            raise LookupError(f"{handler.name} does not list {answer.type} in EMITS")
        event = answer if answer.source else answer.signed(handler.source)
        words.judge(event, strict=True)
        if answer.type.endswith(".reply"):
            event.to_json()  # too large a reply is found before anything is committed
        signed.append(event)
    return tuple(signed)


def apply(
    handler: Handler,
    events: Sequence[Event],
    connection: Connection[Any],
    words: Words,
    *,
    once: bool = True,
    function: Callable[..., Iterable[Event]] | None = None,
    hands: Any = None,
) -> tuple[list[Applied], list[Stored]]:
    """Every event has been handled, once if `once` (a request guards itself by the key in its body), when this returns.

    `function` stands in for the handler's own: `act` has already acted and only concludes here.
    Raises what a handler raises, and then nothing has happened. The order of the results is that of the events.
    """
    results: dict[int, Applied] = {}
    call = function or (functools.partial(handler.function, hands=hands) if handler.handed else handler.function)
    with connection.transaction():
        todo = unseen(connection, handler.name, events) if once else list(events)
        for wave in _waves(todo):
            for event, answers in zip(wave, _answered(handler, wave, call, connection), strict=True):
                results[id(event)] = Applied(event, _signed(handler, answers, words))
        owed = [answer for event in todo for answer in results[id(event)].answers if not answer.type.endswith(".reply")]
        stored = store(connection, owed, words)
        failpoints.reach(failpoints.BEFORE_COMMIT, handler.name)
    return [results.get(id(event), Applied(event, (), repeated=True)) for event in events], stored


def _answered(
    handler: Handler, wave: list[Event], call: Callable[..., Iterable[Any]], connection: Connection[Any]
) -> Iterable[Iterable[Event]]:
    """What comes of each event of a wave: the handler is called for each, or once for all if its verb is `handle_all`."""
    if handler.verb != "handle_all":
        return together(connection, handler.sql, wave, lambda event, db: tuple(call(event, db)))
    db = Direct(connection, handler.sql)
    return outright(lambda: map(tuple, call(wave, db)))


def outright(function: Callable[..., Iterable[T]], *arguments: Any) -> list[T]:
    """What a handler's function gives that is called once, not together with others. Raises Bug with what it raised."""
    return list(_as_it_comes(function, *arguments))


def _as_it_comes(function: Callable[..., Iterable[T]], *arguments: Any) -> Iterator[T]:
    try:
        yield from function(*arguments)
    except (Later, Conflict, psycopg.Error):
        raise
    except Exception as problem:
        raise Bug(f"{type(problem).__name__}: {problem}") from problem


def answer(
    handler: Handler,
    requests: Sequence[Event],
    wakes: Sequence[Event],
    connection: Connection[Any],
    words: Words,
    confirm: Callable[[Iterable[str]], None] = lambda _request_ids: None,
) -> tuple[dict[str, Event], list[Stored]]:
    """The replies that the handler can give now, by request id, and its events; the other requests stay parked.

    `confirm` sees whose requests are about to be answered; when it raises, nothing has happened.
    """
    with connection.transaction():
        found = _signed(handler, outright(handler.function, requests, wakes, Direct(connection, handler.sql)), words)
        replies = {str(event.causationid): event for event in found if event.type.endswith(".reply")}
        confirm(replies)
        stored = store(connection, [event for event in found if not event.type.endswith(".reply")], words)
    return replies, stored


def memory_of(handler: Handler, hands: Any = None) -> Any:
    """A new memory of a `serve` handler, made with its hands if it has any."""
    if handler.memory is None:
        raise LookupError(f"{handler.name} has no MEMORY")
    return handler.memory() if hands is None else handler.memory(hands)


def serve(
    handler: Handler,
    requests: Sequence[Event],
    wakes: Sequence[Event],
    connection: Connection[Any],
    words: Words,
    memory: Any = None,
) -> tuple[dict[str, Event], list[Stored]]:
    """The replies that the handler can give now, by request id, and its events; its memory has the requests without a reply.

    A reply may also be to a request of an earlier call with the same memory. When it raises, nothing has happened.
    """
    memory = memory_of(handler) if memory is None else memory
    replies: dict[str, Event] = {}
    stored: list[Stored] = []
    kept = fault = False
    try:
        with connection.transaction(), connection.pipeline():  # what is chosen next, while what was chosen is written
            coming = _as_it_comes(handler.function, requests, wakes, Direct(connection, handler.sql), memory)
            while some := _signed(handler, islice(coming, TOGETHER), words):
                replies |= {str(event.causationid): event for event in some if event.type.endswith(".reply")}
                stored += store(connection, [event for event in some if not event.type.endswith(".reply")], words)
        kept = True
    except (Later, psycopg.OperationalError):
        raise
    except Exception:
        fault = True  # of what was asked for or chosen: to choose the same again would fail again
        raise
    finally:
        memory.settle(kept=kept, fault=fault)
    return replies, stored
