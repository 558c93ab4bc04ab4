"""log levels: which of a payload's lines are for debugging, by a rule that is quick and dull."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.log_levels import DEBUG, INFO, LEVELS, has_marks, level_of, reaches


@pytest.mark.parametrize(
    "text",
    [
        "DEBUG",
        "DEBUG: x",
        "[DEBUG] x",
        "2026-11-21 10:00:00,123 DEBUG root x",
        "2026-11-21 10:00:00 UTC Framework/Agent DEBUG: x",
        "ToolSvc.Sequencer          DEBUG Initialised",
        "debug: x",
        "[debug] x",
        "  debug x",
    ],
)
def test_a_line_with_the_mark_near_its_start_is_for_debugging(text: str) -> None:
    assert level_of(text) == DEBUG
    assert has_marks(text)


@pytest.mark.parametrize(
    "text",
    ["", "INFO x", "x debug: y", "DEBUGGING is fun", "NDEBUG=1", "debugger started", "x" * 64 + " DEBUG", "set DEBUG_LEVEL=3"],
)
def test_every_other_line_is_info(text: str) -> None:
    assert level_of(text) == INFO


@given(st.lists(st.text(alphabet="DEBUGdebug :[]x", max_size=90), max_size=20))
def test_the_quick_look_misses_no_mark(texts: list[str]) -> None:
    if any(level_of(text) == DEBUG for text in texts):
        assert has_marks("\n".join(texts))


def test_levels_are_in_order() -> None:
    assert [level for level in LEVELS if reaches(level, "warning")] == ["warning", "error"]
