"""share.use in the database is what schemas/rules/shares.py says, row by row and at once for many."""

from __future__ import annotations

import json
import threading
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.rules.shares import HALF_LIFE_S, Usage, accrued, used

ROW = "SELECT processors, core_s, extract(epoch FROM at)::double precision FROM share.usage WHERE owner_group = %s AND owner = %s"


def change(db: psycopg.Connection[Any], *changes: tuple[str, str, int], half_life_s: float | None = None) -> None:
    """These are in use from now on."""
    text = json.dumps([{"owner_group": group, "owner": owner, "processors": number} for group, owner, number in changes])
    if half_life_s is None:
        db.execute("SELECT share.use(%s::json)", (text,))
    else:
        db.execute("SELECT share.use(%s::json, %s)", (text, half_life_s))


def usage(db: psycopg.Connection[Any], group: str = "g", owner: str = "ada") -> Usage:
    """The row as the rule has it."""
    row = db.execute(ROW, (group, owner)).fetchone()
    assert row is not None
    return Usage(*row)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    processors=st.integers(0, 100_000),
    core_s=st.floats(0, 1e12),
    ago_s=st.floats(0, 1e8),
    delta=st.integers(-100, 100).filter(bool),
    half_life_s=st.sampled_from([60.0, HALF_LIFE_S, 31_622_400.0]),
)
def test_the_database_and_the_rule_agree(
    db: psycopg.Connection[Any], processors: int, core_s: float, ago_s: float, delta: int, half_life_s: float
) -> None:
    with db.transaction(force_rollback=True):
        row = ("g", "ada", processors, core_s, ago_s)
        db.execute("INSERT INTO share.usage VALUES (%s, %s, %s, %s, clock_timestamp() - make_interval(secs => %s))", row)
        before = usage(db)
        change(db, ("g", "ada", delta), half_life_s=half_life_s)
        after = usage(db)
        wanted = used(before, delta, after.at, half_life_s)
    assert (after.processors, after.at >= before.at) == (wanted.processors, True)
    # the database counts microseconds, and a moment as a number of seconds has a few less
    assert after.core_s == pytest.approx(wanted.core_s, rel=1e-6, abs=1e-6 * (processors + 1) + core_s * 1e-7)


def test_many_changes_of_one_are_summed_and_each_row_is_turned_once(db: psycopg.Connection[Any]) -> None:
    change(db, ("g", "bob", 1), ("g", "ada", 8), ("g", "ada", 2), ("h", "ada", 4))
    change(db, ("g", "ada", -3), ("g", "bob", -1))
    rows = db.execute("SELECT owner_group, owner, processors FROM share.usage ORDER BY 1, 2").fetchall()
    assert rows == [("g", "ada", 7), ("g", "bob", 0), ("h", "ada", 4)]


def test_nothing_is_taken_from_whom_nobody_knows_and_nobody_has_less_than_nothing(db: psycopg.Connection[Any]) -> None:
    change(db, ("g", "ada", -5))
    assert db.execute("SELECT count(*) FROM share.usage").fetchall() == [(0,)]
    change(db, ("g", "ada", 2))
    change(db, ("g", "ada", -5))
    assert usage(db).processors == 0


def test_a_clock_that_is_behind_changes_nothing_that_was_used(db: psycopg.Connection[Any]) -> None:
    db.execute("INSERT INTO share.usage VALUES ('g', 'ada', 5, 1000, clock_timestamp() + interval '1 hour')")
    before = usage(db)
    change(db, ("g", "ada", 1))
    assert usage(db) == Usage(6, before.core_s, before.at)


def test_the_half_life_is_the_one_that_was_described(db: psycopg.Connection[Any]) -> None:
    db.execute("UPDATE share.settings SET half_life_s = 600")
    db.execute("INSERT INTO share.usage VALUES ('g', 'ada', 0, 1000, clock_timestamp() - interval '10 minutes')")
    change(db, ("g", "ada", 1))
    assert usage(db).core_s == pytest.approx(500.0, rel=1e-3)


def test_what_was_used_long_ago_is_nothing_and_no_error(db: psycopg.Connection[Any]) -> None:
    db.execute("INSERT INTO share.usage VALUES ('g', 'ada', 0, 1e-300, '1970-01-01T00:00:00Z')")
    change(db, ("g", "ada", 1), half_life_s=60)
    assert usage(db).core_s == 0.0 == accrued(Usage(0, 1e-300, 0.0), 1e9, 60).core_s


def test_rows_are_turned_in_the_order_of_their_names(db: psycopg.Connection[Any]) -> None:
    db.execute("SET enable_sort = off")  # nor does any plan come by that order by chance
    names = [f"user{number}" for number in range(10, 60)]
    change(db, *[("g", name, 1) for name in names[::-1]])
    assert [owner for (owner,) in db.execute("SELECT owner FROM share.usage ORDER BY ctid")] == names


def test_many_at_once_lose_nothing_and_wait_for_each_other_without_a_deadlock(test_dsn: str, db: psycopg.Connection[Any]) -> None:
    names = [("g", "ada"), ("g", "bob"), ("h", "eve")]

    def turn(order: int) -> None:
        with psycopg.connect(test_dsn, autocommit=True) as own:
            for _ in range(40):
                change(own, *[(group, owner, 2) for group, owner in names[::order]])
                change(own, *[(group, owner, -1) for group, owner in names[::order]])

    threads = [threading.Thread(target=turn, args=(order,)) for order in (1, -1, 1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [usage(db, *name).processors for name in names] == [160, 160, 160]
