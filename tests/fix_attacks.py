"""The attack table: what became of each test that is a row of it, printed by `make attacks` and kept for programs."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from tests.bench.report import keep

ROWS: list[tuple[str, str, bool, str]] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A row is what its test's own call came to; one whose set-up failed has not been refused either."""
    report = yield
    marker = item.get_closest_marker("attack")
    if marker is not None and (report.when == "call" or (report.when == "setup" and not report.passed)):
        attacker, attempt, alarm = marker.args
        way = item.name[item.name.index("[") :] if "[" in item.name else ""
        ROWS.append((attacker, f"{attempt} {way}".strip(), alarm, report.outcome))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table, when it is asked for."""
    if os.environ.get("PILOTBUS_ATTACKS") != "yes" or not ROWS:
        return
    table = Table("attacker", "attempt", "outcome", "alarm", title="attacks")
    for attacker, attempt, alarm, outcome in sorted(ROWS):
        said = {"passed": "refused", "skipped": "[yellow]not tried[/yellow]"}.get(outcome, "[red]SUCCEEDED[/red]")
        heard = "heard" if alarm and outcome == "passed" else "[red]missing[/red]" if alarm else ""
        table.add_row(attacker, attempt.replace("[", r"\["), said, heard)
    Console(width=160).print(table)
    refused = [row for row in ROWS if row[3] == "passed"]
    figures = {
        "rows": len(ROWS),
        "refused": len(refused),
        "alarmed": sum(row[2] for row in refused),
        "succeeded": sum(row[3] == "failed" for row in ROWS),
    }
    keep("attacks", figures)
    Console().print(figures)
