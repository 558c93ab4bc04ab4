"""match.request and match.release, with claims and usage in the database: in the long run groups have what their shares say."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

from schemas.rules.matching import digest, requirements
from tests.fix_house import Story
from tests.handlers.match.matcher import Matcher
from tests.handlers.people import SITE, described, event, match_request

HANDLER = "match.request"
SUBMISSION = "7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01"
SHARES = {"small": 1000, "middle": 2000, "large": 3000}
USERS = {"small": ("ada",), "middle": ("bob", "cyd"), "large": ("dan",)}
WIDTHS = {"small": 1, "middle": 1, "large": 2}
LENGTHS_STEPS = {"small": 6, "middle": 2, "large": 4}
SLOTS, STEP_S, STEPS, SETTLED = 36, 1800, 120, 20
JOBS = 900


def demanded(story: Story) -> None:
    """Each user has more waiting jobs than there will ever be room for."""
    story.sql(SITE).sql("INSERT INTO job.submissions VALUES (%s, 'ada', 'x', 1, 1, now())", SUBMISSION)
    described(story, ("vo", {"vo": "bes"}))
    first = 1
    for group, share in SHARES.items():
        described(story, ("group", {"group": group, "vo": "bes", "properties": ["NormalUser"], "job_share": share}))
        for owner in USERS[group]:
            needs = requirements({"NumberOfProcessors": WIDTHS[group], "CPUTime": 300}, owner, group, "bes")
            story.sql(
                """WITH queue AS (INSERT INTO match.queues (digest, requirements) VALUES (%s, %s) RETURNING queue_id)
                INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, state, minor_status,
                                      priority, description, queue_id, submitted_at, changed_at)
                SELECT %s + n, %s, %s, %s, 'bes', 'x', 'x', 'Waiting', 'x', 1, '{}', queue_id, now(), now()
                FROM queue, generate_series(0, %s - 1) n""",
                digest(needs), json.dumps(needs), first, SUBMISSION, owner, group, JOBS,
            )  # fmt: skip
            first += JOBS


def used(story: Story) -> Counter[tuple[str, str]]:
    """The processors that each user's claims hold."""
    held = "SELECT owner_group, owner, sum(processors) FROM match.claims WHERE released_at IS NULL GROUP BY 1, 2"
    return Counter({(group, owner): processors for group, owner, processors in story.rows(held)})


def worst_percent(had: Counter[Any], shares: dict[Any, float]) -> float:
    """How far whoever is furthest from its share is from it."""
    whole = had.total() / sum(shares.values())
    return max(abs(100 * had[name] / (share * whole) - 100) for name, share in shares.items())


def test_in_the_long_run_groups_have_their_shares_and_users_equal_parts(story: Story, matcher: Matcher) -> None:
    """A farm of slots is always full; jobs differ in width and length. Time passes in that what was used moves into the past."""
    demanded(story)
    chance = random.Random(1)
    ends: dict[int, int] = {}  # of each job, the step at whose beginning it is over
    had: Counter[Any] = Counter()
    for step in range(STEPS):
        over = [job_id for job_id, end in ends.items() if end <= step]
        for job_id in over:
            del ends[job_id]
        told = [event("job.done.v1", job_id, {"job_id": job_id, "attempt": 1, "minor_status": "x"}) for job_id in over]
        story.given("match.release", *told)
        matcher.memory.waiting.look_again()
        free = SLOTS - used(story).total()
        while free > 0:
            requests = [match_request(f"p{n % 9 + 1}", NumberOfProcessors=2) for n in range(min(free, 8))]
            matcher.asked(*requests)
            given = story.rows("SELECT job_id, owner_group FROM match.claims WHERE released_at IS NULL")
            for job_id, group in given:
                if job_id not in ends:
                    ends[job_id] = step + 1 + min(60, int(chance.expovariate(1 / LENGTHS_STEPS[group])))
            free = SLOTS - used(story).total()
        if step >= SETTLED:
            had.update(used(story))
        story.sql("UPDATE share.usage SET at = at - make_interval(secs => %s)", STEP_S)
    groups = Counter[Any]()
    for (group, _), amount in had.items():
        groups[group] += amount
    assert worst_percent(groups, dict(SHARES)) < 5
    middle = {("middle", owner): 1 for owner in USERS["middle"]}
    assert worst_percent(Counter({who: had[who] for who in middle}), dict(middle)) < 5
