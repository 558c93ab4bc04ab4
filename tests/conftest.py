"""Fixtures by subject; each lives in a file of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

pytest_plugins = (
    "tests.fix_stack",
    "tests.fix_db",
    "tests.fix_broker",
    "tests.fix_house",
    "tests.fix_attacks",
    "tests.fix_stand",
)

ENDS_WITHIN_S = 10.0


@pytest.fixture(scope="module", autouse=True)
def nothing_left_running() -> Iterator[None]:
    """A file's threads are over when it is: one that goes on would disturb whatever is tested next."""
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + ENDS_WITHIN_S
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(max(0.0, until - time.monotonic()))
    running = [thread.name for thread in left if thread.is_alive()]
    assert not running, f"still running: {', '.join(running)}"
