"""lines and their spool: each number is delivered once and in order, or its loss is said; whatever the disk does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pilot.wire.line_spool import LineSpool
from pilot.wire.lines import Lines, Stream
from tests.fix_house import ROOT

OUT, ERR, OWN = (Stream(7, 1, name) for name in ("std.out", "std.err", "pilot"))
SAID = re.compile(r"(\d+) lines of (\S+?)(?:, (\d+) of them debug,)? were dropped here")


class Heard:
    """What came out, and whether it may."""

    def __init__(self) -> None:
        self.numbers: dict[str, list[int]] = {"std.out": [], "std.err": [], "pilot": []}
        self.texts: dict[tuple[str, int], str] = {}
        self.said: dict[str, int] = {}
        self.said_debug = 0

    def take(self, body: dict[str, Any]) -> None:
        assert 1 <= len(body["lines"]) <= 200
        number = body["first_number"] - 1
        for line in body["lines"]:
            number = line.get("number", number + 1)
            self.numbers[body["stream"]].append(number)
            self.texts[body["stream"], number] = line["text"]
            if found := SAID.match(line["text"]):
                self.said[found[2]] = self.said.get(found[2], 0) + int(found[1])
                self.said_debug += int(found[3] or 0)

    def drain(self, lines: Lines) -> None:
        lines._announced_at = 0.0
        while (body := lines.batch()) is not None:
            self.take(body)

    def judge(self, written: dict[str, int]) -> None:
        """In order, each once, and so many are missing as were said to be."""
        for name, numbers in self.numbers.items():
            assert numbers == sorted(set(numbers)), name
            last = max(numbers[-1] if numbers else 0, written.get(name, 0))
            assert last - len(numbers) == self.said.get(name, 0), name


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from([OUT, ERR, OWN]), st.integers(1, 260), st.sampled_from([0, 5, 900, 2500])),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("disk"), st.sampled_from(["lost", "refuses", "works", "changed"])),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from([0, 30_000, 400_000]), st.sampled_from([40, 500]))
def test_each_line_is_delivered_once_and_in_order_or_its_loss_is_said(steps: list[Any], disk_bytes: int, most_lines: int) -> None:
    with TemporaryDirectory() as folder:
        home = Path(folder) / "lines"
        spool = LineSpool(home, disk_bytes, least_free=0)
        lines, heard, written = Lines(spool, most_lines=most_lines, most_bytes=100_000), Heard(), {}
        for what, *how in steps:
            spool._again_at = 0.0
            if what == "add":
                stream, count, length = how
                lines.add_all(stream, [f"{'DEBUG ' if n % 3 else ''}{n} {'x' * length}" for n in range(count)])
                written[stream.name] = lines._queues[stream].number
            elif what == "take":
                for _ in range(how[0]):
                    if body := lines.batch():
                        heard.take(body)
            else:
                disturb(home, spool, how[0])
            assert spool.used <= disk_bytes
            assert lines._held_lines <= most_lines + 20
        heard.drain(lines)
        heard.judge(written)
        assert (len(lines), lines._held_lines, lines._in_memory, spool.used) == (0, 0, 0, 0)
        assert not list(home.glob("*"))


def disturb(home: Path, spool: LineSpool, how: str) -> None:
    """Something happens to the disk."""
    spool._least_free = 1 << 60 if how == "refuses" else 0
    if how == "lost":
        shutil.rmtree(home, ignore_errors=True)
    if how == "changed":
        for path in home.glob("*"):
            path.write_bytes(b"x" * path.stat().st_size)


def test_what_memory_does_not_hold_waits_on_disk_and_comes_in_order(tmp_path: Path) -> None:
    lines, heard = Lines(LineSpool(tmp_path / "lines", 64 << 20)), Heard()
    texts = [f"{number:06d} {'x' * 90}" for number in range(100_000)]
    for start in range(0, len(texts), 600):
        lines.add_all(OUT, texts[start : start + 600])
    assert sum(path.stat().st_size for path in (tmp_path / "lines").iterdir()) > 8 << 20
    assert len(lines) == 100_000
    heard.drain(lines)
    assert [heard.texts["std.out", number] for number in heard.numbers["std.out"]] == texts
    assert heard.said == {}
    assert list((tmp_path / "lines").iterdir()) == []


def test_the_oldest_debug_lines_go_first_and_it_is_said_how_many(tmp_path: Path) -> None:
    lines, heard = Lines(LineSpool(tmp_path / "lines", 2 << 20), most_lines=1000), Heard()
    lines.add_all(ERR, [f"{number} kept {'x' * 100}" for number in range(2000)])
    lines.add_all(OUT, [f"{number} {'DEBUG' if number % 4 else 'INFO'} {'x' * 100}" for number in range(30_000)])
    heard.drain(lines)
    heard.judge({"std.out": 30_000, "std.err": 2000})
    assert len(heard.numbers["std.err"]) == 2000
    assert sum("INFO" in text for text in heard.texts.values()) == 7500
    debug = [number for number in heard.numbers["std.out"] if "DEBUG" in heard.texts["std.out", number]]
    assert heard.said_debug == 22_500 - len(debug) > 5000
    assert min(debug) > 5000  # the newest are still there


def test_without_debug_lines_the_fullest_stream_loses_its_oldest(tmp_path: Path) -> None:
    lines, heard = Lines(LineSpool(tmp_path / "lines", 1 << 20), most_lines=1000), Heard()
    lines.add_all(ERR, [f"{number} {'x' * 100}" for number in range(2000)])
    for start in range(0, 20_000, 500):
        lines.add_all(OUT, [f"{number} {'x' * 100}" for number in range(start, start + 500)])
    heard.drain(lines)
    heard.judge({"std.out": 20_000, "std.err": 2000})
    assert len(heard.numbers["std.err"]) == 2000
    assert heard.said["std.out"] > 5000
    assert heard.numbers["std.out"][-1] == 20_000


def test_a_disk_that_takes_no_more_costs_lines_and_never_raises(tmp_path: Path) -> None:
    # SIGXFSZ is ignored by Python, so a write beyond the limit fails as on a full disk
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from pilot.wire.line_spool import LineSpool\n"
        "from pilot.wire.lines import Lines, Stream\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "lines = Lines(LineSpool(Path(sys.argv[1]), 1 << 30), most_lines=1000)\n"
        "for start in range(0, 20000, 100):\n"
        "    lines.add_all(Stream(7, 1, 'std.out'), [str(start + number) for number in range(100)])\n"
        "print(lines.complaint(), lines.complaint())\n"
        "came, said = 0, ''\n"
        "while (body := lines.batch()) is not None:\n"
        "    if body['stream'] == 'pilot': said = body['lines'][0]['text']\n"
        "    else: came += len(body['lines'])\n"
        "print(came, said)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "lines")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    complaint, told = done.stdout.splitlines()
    assert complaint == "log lines can not be kept on disk (File too large); they are kept in memory only "
    came, dropped = int(told.split()[0]), int(told.split()[1])
    assert 1000 <= came < 20_000
    assert came + dropped == 20_000


def test_a_disk_that_is_nearly_full_is_left_alone(tmp_path: Path) -> None:
    lines = Lines(LineSpool(tmp_path / "lines", 1 << 20, least_free=1 << 60), most_lines=10)
    lines.add_all(OUT, [str(number) for number in range(500)])
    assert len(lines) == 10
    assert "nearly full" in lines.complaint()
    assert list((tmp_path / "lines").iterdir()) == []


def test_streams_take_turns(tmp_path: Path) -> None:
    lines = Lines(LineSpool(tmp_path / "lines", 64 << 20), most_lines=1000)
    lines.add_all(OUT, [str(number) for number in range(50_000)])
    lines.add(OWN, "my own")
    assert [(lines.batch() or {})["stream"] for _ in range(3)] == ["std.out", "pilot", "std.out"]


def test_lines_of_the_pilot_below_the_level_that_is_wanted_are_as_if_never_written() -> None:
    lines, heard = Lines(), Heard()
    lines.keep_from("info")
    lines.add_all(OUT, ["one", "DEBUG two"])
    lines.add(OWN, "three", "debug")
    lines.add(OWN, "four", "info")
    lines.keep_from("debug")
    lines.add(OWN, "five", "debug")
    heard.drain(lines)
    own = {("pilot", 1): "four", ("pilot", 2): "five"}
    assert heard.texts == {("std.out", 1): "one", ("std.out", 2): "DEBUG two"} | own


def test_adding_is_quick_however_much_there_is(tmp_path: Path) -> None:
    lines = Lines(LineSpool(tmp_path / "lines", 8 << 20))
    pieces = [[f"{number} a line of a payload that says what it does, as many do {'x' * 30}" for number in range(600)]] * 300
    began = time.process_time()
    for piece in pieces:
        lines.add_all(OUT, piece)
    took_us = 1e6 * (time.process_time() - began) / 180_000
    assert took_us < 30, f"{took_us:.1f} µs a line"  # a machine that is ten times slower takes 10,000 lines/s
    assert list((tmp_path / "lines").iterdir())
