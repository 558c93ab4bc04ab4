"""Statements by name: job/check.py finds its SQL in job/check.sql, and only there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

_HEAD = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def statements(path: Path) -> dict[str, str]:
    """Every statement of a file, by the name in its `-- name:` line."""
    if not path.exists():
        return {}
    _, *parts = _HEAD.split(path.read_text(encoding="utf-8"))
    return {name: text.strip().rstrip(";") for name, text in zip(parts[::2], parts[1::2], strict=True)}


class Db(Protocol):
    """What a handler sees of Postgres: its own statements, inside its own transaction.

    A handler reads first and writes afterwards, and has no other effect:
    the runner answers the reads of many events in one round trip and may call the handler again to do so.
    """

    def one(self, name: str, **values: Any) -> dict[str, Any] | None:
        """The row of a read, or None."""
        ...

    def all(self, name: str, **values: Any) -> list[dict[str, Any]]:
        """The rows of a read."""
        ...

    def begin(self, name: str, **values: Any) -> Callable[[], list[dict[str, Any]]]:
        """As `all`, but the rows are waited for only when what it gives is called; for `serve` alone."""
        ...

    def run(self, name: str, **values: Any) -> None:
        """A write; done when the transaction commits. A statement that must find its row raises in SQL when it does not."""
        ...
