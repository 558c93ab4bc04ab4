"""The numbered files and now.sql are the same database, and a file that was applied never changes."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from deploy import migrate as migrations
from deploy.tables import NOW, drop_database, dump
from deploy.verbs.common import Failure
from handlers.log.chunks import unpacked


def test_now_sql_is_what_the_migrations_make(test_dsn: str) -> None:
    assert NOW.read_text() == dump(test_dsn), "run `make generate`"


def test_a_database_made_from_now_sql_is_the_same(dsn: str, test_dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as admin:
        name = f"from_now_{uuid.uuid4().hex[:8]}"
        admin.execute(f'CREATE DATABASE "{name}"')
        other = make_conninfo(dsn, dbname=name)
        try:
            with psycopg.connect(other, autocommit=True) as made:
                made.execute(NOW.read_bytes())
            assert dump(other) == dump(test_dsn)
        finally:
            drop_database(admin, name)


def test_files_are_numbered_without_gaps_and_named_pre_or_post() -> None:
    names = [path.name for path in migrations.files()]
    assert all(re.fullmatch(r"\d{4}_(pre|post)_[a-z]+(_[a-z]+)*\.sql", name) for name in names)
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_migrating_twice_changes_nothing(db: psycopg.Connection[Any]) -> None:
    assert migrations.migrate(db) == []


def test_an_applied_file_that_has_changed_is_refused(
    db: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in migrations.files():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "0001_pre_bus.sql").write_text("SELECT 1;")
    monkeypatch.setattr(migrations, "TABLES", tmp_path)
    with pytest.raises(Failure, match=r"0001_pre_bus\.sql was changed"):
        migrations.migrate(db)


def test_a_migration_that_fails_leaves_nothing(db: psycopg.Connection[Any], tmp_path: Path) -> None:
    tables = tmp_path / "schemas" / "tables"
    tables.mkdir(parents=True)
    (tables / "0001_pre_lhcb.sql").write_text("CREATE SCHEMA lhcb; CREATE TABLE lhcb.quota (x int); SELECT 1/0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrations.migrate(db, tmp_path)
    assert db.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'lhcb'").fetchone() == (0,)


@contextlib.contextmanager
def grown(dsn: str, before: str, rows: str) -> Iterator[psycopg.Connection[Any]]:
    """A database that had these rows before this file was applied, with every table of today."""
    name = f"older_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        try:
            with psycopg.connect(make_conninfo(dsn, dbname=name), autocommit=True) as made:
                for path in migrations.files():
                    if path.name == before:
                        made.execute(rows)
                    made.execute(path.read_bytes())
                yield made
        finally:
            drop_database(admin, name)


def test_claims_of_jobs_that_are_gone_or_over_are_released_and_use_nothing(dsn: str) -> None:
    rows = """
        INSERT INTO job.submissions VALUES ('7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', 'ada', 'x', 1, 2, now());
        INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, state, minor_status, priority,
                              description, submitted_at, changed_at)
        SELECT n, '7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', 'ada', 'bes_user', 'bes', 'x', 'x', state, 'x', 1, '{}', now(), now()
        FROM (VALUES (1, 'Running'), (2, 'Done')) j (n, state);
        INSERT INTO match.claims SELECT 'p' || n, gen_random_uuid(), n, 1, now() FROM generate_series(1, 4) n;"""
    with grown(dsn, "0017_pre_match.sql", rows) as made:
        assert made.execute("SELECT job_id FROM match.claims WHERE released_at IS NULL").fetchall() == [(1,)]
        assert made.execute("SELECT owner_group, owner, processors FROM share.usage").fetchall() == [("bes_user", "ada", 1)]


def test_ids_go_on_after_those_that_were_given_and_old_submissions_are_received_ones(dsn: str) -> None:
    rows = """
        UPDATE job.counter SET last_job_id = 2;
        INSERT INTO job.submissions VALUES ('7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', 'ada', 'x', 1, 2, now());
        INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, state, minor_status, priority,
                              description, submitted_at, changed_at)
        SELECT n, '7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', 'ada', 'bes_user', 'bes', 'x', 'x', 'Waiting', 'x', 1,
               description::json, now(), now()
        FROM (VALUES (1, '{"JobType": "Merge"}'), (2, '{}')) j (n, description);"""
    with grown(dsn, "0022_pre_bulk.sql", rows) as made:
        assert made.execute("SELECT job.allot(3), job.allot(1)").fetchone() == (3, 6)
        assert made.execute("SELECT job_type FROM job.jobs ORDER BY job_id").fetchall() == [("Merge",), ("User",)]
        assert made.execute("SELECT state, owner_group, vo FROM job.submissions").fetchall() == [("Received", "bes_user", "bes")]


def test_lines_of_the_old_table_are_in_chunks(dsn: str) -> None:
    written = """INSERT INTO log.lines
        SELECT '7', 1, 'std.out', n + (n > 250)::int * 10, '2026-01-01T00:00:00Z', 'line "' || n
        FROM generate_series(1, 300) n"""
    with grown(dsn, "0013_pre_log.sql", written) as made:
        rows = made.execute("SELECT first_number, last_number, count, lines FROM log.chunks ORDER BY 1").fetchall()
    assert [row[:3] for row in rows] == [(1, 200, 200), (201, 310, 100)]
    lines = [line for row in rows for line in unpacked(bytes(row[3]))]
    assert (lines[0], len(lines)) == ([1, "2026-01-01T00:00:00.000Z", "info", 'line "1'], 300)
    assert lines[250][0] == 261
