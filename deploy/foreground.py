"""A command in the foreground of a stack: its exit code, and what a signal to us does to it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import NoReturn

from deploy.process import StackError

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_COMMAND_PATIENCE_S = 15.0


class EndedBySignal(Exception):
    """We were asked to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_in_foreground(command: Sequence[str], settings: Mapping[str, str]) -> int:
    """The command's exit code as a shell would tell it; a signal to us ends the command too."""
    try:
        child = subprocess.Popen(command, env=os.environ | dict(settings))
    except OSError as error:
        raise StackError(f"Cannot run {command[0]!r}: {error.strerror}.") from None
    try:
        code = child.wait()
    except EndedBySignal as ended:
        ignore_signals()
        # Ctrl-C reached the command as well, and a second signal would cut its own tidying short.
        _end_command(child, asked_already=ended.number == signal.SIGINT)
        raise
    return code if code >= 0 else 128 - code


def _end_command(child: subprocess.Popen[bytes], *, asked_already: bool) -> None:
    steps = [child.terminate, child.kill]
    for step in [lambda: None, *steps] if asked_already else steps:
        step()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_COMMAND_PATIENCE_S)
            return


@contextlib.contextmanager
def signals_raised() -> Iterator[None]:
    """A signal that asks us to end becomes an exception, so that everything started is stopped."""

    def raise_it(number: int, _frame: FrameType | None) -> NoReturn:
        raise EndedBySignal(number)

    before = {number: signal.signal(number, raise_it) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """From here on nothing may cut the tidying short; it is bounded in time."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
