"""Find handlers: the house first, then each extension folder, all by the same rule."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from bus.sql import statements

HOUSE = Path(__file__).resolve().parents[1] / "handlers"
VERBS = ("handle", "handle_all", "act", "answer", "serve", "page")


@dataclass(frozen=True, slots=True)
class Handler:
    """One file that handles. Its name is its queue's name; its verb says how it is run (handlers/README.md)."""

    name: str
    verb: str
    function: Callable[..., Any]
    consumes: tuple[str, ...]
    emits: tuple[str, ...]
    wakes: tuple[str, ...] = ()
    empty: Mapping[str, Any] | None = None
    memory: Callable[..., Any] | None = None
    sql: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""
    alone: bool = False  # whether each event has a transaction of its own, because one may take long
    handed: bool = False  # whether a `handle` or `handle_all` wants hands: such as only think or look, and change nothing

    @property
    def source(self) -> str:
        """The CloudEvents source of what it emits."""
        return f"/pilotbus/{self.name}"


def load(name: str, path: Path) -> ModuleType:
    """The module of a file, once in this process. Raises LookupError, and what the file itself raises."""
    loaded = sys.modules.get(name)
    if loaded is not None and Path(loaded.__file__ or "") == path:
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LookupError(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before exec_module: dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def handlers(*houses: Path, known: Mapping[str, Any]) -> Iterator[Handler]:
    """Every handler under the folders, the house's own when none is given, in the order of their names.

    One that names an unknown event, takes a taken name or has no verb stops the start, saying which file and why.
    """
    taken: dict[str, Path] = {}
    for house in houses or (HOUSE,):
        for path in sorted(house.glob("*/*.py")):
            name = f"{path.parent.name}.{path.stem}"
            if path.stem.startswith("_"):
                continue
            module = load(f"handlers.{name}", path)
            if not hasattr(module, "CONSUMES"):
                continue
            if name in taken:
                raise LookupError(f"{path}: {taken[name]} already answers to {name}")
            taken[name] = path
            yield _handler(name, path, module, known)


def _handler(name: str, path: Path, module: ModuleType, known: Mapping[str, Any]) -> Handler:
    consumes, emits, wakes = module.CONSUMES, module.EMITS, getattr(module, "WAKES", ())
    if unknown := {*consumes, *emits, *wakes} - set(known):
        raise LookupError(f"{path}: no schema for {', '.join(sorted(unknown))}")
    verbs = [verb for verb in VERBS if hasattr(module, verb)]
    if len(verbs) != 1:
        raise LookupError(f"{path}: wants exactly one of {', '.join(VERBS)}, has {verbs}")
    sql = statements(path.with_suffix(".sql"))
    summary = (module.__doc__ or "").strip().split("\n")[0]
    empty, memory = getattr(module, "EMPTY", None), getattr(module, "MEMORY", None)
    if verbs == ["serve"] and memory is None:
        raise LookupError(f"{path}: a `serve` remembers who waits, and names its MEMORY")
    function = getattr(module, verbs[0])
    handed = verbs[0] in ("handle", "handle_all") and "hands" in inspect.signature(function).parameters
    alone = verbs[0] == "act" or getattr(module, "ALONE", False)
    return Handler(name, verbs[0], function, consumes, emits, wakes, empty, memory, sql, summary, alone, handed)
