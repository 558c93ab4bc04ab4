"""Stop all that `pilotbus up` has started; jobs and outputs are still there at the next `up`."""

from __future__ import annotations

from bus.account import STACK
from deploy import local
from deploy.process import StackError
from deploy.verbs.common import UNAVAILABLE, Failure, talk


def run() -> None:
    """Stop everything on this machine."""
    try:
        local.stop_all(STACK)
    except StackError as problem:
        raise Failure(str(problem), UNAVAILABLE) from problem
    talk.print("down")
