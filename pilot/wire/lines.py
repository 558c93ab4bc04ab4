"""Log lines on their way: numbered and in order, in memory first, then on disk; where both are full, thinned, which is said."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any, Optional, Sequence

from pilot.wire.blocks import (
    LONGEST_TEXT,
    MOST_BATCH_BYTES,
    MOST_IN_BATCH,
    Block,
    Line,
    Queue,
    Stream,
    body_of,
    pack,
    size_of,
    unpack,
)
from pilot.wire.envelope import now
from pilot.wire.line_spool import LineSpool
from schemas.rules.log_levels import DEBUG, INFO, WARNING, has_marks, level_of, reaches

__all__ = ["LONGEST_TEXT", "MOST_IN_BATCH", "Lines", "Stream"]
_ANNOUNCE_EVERY_S = 1.0
LAST_LINES, LONGEST_TAIL = 20, 200


class Lines:
    """The lines not yet handed to the broker. A gap in the numbers is a drop, and a line of the stream pilot says so.

    Nothing here waits for anybody: what neither memory nor disk takes is dropped, the oldest debug lines first, then the
    oldest of the stream that holds most. A flood of std.out does not wash the pilot's own words away.
    """

    def __init__(self, spool: Optional[LineSpool] = None, *, most_lines: int = 20_000, most_bytes: int = 4_000_000) -> None:
        self._spool = spool or LineSpool()
        self._most_lines = most_lines
        self._most_bytes = most_bytes
        self._least = DEBUG
        self._lock = threading.Lock()
        self._queues: dict[Stream, Queue] = {}
        self._ready: OrderedDict[Stream, None] = OrderedDict()  # those in which something waits, the next one first
        self._lost: dict[Stream, tuple[int, int]] = {}  # lines, and how many of them were debug
        self._tails: dict[tuple[int, int], deque[str]] = {}
        self._announced_at = 0.0
        self._complained = ""
        self._order = 0
        self._waiting = self._debug = self._in_memory = self._held_lines = 0

    def __len__(self) -> int:
        return self._waiting

    def keep_from(self, level: str) -> None:
        """From now on the pilot's own lines below this level are as if never written; a payload's are its owner's."""
        self._least = level

    def complaint(self) -> str:
        """What is wrong with the disk, once; empty while nothing is, or it was said."""
        with self._lock:
            before, self._complained = self._complained, self._spool.complaint
            return self._complained if self._complained != before else ""

    def close(self) -> None:
        """What waits is forgotten, and nothing of it is on disk."""
        with self._lock:
            self._spool.close()

    def add(self, stream: Stream, text: str, level: str = INFO) -> None:
        """The text is numbered and waits, without secrets; one longer than 2000 characters becomes several lines."""
        self._add(stream, [text], level)

    def add_all(self, stream: Stream, texts: Sequence[str]) -> None:
        """These lines of a payload are numbered and wait, each with the level that its own words give it."""
        self._add(stream, texts, "" if has_marks("\n".join(texts)) else INFO)

    def batch(self) -> dict[str, Any] | None:
        """The next lines of the next stream as the body of log.written.v1, without its pilot_id; None when none waits."""
        with self._lock:
            while True:
                self._announce()
                found = self._next()
                if found is not None or not self._lost:  # what the disk has lost is seen only when it is taken
                    return found

    def _next(self) -> dict[str, Any] | None:
        while self._ready:
            stream, _ = self._ready.popitem(last=False)
            queue = self._queues[stream]
            lines = self._take(queue)
            if queue.blocks:
                self._ready[stream] = None  # the others first, the next time
            if lines:
                own = {} if stream.job_id is None else {"job_id": stream.job_id, "attempt": stream.attempt}
                return {"stream": stream.name, **body_of(lines), **own}
        return None

    def _add(self, stream: Stream, texts: Sequence[str], level: str) -> None:
        with self._lock:
            queue = self._queue(stream)
            moment = now()
            clean = queue.scrubber.lines([text.replace("\x00", "\ufffd") for text in texts])  # Postgres keeps no NUL
            self._remember(stream, clean[-LAST_LINES:])
            for text in clean:
                own = level or level_of(text)
                if stream.name != "pilot" or reaches(own, self._least):
                    for start in range(0, len(text) or 1, LONGEST_TEXT):
                        self._put(stream, moment, own, text[start : start + LONGEST_TEXT])
            self._shrink()

    def tail(self, job_id: int, attempt: int) -> list[str]:
        """The last lines of an attempt's payload, the newest last."""
        with self._lock:
            return list(self._tails.get((job_id, attempt), ()))

    def forget(self, job_id: int, attempt: int) -> None:
        """The attempt is over: nobody asks for its last lines any more."""
        with self._lock:
            self._tails.pop((job_id, attempt), None)

    def _remember(self, stream: Stream, texts: Sequence[str]) -> None:
        if stream.job_id is not None and stream.attempt is not None and stream.name != "pilot":
            tail = self._tails.setdefault((stream.job_id, stream.attempt), deque(maxlen=LAST_LINES))
            tail.extend(text[:LONGEST_TAIL] for text in texts)

    def _queue(self, stream: Stream) -> Queue:
        queue = self._queues.get(stream)
        if queue is None:
            queue = self._queues[stream] = Queue(stream)
        return queue

    def _put(self, stream: Stream, at: str, level: str, text: str, *, kept: bool = False) -> None:
        queue = self._queue(stream)
        self._ready[stream] = None
        size = size_of(text)
        if kept or not queue.blocks or not queue.blocks[-1].takes(size):
            self._order += 1
            queue.blocks.append(Block(self._order, kept=kept))
        queue.number += 1
        queue.blocks[-1].put(Line(queue.number, at, level, text), size)
        self._waiting += 1
        self._debug += level == DEBUG
        self._count(queue, 1, size)

    def _count(self, queue: Queue, lines: int, size: int) -> None:
        """So much more, or less, is in memory."""
        queue.in_memory += size
        self._in_memory += size
        self._held_lines += lines

    def _shrink(self) -> None:
        """Memory and disk hold no more than they may."""
        while self._held_lines > self._most_lines or self._in_memory > self._most_bytes:
            if not self._to_disk() and not self._thin(on_disk=False):
                return
        while self._spool.used > self._spool.most_bytes:
            if not self._thin(on_disk=True):
                return

    def _to_disk(self) -> bool:
        """One more block is on disk: the newest whole one of the stream that has most in memory."""
        queue = max(self._queues.values(), key=lambda one: one.in_memory)
        newest = None
        for block in reversed(queue.blocks):
            if block.lines and not block.kept:
                newest = block
                if block is not queue.blocks[-1]:
                    break
        return newest is not None and self._write(queue, newest)

    def _write(self, queue: Queue, block: Block, segment: Any = None) -> bool:
        lines = block.lines or []
        place = self._spool.write(queue, pack(lines), segment)
        if place is None:
            return False
        self._count(queue, -block.count, -block.size)
        block.lines, block.place = None, place
        queue.on_disk += place.length
        return True

    def _load(self, queue: Queue, block: Block) -> bool:
        """The block is in memory; False when its lines are lost, because somebody has touched the disk."""
        if block.place is None:
            return True
        raw, count, debug = self._spool.read(block.place), block.count, block.debug
        queue.on_disk -= block.place.length
        self._spool.free(block.place)
        block.fill(unpack(raw) if raw is not None else [])
        self._count(queue, block.count, block.size)
        if raw is None:
            self._lose(queue, count, debug)
        return raw is not None

    def _lose(self, queue: Queue, count: int, debug: int) -> None:
        before = self._lost.get(queue.stream, (0, 0))
        self._lost[queue.stream] = (before[0] + count, before[1] + debug)
        self._waiting -= count
        self._debug -= debug

    def _thin(self, *, on_disk: bool) -> bool:
        """A little less is there: the oldest debug lines are gone, or else the oldest of the fullest stream."""
        found = self._oldest_debug(in_memory_only=not on_disk) if self._debug else None
        if found is not None:
            self._without_debug(*found)
            return True
        fullest = max(self._queues.values(), key=lambda queue: queue.on_disk if on_disk else queue.in_memory)
        block = next((b for b in fullest.blocks if not b.kept and (on_disk or b.lines)), None)
        if block is not None:
            self._drop(fullest, block, block.count if on_disk else max(1, self._held_lines - self._most_lines))
        return block is not None

    def _oldest_debug(self, *, in_memory_only: bool) -> tuple[Queue, Block] | None:
        found = [
            (block.order, queue, block)
            for queue in self._queues.values()
            for block in queue.blocks
            if block.debug and (block.lines or not in_memory_only)
        ]
        return min(found, key=lambda each: each[0])[1:] if found else None

    def _drop(self, queue: Queue, block: Block, count: int) -> None:
        """So many lines of the block are gone, the oldest; of one on disk all are."""
        if block.place is not None:
            queue.on_disk -= block.place.length
            self._spool.free(block.place)
            self._lose(queue, block.count, block.debug)
        elif block.lines:
            left, size, debug = block.lines[count:], block.size, block.debug
            count = block.count - len(left)
            block.fill(left)
            self._count(queue, -count, block.size - size)
            self._lose(queue, count, debug - block.debug)
        if block.place is not None or not block.count:
            queue.blocks.remove(block)

    def _without_debug(self, queue: Queue, block: Block) -> None:
        """The debug lines of this block are gone; on disk those of its whole file, which is written anew."""
        mates = [block]
        if block.place is not None:
            mates = [b for b in queue.blocks if b.place is not None and b.place.segment is block.place.segment]
        places = [mate.place for mate in mates]
        for mate in mates:
            self._load(queue, mate)
            left = [line for line in mate.lines or [] if line.level != DEBUG]
            gone, size = mate.count - len(left), mate.size
            self._lose(queue, gone, gone)
            mate.fill(left)
            self._count(queue, -gone, mate.size - size)
        segment = self._spool.segment()
        for mate, place in zip(mates, places):
            if not mate.count:
                queue.blocks.remove(mate)
            elif place is not None:
                self._write(queue, mate, segment)  # or it stays in memory, which is thinned in its turn

    def _announce(self) -> None:
        if time.monotonic() < self._announced_at + _ANNOUNCE_EVERY_S and self._ready:
            return
        lost, self._lost = self._lost, {}
        for stream, (count, debug) in lost.items():
            which = f", {debug} of them debug," if debug else ""
            text = f"{count} lines of {stream.name}{which} were dropped here: more was written than could be sent"
            self._put(stream._replace(name="pilot"), now(), WARNING, text, kept=True)
            self._announced_at = time.monotonic()

    def _take(self, queue: Queue) -> list[Line]:
        """The next lines of a stream, as many as a message takes."""
        taken: list[Line] = []
        size = 0
        while queue.blocks:
            block = queue.blocks[0]
            if taken and (len(taken) + block.count > MOST_IN_BATCH or size + block.size > MOST_BATCH_BYTES):
                break
            queue.blocks.popleft()
            self._load(queue, block)
            taken += block.lines or []
            size += block.size
            self._waiting -= block.count
            self._debug -= block.debug
            self._count(queue, -block.count, -block.size)
        return taken


def spooled(folder: Path, most_mb: int) -> Lines:
    """Lines that go to this folder when memory is full."""
    return Lines(LineSpool(folder, most_mb << 20))
