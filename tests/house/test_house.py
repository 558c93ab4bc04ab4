"""The house keeps its own rules."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bus.discover import HOUSE, Handler, handlers
from bus.topology import topology
from schemas import catalogue

ROOT = Path(__file__).resolve().parents[2]


def test_every_statement_prepares_and_is_used(found: dict[str, Handler], db: psycopg.Connection[Any]) -> None:
    for handler in found.values():
        file = HOUSE / (handler.name.replace(".", "/") + ".py")
        # what a handler remembers reads by its statements too
        files = [file] if handler.memory is None else [file, *map(file.with_name, ("memory.py", "waiting.py"))]
        code = "".join(one.read_text() for one in files)
        used = set(re.findall(r'db\.(?:one|all|run|begin)\(\s*"(\w+)"', code))
        assert used == set(handler.sql), handler.name
        for number, text in enumerate(handler.sql.values()):
            for position, name in enumerate(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)), 1):
                text = text.replace(f"%({name})s", f"${position}")  # noqa: PLW2901
            db.execute(f"PREPARE p{number} AS {text}")
            db.execute(f"DEALLOCATE p{number}")


def test_every_handler_has_a_test(found: dict[str, Handler]) -> None:
    missing = [n for n in found if not (ROOT / "tests" / "handlers" / n.replace(".", "/test_", 1)).with_suffix(".py").exists()]
    assert missing == []


def test_every_handler_says_in_one_sentence_what_it_does(found: dict[str, Handler]) -> None:
    assert [name for name, handler in found.items() if not handler.summary.endswith((".", "until then."))] == []


def test_every_event_that_a_handler_emits_names_it_in_its_schema(found: dict[str, Handler]) -> None:
    known = catalogue()
    silent = [(n, kind) for n, h in found.items() for kind in h.emits if n not in known[kind]["x-emitted-by"]]
    assert silent == []


def test_every_request_has_one_handler_and_every_emitted_event_a_schema(found: dict[str, Handler]) -> None:
    known = catalogue()
    requests = {name for name in known if f"{name}.reply" in known}
    taken = [kind for handler in found.values() for kind in handler.consumes if kind in requests]
    assert sorted(taken) == sorted(requests)


def test_the_doors_between_rooms_open_one_way() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_no_file_is_two_rooms() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for room in ("bus", "handlers", "pilot", "schemas", "deploy")
        for path in (ROOT / room).rglob("*.py")
        if path.name != "types.py" and (lines := len(path.read_text().splitlines())) > 300
    }
    assert long == {}


def test_a_community_drops_in_a_room(tmp_path: Path) -> None:
    room = tmp_path / "lhcb"
    room.mkdir()
    (room / "notify.py").write_text('CONSUMES, EMITS = ("job.done.v1",), ()\ndef handle(event, db):\n    return []\n')
    names = [handler.name for handler in handlers(HOUSE, tmp_path, known=catalogue())]
    assert "lhcb.notify" in names
    assert "job.submit" in names


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("job/check.py", 'CONSUMES, EMITS = ("job.done.v1",), ()\ndef handle(event, db): return []\n', "already answers"),
        (
            "lhcb/a.py",
            'CONSUMES, EMITS = ("job.sumbitted.v1",), ()\ndef handle(event, db): return []\n',
            "no schema for job.sumbitted.v1",
        ),
        ("lhcb/b.py", 'CONSUMES, EMITS = ("job.done.v1",), ()\n', "exactly one of"),
    ],
)
def test_a_taken_name_an_unknown_event_or_no_verb_stops_the_start(tmp_path: Path, file: str, text: str, why: str) -> None:
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text(text)
    sys.modules.pop(f"handlers.{path.parent.name}.{path.stem}_test", None)
    with pytest.raises(LookupError, match=why):
        list(handlers(HOUSE, tmp_path, known=catalogue()))


def test_the_topology_never_loses_what_is_of_record(found: dict[str, Handler]) -> None:
    made = topology(found.values(), catalogue())
    of_record = {binding.queue for binding in made.bindings if binding.exchange in ("events", "ingress")}
    for queue in made.queues:
        if queue.name in of_record:
            assert queue.arguments["x-queue-type"] == "quorum"
            assert queue.arguments["x-delivery-limit"] > 0
            assert queue.arguments["x-dead-letter-strategy"] == "at-least-once"
            assert queue.arguments["x-overflow"] == "reject-publish"
