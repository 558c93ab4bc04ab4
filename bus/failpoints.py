"""Named places where a test may let the process die, as a crash there would."""

from __future__ import annotations

import os
import signal

BEFORE_COMMIT = "before_commit"
AFTER_COMMIT_BEFORE_REPLY = "after_commit_before_reply"
AFTER_COMMIT_BEFORE_ACK = "after_commit_before_ack"
AFTER_PUBLISH_BEFORE_MARK_SENT = "after_publish_before_mark_sent"
NAMES = (BEFORE_COMMIT, AFTER_COMMIT_BEFORE_REPLY, AFTER_COMMIT_BEFORE_ACK, AFTER_PUBLISH_BEFORE_MARK_SENT)
_ARMED = os.environ.get("PILOTBUS_FAILPOINT", "")
_HANDLER = os.environ.get("PILOTBUS_FAILPOINT_HANDLER", "")


def reach(name: str, handler: str = "") -> None:
    """Nothing happens, unless this process was started to die here: then it dies as by kill -9."""
    if name == _ARMED and _HANDLER in {"", handler}:
        os.kill(os.getpid(), signal.SIGKILL)
