"""spool: what was said is on disk until it is confirmed, in order, across a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pilot.wire.spool import Spool

ROOT = Path(__file__).resolve().parents[2]


def event(number: int) -> dict[str, Any]:
    return {"id": f"event-{number}", "type": "job.reported.v1", "data": {"number": number}}


def waiting(spool: Spool) -> list[str]:
    found = []
    while (first := spool.first()) is not None:
        found.append(first["id"])
        spool.confirm(first["id"])
    return found


def test_events_wait_in_order_until_each_is_confirmed(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for number in range(3):
        spool.append(event(number))
    assert spool.first() == event(0)
    assert waiting(spool) == ["event-0", "event-1", "event-2"]
    assert (tmp_path / "spool").stat().st_size == 0
    spool.close()
    assert not (tmp_path / "spool").exists()


def test_a_killed_pilot_loses_nothing_that_it_said(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom pilot.wire.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]))\n"
        "for number in range(4): spool.append({'id': f'event-{number}', 'data': {}})\n"
        "spool.confirm('event-0')\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "spool")], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    spool = Spool(tmp_path / "spool")
    assert waiting(spool) == ["event-1", "event-2", "event-3"]
    spool.close()


def test_a_torn_last_line_is_not_an_event_and_what_follows_it_is(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b'{"id":"event-0","data":{}}\n{"id":"event-1","da')
    spool = Spool(tmp_path / "spool")
    spool.append(event(2))
    spool.close()
    again = Spool(tmp_path / "spool")
    assert waiting(again) == ["event-0", "event-2"]
    again.close()


def test_a_disk_that_refuses_is_a_complaint_and_not_a_loss(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, spool._file)
    os.close(full)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "ftruncate", lambda *_: None)  # /dev/full has no length to restore
        spool.append(event(0))
        assert "No space left" in spool.complaint
        assert waiting(spool) == ["event-0"]
