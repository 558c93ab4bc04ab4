"""security.ban: who is banned is known to the gate and to the matcher; a pilot is revoked; nobody bans itself."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.security.ban import decide, ends
from tests.attacks.rows import attack
from tests.fix_house import Story
from tests.handlers.people import event, match_request, matched, waiting

HANDLER = "security.ban"


def ban(kind: str, name: str, **more: Any) -> Any:
    """The operator root bans."""
    return event("security.ban.v1", "_", {"kind": kind, "name": name, "reason": "because"} | more, authid="root")


@pytest.mark.parametrize(
    ("asked", "known", "code"),
    [
        ({"kind": "user", "name": "bob"}, True, ""),
        ({"kind": "user", "name": "bob", "kill_jobs": True, "minutes": 5}, True, ""),
        ({"kind": "user", "name": "nobody"}, False, ""),
        ({"kind": "user", "name": "root"}, True, "invalid"),
        ({"kind": "user", "name": "pilotbus"}, False, "invalid"),
        ({"kind": "user", "name": "pilot-p1"}, False, "invalid"),
        ({"kind": "pilot", "name": "p1"}, True, ""),
        ({"kind": "pilot", "name": "p1", "minutes": 5}, True, "invalid"),
        ({"kind": "pilot", "name": "nobody"}, False, "not_found"),
        ({"kind": "site", "name": "Any.Site.org", "minutes": 5}, False, ""),
        ({"kind": "site", "name": "Any.Site.org", "kill_jobs": True}, True, "invalid"),
    ],
)
def test_who_may_be_banned_and_how(asked: Any, known: Any, code: str) -> None:
    assert decide(asked, "root", known=known)[0] == code


def test_whether_anybody_of_that_name_is_known_is_told(story: Story) -> None:
    waiting(story)
    for kind, name, known in (
        ("user", "ada", True),
        ("user", "adda", False),
        ("site", "CLOUD.CNIC.cn", True),
        ("site", "A.B", False),
    ):
        assert story.when(ban(kind, name), once=False).answers[-1].data["known"] is known


def test_a_ban_may_end_by_itself(story: Story) -> None:
    asked = ban("user", "bob", minutes=120)
    story.when(asked, once=False)
    assert story.answers[-1].data["until"] == ends(asked.time, 120)
    assert story.rows("SELECT type, data FROM bus.timers") == [("security.ban_lifted.v1", {"kind": "user", "name": "bob"})]
    story.when(ban("user", "bob"), once=False)
    assert story.rows("SELECT count(*) FROM bus.timers") == [(0,)], "now it is for good"


@attack("banned person", "has jobs waiting")
def test_the_waiting_jobs_of_who_is_banned_are_not_matched(story: Story) -> None:
    waiting(story).when(ban("user", "ada"), once=False).given("match.request", match_request())
    assert story.rows("SELECT state FROM job.jobs") == [("Waiting",)]
    story.sql("DELETE FROM trust.bans").given("match.request", match_request())
    assert story.rows("SELECT state FROM job.jobs") == [("Matched",)]


def test_running_jobs_are_killed_if_so_wanted(story: Story) -> None:
    matched(story).when(ban("user", "ada", kill_jobs=True), once=False)
    story.then(
        ("security.banned.v1", {"name": "ada"}),
        ("job.kill_requested.v1", {"job_id": 1, "pilot_id": "p1"}),
        ("security.ban.v1.reply", {"killed": 1}),
    )


def test_a_banned_pilot_is_revoked_and_gets_no_job(story: Story) -> None:
    waiting(story).when(ban("pilot", "p1"), once=False)
    story.then(("security.banned.v1", {}), ("pilot.revoked.v1", {"pilot_id": "p1"}), ("security.ban.v1.reply", {"killed": 0}))
    story.given("match.request", match_request())
    assert story.rows("SELECT state FROM job.jobs") == [("Waiting",)]


def test_all_pilots_of_a_banned_site_are_shut_out(story: Story) -> None:
    waiting(story).when(ban("site", "CLOUD.CNIC.cn"), once=False).given("match.request", match_request())
    assert story.rows("SELECT state FROM job.jobs") == [("Waiting",)]
    assert story.rows("SELECT DISTINCT banned FROM trust.standing(ARRAY['pilot-p1', 'pilot-p2'])") == [
        ("site CLOUD.CNIC.cn is banned: because",)
    ]
