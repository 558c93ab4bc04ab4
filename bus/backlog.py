"""What has piled up in a queue while nobody took it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from bus.topology import PREFETCH
from bus.transport import Transport

LONG_S = 5.0


class Backlog:
    """Messages that came at their own pace: how fast they are read now says nothing of their senders."""

    def __init__(self, name: str, *, counts: bool) -> None:
        """Of the queue of this name; one that does not count is always empty."""
        self._name, self._counts, self._left = name, counts, 0

    def count(self, transport: Transport, ahead: int = 0) -> None:
        """What waits now has piled up, and so have those that are already on their way to this process."""
        self._left = transport.depth(self._name) + ahead if self._counts else 0

    @contextmanager
    def turn(self, transport: Transport) -> Iterator[None]:
        """A turn that takes long, because the database is away, lets more pile up."""
        began = time.monotonic()
        yield
        if time.monotonic() > began + LONG_S:
            self.count(transport, PREFETCH)

    def took(self) -> bool:
        """Whether the message that is read now is of the backlog."""
        if not self._left:
            return False
        self._left -= 1
        return True
