"""Events as they happen, as an iterator for a program's own loop, synchronous or not."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from bus.client import Client
from bus.event import Event

TURN_S = 0.5


class Following:
    """What is followed from when this is made until it is closed. Raises Unavailable, from `next`, for a lost bus.

    It does not go on by itself then: what happened meanwhile nobody would have told.
    """

    def __init__(self, bus: Client, patterns: Sequence[str], quiet_s: float, *, everybody: bool) -> None:
        self._bus, self._quiet_s = bus, quiet_s
        self._came: deque[Event] = deque()
        self._closed = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="following")  # starts no thread before it is wanted
        bus.__enter__()
        try:
            (bus.follow if everybody else bus.follow_own)(*patterns)
        except BaseException:
            self.close()
            raise
        self._heard_at = time.monotonic()

    def _turn(self) -> None:
        """What has come is here, also when whoever waited for it was cancelled meanwhile."""
        self._came.extend(self._bus.events(TURN_S))
        if self._came:
            self._heard_at = time.monotonic()

    def _over(self) -> bool:
        return self._closed or bool(self._quiet_s and time.monotonic() > self._heard_at + self._quiet_s)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while not self._came:
            if self._over():
                self.close()
                raise StopIteration
            self._turn()
        return self._came.popleft()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._came:
            if self._over():
                await asyncio.to_thread(self.close)
                raise StopAsyncIteration
            await asyncio.get_running_loop().run_in_executor(self._pool, self._turn)
        return self._came.popleft()

    def close(self) -> None:
        """Nothing is followed any more, and the connection is closed."""
        if not self._closed:
            self._closed = True
            self._pool.shutdown(wait=True)
            self._bus.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)
