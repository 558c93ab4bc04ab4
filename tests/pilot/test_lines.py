"""lines: numbered, in batches that fit, and a drop is seen."""

from __future__ import annotations

import json
from typing import Any

from pilot.wire.lines import Lines, Stream

OUT = Stream(7, 1, "std.out")


def drain(lines: Lines) -> list[dict[str, Any]]:
    found = []
    while (batch := lines.batch()) is not None:
        found.append(batch)
    return found


def test_lines_are_numbered_per_stream_in_batches_of_two_hundred_and_streams_take_turns() -> None:
    lines = Lines()
    for number in range(250):
        lines.add(OUT, f"line {number}")
    lines.add(Stream(None, None, "pilot"), "my own")
    one, three, two = drain(lines)
    assert (one["job_id"], one["attempt"], one["stream"]) == (7, 1, "std.out")
    assert (one["first_number"], len(one["lines"]), two["first_number"], len(two["lines"])) == (1, 200, 201, 50)
    assert "job_id" not in three
    assert len(lines) == 0


def test_a_long_line_becomes_several_and_nothing_of_it_is_lost() -> None:
    lines = Lines()
    lines.add(OUT, "x" * 4500)
    (batch,) = drain(lines)
    assert [len(line["text"]) for line in batch["lines"]] == [2000, 2000, 500]


def test_an_empty_line_is_a_line_and_a_nul_is_replaced() -> None:
    lines = Lines()
    lines.add(OUT, "")
    lines.add(OUT, "a\x00b")
    assert [line["text"] for line in drain(lines)[0]["lines"]] == ["", "a\ufffdb"]


def test_every_batch_fits_in_an_envelope_whatever_the_letters() -> None:
    lines = Lines()
    for _ in range(60):
        lines.add(OUT, "\U0001f680" * 1900)
        lines.add(OUT, '"\\' * 900)
    batches = drain(lines)
    assert sum(len(batch["lines"]) for batch in batches) == 120
    assert max(len(json.dumps(batch)) for batch in batches) < 60_000


def test_too_many_lines_lose_the_oldest_and_say_how_many() -> None:
    lines = Lines(most_lines=10)
    for number in range(1, 26):
        lines.add(OUT, f"line {number}")
    batches = {batch["stream"]: batch for batch in drain(lines)}
    assert batches["std.out"]["lines"][-1]["text"] == "line 25"
    assert batches["std.out"]["first_number"] > 15
    assert "15 lines of std.out were dropped" in batches["pilot"]["lines"][0]["text"]


def test_memory_is_bounded_by_bytes_too() -> None:
    lines = Lines(most_bytes=10_700)
    for _ in range(100):
        lines.add(OUT, "x" * 1000)
    assert len(lines) == 10
