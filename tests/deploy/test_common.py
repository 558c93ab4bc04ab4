"""What verbs print: the words of strangers are shown and never obeyed."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console

from deploy.verbs.common import print_table, progress


@pytest.mark.parametrize("text", ["\\\\[/x]", "[bold]x", "\\[link=https://example.org]x", "[/]", "\x1b]52;c;AAAA\x07"])
def test_a_table_shows_what_strangers_wrote_as_they_wrote_it(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("Reason",), [(text,)])
    shown = capsys.readouterr().out
    assert text.replace("\x1b", "\\x1b").replace("\x07", "\\x07") in shown
    assert "\x1b]" not in shown


def test_data_go_to_standard_output_also_while_a_bar_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.setattr("deploy.verbs.common.talk", terminal)
    with progress() as bar:
        bar.add_task("outputs", total=2)
        sys.stdout.write("17/std.out\n")
    assert capsys.readouterr().out == "17/std.out\n"


def test_a_reader_who_has_seen_enough_is_no_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = "import typer; from deploy.main import serve\napp = typer.Typer()\n"
    code += "@app.command()\ndef many() -> None:\n    for _ in range(100_000): print('x' * 80)\nraise SystemExit(serve(app, []))"
    done = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
