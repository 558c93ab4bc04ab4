"""Db over psycopg: at once for one event, or many events' reads in one round trip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.rows import dict_row

from bus.errors import Bug, Conflict, Later, Unavailable

# a lock or a statement that takes longer is tried again, and the broker is told meanwhile that we live;
# compiling a statement takes longer than any of ours
_SESSION: dict[str, Any] = {
    "options": "-c timezone=UTC -c lock_timeout=10s -c statement_timeout=25s -c jit=off",
    "keepalives_idle": 10,
    "tcp_user_timeout": 30_000,
}
Rows = list[dict[str, Any]]
T = TypeVar("T")
A = TypeVar("A")


def connect(dsn: str, *, autocommit: bool = True) -> Connection[Any]:
    """A connection; raises Unavailable, naming the place, when there is no database."""
    try:
        connection = psycopg.connect(dsn, autocommit=autocommit, connect_timeout=10, prepare_threshold=2, **_SESSION)
    except psycopg.OperationalError as problem:
        host, port = psycopg.conninfo.conninfo_to_dict(dsn).get("host"), psycopg.conninfo.conninfo_to_dict(dsn).get("port")
        raise Unavailable(f"no database answers at {host}:{port} ({str(problem).splitlines()[0]})") from problem
    return connection


class Direct:
    """Each statement at once."""

    def __init__(self, connection: Connection[Any], named: Mapping[str, str]) -> None:
        self._connection, self._named = connection, named

    def _execute(self, name: str, values: dict[str, Any]) -> psycopg.Cursor[dict[str, Any]]:
        return self._connection.cursor(row_factory=dict_row).execute(self._named[name].encode(), values)

    def one(self, name: str, **values: Any) -> dict[str, Any] | None:
        """The row of a statement, or None."""
        return self._execute(name, values).fetchone()

    def all(self, name: str, **values: Any) -> Rows:
        """The rows of a statement."""
        return self._execute(name, values).fetchall()

    def begin(self, name: str, **values: Any) -> Callable[[], Rows]:
        """The statement is on its way; its rows when they are asked for."""
        return self._execute(name, values).fetchall

    def run(self, name: str, **values: Any) -> None:
        """The statement is done."""
        self._execute(name, values)


class _Unread(BaseException):
    """The handler wants rows that have not been read yet; no handler's own `except Exception` may swallow that."""


@dataclass(slots=True)
class _Call:
    """One event's handler call: its reads answered so far, the read it waits for, its writes."""

    known: list[tuple[str, Rows]] = field(default_factory=list)
    wanted: tuple[str, dict[str, Any]] | None = None
    position: int = 0
    writes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def all(self, name: str, **values: Any) -> Rows:
        if self.writes:
            raise TypeError(f"{name}: a handler reads first and writes afterwards")
        if self.position == len(self.known):
            self.wanted = (name, values)
            raise _Unread
        read, rows = self.known[self.position]
        if read != name:
            raise TypeError(f"{name}: a handler asks the same when it is called again, but it asked {read} before")
        self.position += 1
        return [dict(row) for row in rows]

    def one(self, name: str, **values: Any) -> dict[str, Any] | None:
        rows = self.all(name, **values)
        return rows[0] if rows else None

    def run(self, name: str, **values: Any) -> None:
        self.writes.append((name, values))


def together(
    connection: Connection[Any], named: Mapping[str, str], items: Sequence[T], function: Callable[[T, Any], A]
) -> list[A]:
    """function(item, db) for every item, as if one after another on different rows, in few round trips.

    Each call runs until it wants rows; the reads of all calls travel together; the calls run again with the answers.
    At last the writes of all, in the order of the items, travel together.
    Raises Conflict when a row had changed, and Bug with what a call raised.
    """
    encoded = {name: text.encode() for name, text in named.items()}
    calls = [_Call() for _ in items]
    answers: dict[int, A] = {}
    pending = list(range(len(items)))
    while pending:
        pending = _run_calls(items, calls, pending, answers, function)
        reads = [connection.cursor(row_factory=dict_row) for _ in pending]
        with connection.pipeline():
            for cursor, index in zip(reads, pending, strict=True):
                name, values = calls[index].wanted or ("", {})
                cursor.execute(encoded[name], values)
        for cursor, index in zip(reads, pending, strict=True):
            name, _ = calls[index].wanted or ("", {})
            calls[index].known.append((name, cursor.fetchall()))
    writes = [write for call in calls for write in call.writes]
    if writes:
        try:
            with connection.pipeline():
                for name, values in writes:
                    connection.execute(encoded[name], values)
        except psycopg.errors.SerializationFailure as problem:
            raise Conflict(str(problem).splitlines()[0]) from problem
    return [answers[index] for index in range(len(items))]


def _run_calls(
    items: Sequence[T], calls: list[_Call], pending: list[int], answers: dict[int, A], function: Callable[[T, Any], A]
) -> list[int]:
    """Call each; the answers of those that came through, and the indices of those that wait for rows."""
    unread = []
    for index in pending:
        call = calls[index]
        call.position, call.wanted = 0, None
        call.writes.clear()
        try:
            answers[index] = function(items[index], call)
        except _Unread:
            unread.append(index)
        except (Later, psycopg.Error):
            raise
        except Exception as problem:
            # wrapped, because an OSError of a handler must not look like a lost broker
            raise Bug(f"{type(problem).__name__}: {problem}") from problem
    return unread
