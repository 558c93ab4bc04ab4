"""What verbs print: the words of strangers are shown and never obeyed."""

from __future__ import annotations

import pytest

from deploy.verbs.common import print_table


@pytest.mark.parametrize("text", ["\\\\[/x]", "[bold]x", "\\[link=https://example.org]x", "[/]", "\x1b]52;c;AAAA\x07"])
def test_a_table_shows_what_strangers_wrote_as_they_wrote_it(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("Reason",), [(text,)])
    shown = capsys.readouterr().out
    assert text.replace("\x1b", "\\x1b").replace("\x07", "\\x07") in shown
    assert "\x1b]" not in shown
