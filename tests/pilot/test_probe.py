"""probe: a command that hangs, fails or floods keeps nobody waiting."""

from __future__ import annotations

import time
from pathlib import Path

from pilot.probe import number_of, said, text_of


def test_an_answer_is_what_a_command_prints_when_it_ends_well() -> None:
    assert said(["echo", "yes"]) == "yes\n"
    assert said(["sh", "-c", "echo no; exit 1"]) == ""
    assert said(["no-such-command"]) == ""


def test_a_command_that_hangs_is_given_up_with_all_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    began = time.monotonic()
    assert said(["sh", "-c", f"sleep 100 & echo $! > {child}; wait"], 0.5) == ""
    assert time.monotonic() - began < 20
    end_s = time.monotonic() + 10
    while Path(f"/proc/{child.read_text().strip()}/status").exists() and "zombie" not in text_of(
        Path(f"/proc/{child.read_text().strip()}/status")
    ):
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_a_file_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("42\n")
    (tmp_path / "word").write_text("max\n")
    assert (number_of(tmp_path / "number"), number_of(tmp_path / "word"), number_of(tmp_path / "none")) == (42, 0, 0)
    assert text_of(tmp_path) == ""
