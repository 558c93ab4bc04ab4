"""A database per test, copied from one that has every table."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from deploy.migrate import migrate
from deploy.tables import drop_database


@pytest.fixture(scope="session")
def dsn() -> str:
    """The server's address; a test run without one is a failure, not a skip: use `make test`."""
    found = os.environ.get("PILOTBUS_DSN")
    if not found:
        pytest.fail("PILOTBUS_DSN is not set; run the tests with `make test`")
    return found


ENROLLED = """INSERT INTO trust.enrolments (pilot_id, secret_sha256, site, invited_by, invited_at, expires_at, enrolled_at)
SELECT 'p' || n, 'p' || n, 'CLOUD.CNIC.cn', 'root', now(), now() + interval '1 day', now() FROM generate_series(1, 9) n"""


@pytest.fixture(scope="session")
def template(dsn: str) -> Iterator[str]:
    """A database with every table, in which the pilots p1 to p9 are enrolled at CLOUD.CNIC.cn."""
    name = f"template_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        with psycopg.connect(make_conninfo(dsn, dbname=name), autocommit=True) as made:
            migrate(made)
            made.execute(ENROLLED)
        yield name
        drop_database(admin, name)


@contextlib.contextmanager
def fresh_database(dsn: str, template: str) -> Iterator[str]:
    """The address of a copy of the template, while the block lasts."""
    name = f"test_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield make_conninfo(dsn, dbname=name)
        finally:
            drop_database(admin, name)


@pytest.fixture
def test_dsn(dsn: str, template: str) -> Iterator[str]:
    """The address of a fresh database."""
    with fresh_database(dsn, template) as address:
        yield address


@pytest.fixture
def db(test_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a fresh database."""
    with psycopg.connect(test_dsn, autocommit=True) as connection:
        yield connection
