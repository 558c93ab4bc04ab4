"""The whole database of today as one file: `python -m deploy.tables` writes schemas/tables/now.sql from the migrations."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bus.settings import settings
from deploy.migrate import TABLES, migrate

NOW = TABLES / "now.sql"
_HEAD = """-- The whole database of today, as the numbered files make it. Written by `make generate`; do not edit.

SET check_function_bodies = false;

"""
_NOISE = re.compile(r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*)$")
_VARIABLES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
_TLS = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT"}


def dump(dsn: str) -> str:
    """Every schema, table, index and function of a database, without pg_dump's talk."""
    told = conninfo_to_dict(dsn)
    known = {variable: str(told[name]) for name, variable in (_VARIABLES | _TLS).items() if told.get(name)}
    command = [str(_pg_dump()), "--schema-only", "--no-owner", "--no-privileges", "--exclude-table=public.migrations"]
    text = subprocess.run(command, env=os.environ | known, capture_output=True, text=True, check=True).stdout
    lines = [line for line in text.splitlines() if not _NOISE.match(line)]
    return _HEAD + re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _pg_dump() -> Path:
    return max(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"), key=lambda path: int(path.parts[-3]))


def drop_database(admin: psycopg.Connection, name: str) -> None:
    """The database is gone, whoever of this account is still connected to it.

    Not by `DROP … WITH (FORCE)`: that is refused while the server's own autovacuum, another's process, is in there.
    """
    admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = current_user", (name,))
    admin.execute(f'DROP DATABASE "{name}"')


def migrated(dsn: str) -> str:
    """The dump of a database that only the migrations have made; the database is gone again."""
    name = f"tables_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        try:
            with psycopg.connect(make_conninfo(dsn, dbname=name), autocommit=True) as made:
                migrate(made)
            return dump(make_conninfo(dsn, dbname=name))
        finally:
            drop_database(admin, name)


if __name__ == "__main__":
    NOW.write_text(migrated(settings().dsn), encoding="utf-8")
    sys.exit(0)
