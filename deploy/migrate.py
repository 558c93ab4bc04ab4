"""The numbered tables, applied in order, each once: all that are new, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psycopg import Connection

from deploy.verbs.common import CONFLICT, Failure

TABLES = Path(__file__).resolve().parents[1] / "schemas" / "tables"
LOCK = 7_220_117  # any number, the same in every process

_LEDGER = """CREATE TABLE IF NOT EXISTS public.migrations (
    name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"""


def files(*houses: Path) -> list[Path]:
    """Every migration: the house's, then each extension's, in the order of their numbers."""
    folders = [TABLES, *(house / "schemas" / "tables" for house in houses)]
    return [path for folder in folders for path in sorted(folder.glob("[0-9]*.sql"))]


def migrate(connection: Connection[Any], *houses: Path) -> list[str]:
    """The names of the migrations just applied. Raises Failure when a file that was applied has changed since."""
    from hashlib import sha256

    done = []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        connection.execute(_LEDGER)
        known = dict(connection.execute("SELECT name, digest FROM public.migrations").fetchall())
        for path in files(*houses):
            name = path.name if path.parent == TABLES else f"{path.parents[2].name}/{path.name}"
            text = path.read_bytes()
            digest = sha256(text).hexdigest()
            if name not in known:
                connection.execute(text)
                connection.execute("INSERT INTO public.migrations (name, digest) VALUES (%s, %s)", (name, digest))
                done.append(name)
            elif known[name] != digest:
                raise Failure(f"{name} was changed after it had been applied; write a new migration instead", CONFLICT)
    return done
