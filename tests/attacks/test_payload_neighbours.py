"""Two payloads of one pilot at once, of different owners: where they are kept apart, neither knows of the other."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilot.config import configure
from pilot.isolation import Isolation, NotGiven, detect
from pilot.orders import Orders
from pilot.payload import Outcome
from tests.attacks.rows import attack
from tests.attacks.test_payload import living
from tests.attacks.victim import APART
from tests.pilot.image import flags_for
from tests.pilot.test_payload import Ear, started

SPY = """
for file in "$1/work/secret" "$1/environment.sh" /tmp/secret; do cat "$file" 2>/dev/null; done
ls "$1" 2>/dev/null; ls "$(dirname "$1")" 2>/dev/null
for process in /proc/[0-9]*; do cat $process/cmdline $process/environ; done 2>/dev/null | tr '\\0' ' ' | grep -o "canar[y].*"
for number in $2 $3; do kill -9 "$number" 2>/dev/null && echo killed; done
echo end
"""


@pytest.fixture
def pilots() -> Iterator[Path]:
    """A folder that everybody can reach."""
    with tempfile.TemporaryDirectory(prefix="pilotbus-neighbours-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def isolated(level: str, workdir: Path, tmp_path: Path) -> Isolation:
    home = workdir / "p1"
    home.mkdir()
    try:
        return detect(configure([*flags_for(level, tmp_path), "--workdir", str(workdir)], {}), home)
    except NotGiven as problem:
        pytest.skip(str(problem))


@attack("payload", "spies upon and kills the job of another owner beside it")
@pytest.mark.parametrize("level", APART)
def test_neighbours_do_not_see_each_other(level: str, pilots: Path, tmp_path: Path) -> None:
    """One payload has a secret in a file, in /tmp and in its arguments: the other finds nothing."""
    isolation = isolated(level, pilots, tmp_path)
    homes = [pilots / "p1" / name for name in ("job-1-1", "job-2-1")]
    for home in homes:
        home.mkdir()
    marker = f"300.{os.getpid()}7"
    victim, spy, ended = Ear(), Ear(), list[Outcome]()
    script = f"echo canary-file > secret; echo canary-tmp > /tmp/secret; echo up; sleep {marker}; : canary-words"
    payload = started(homes[0], victim, ["/bin/sh", "-c", script], isolation=isolation)
    stop = threading.Event()
    waiting = Orders()
    thread = threading.Thread(
        target=lambda: ended.append(payload.wait(waiting.wait, waiting.changed, lambda: "kill" if stop.is_set() else ""))
    )
    thread.start()
    try:
        assert victim.heard.wait(30)
        end = time.monotonic() + 10
        while not living(marker) and time.monotonic() < end:
            time.sleep(0.02)  # the kernel tells nobody about other people's children
        (sleeper,) = living(marker)
        words = ["/bin/sh", "-c", SPY, "sh", str(homes[0]), sleeper, str(payload._keeper.pid)]
        other = started(homes[1], spy, words, isolation=isolation)
        orders = Orders()
        assert other.wait(orders.wait, orders.changed, lambda: "").exit_code == 0
        said = [text for _, text in spy.lines]
        assert said[-1] == "end"
        assert set(said) <= {"job-2-1", "end"}
        assert living(marker) == [sleeper]
    finally:
        stop.set()
        waiting.changed()
        thread.join(40)
    assert ended[0].stopped == "kill"
