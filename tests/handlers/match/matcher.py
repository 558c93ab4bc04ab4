"""A matcher process without a broker, for tests of what it remembers and of what it says."""

from __future__ import annotations

from typing import Any

from bus.apply import Words, memory_of, serve
from bus.discover import Handler
from bus.event import Event
from handlers.match.memory import Memory
from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "match.request"
LIMIT = "INSERT INTO match.limits (site, ce, attribute, value, most, running, delay_s, burst, tokens, at)"


class Matcher:
    """One matcher process, without a broker: it is asked, it hears, and it remembers."""

    def __init__(self, story: Story, found: dict[str, Handler], words: Words, memory: Memory | None = None) -> None:
        self._handler, self._words, self._db = found[HANDLER], words, story._db
        self.memory = memory or memory_of(self._handler)

    def asked(self, *requests: Event, wakes: tuple[Event, ...] = ()) -> dict[str, Any]:
        """What became of requests, of these and of earlier ones: by pilot, the job's number or None for nothing."""
        replies, stored = serve(self._handler, requests, wakes, self._db, self._words, self.memory)
        self.said = [item.event for item in stored]
        self.replies = list(replies.values())
        return {event.subject: (event.data["job"] or {}).get("job_id") for event in self.replies}


def wake(story: Story, job_id: int) -> Event:
    """That this job waits is told."""
    ((queue_id, attempt, priority, group),) = story.rows(
        "SELECT queue_id, attempt, priority, job_group FROM job.jobs WHERE job_id = %s", job_id
    )
    told = {"job_id": job_id, "attempt": attempt, "queue_id": queue_id, "priority": priority, "job_group": group}
    return event("job.waiting.v1", job_id, told)
