"""pilotbus for Python programs: `import pilotbus`. What each name does stands in bus/session.py and bus/executor.py."""

from __future__ import annotations

from concurrent.futures import as_completed

from bus.errors import Invalid, Refused, Unavailable, Unroutable
from bus.event import Event
from bus.executor import Executor, Finished, JobFailed, JobFuture
from bus.following import Following
from bus.outputs import Output
from bus.sandbox import SandboxError
from bus.session import Session
from bus.submission import Submission, key_of

__all__ = [
    "Event", "Executor", "Finished", "Following", "Invalid", "JobFailed", "JobFuture", "Output", "Refused", "SandboxError",
    "Session", "Submission", "Unavailable", "Unroutable", "as_completed", "connect", "new_key",
]  # fmt: skip


def connect(url: str = "", ca_file: str = "") -> Session:
    """A session with the bus that `pilotbus` on the command line would use, or with the one at this address."""
    return Session(url, ca_file)


def new_key() -> str:
    """A key for a submission; keep it until the submission has its ids, and nothing is submitted twice."""
    return key_of()
