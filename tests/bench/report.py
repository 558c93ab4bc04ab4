"""What a bench measured: printed for people, and as .run/bench/NAME.json for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).resolve().parents[2] / ".run" / "bench"


def percentile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def tell(name: str, figures: Mapping[str, float], goals: Mapping[str, str], beside: Mapping[str, float]) -> None:
    """The figures, each with its goal, and what was measured beside them in the same run."""
    table = Table("figure", "measured", "goal", title=name)
    for key, value in figures.items():
        table.add_row(key, f"{value:,.1f}", goals.get(key, ""))
    for key, value in beside.items():
        table.add_row(f"[dim]{key}[/dim]", f"[dim]{value:,.1f}[/dim]", "[dim]for comparison[/dim]")
    Console().print(table)
    keep(name, figures)


def keep(name: str, figures: Mapping[str, float]) -> None:
    """The figures are in .run/bench/NAME.json."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps({"figures": dict(figures)}, indent=2) + "\n", encoding="utf-8")
