"""Telemetry that has piled up while the services were away is all taken; what comes too fast afterwards is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from pilot.wire.lines import Lines, Stream
from pilot.wire.link import Link
from pilot.wire.login import login
from pilot.wire.outbox import Outbox
from pilot.wire.spool import Spool
from tests.fix_broker import Vhost

OWN = Stream(None, None, "pilot")


def said(link: Link, count: int) -> None:
    """So many messages of one line each are with the broker."""
    for number in range(count):
        link.outbox.lines.add(OWN._replace(name=("pilot", "std.out", "std.err")[number % 3]), f"line {number}")
        assert link.settle(20)


def stored(db: psycopg.Connection[Any], wanted: int, within_s: float = 20) -> int:
    """How many chunks there are, when there are as many as wanted or the time is up."""
    until = time.monotonic() + within_s
    found = 0
    while found < wanted and time.monotonic() < until:
        (found,) = db.execute("SELECT count(*) FROM log.chunks").fetchone() or (0,)
        time.sleep(0.1)
    return found


def test_a_backlog_is_no_flood(vhost: Vhost, db: psycopg.Connection[Any], spawn: Callable[..., Any], tmp_path: Path) -> None:
    outbox = Outbox("/pilot-p1/p1", "p1", Spool(tmp_path / "spool"), Lines())
    link = Link(login(vhost.pilot_url, ca_file=vhost.ca_file), outbox, lambda _text: None)
    link.start(20)
    try:
        said(link, 40)
        assert vhost.depth("log.store") == 40
        spawn(PILOTBUS_RATE_PER_S="0.001", PILOTBUS_RATE_BURST="5")
        assert stored(db, 40) == 40
        said(link, 20)
        assert stored(db, 45) == 45
        assert stored(db, 46, within_s=2) == 45
    finally:
        link.close()
