"""token.job: the pilot that has the attempt gets a token that says whose job it is; the broker would not let it in."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.token.issuer import BROKER, PAYLOAD, BadToken
from handlers.token.job import decide
from tests.fix_house import Story
from tests.handlers.people import event, matched, report

HANDLER = "token.job"
JOB = {"pilot_id": "p1", "attempt": 1, "state": "Running"}


def asked(pilot_id: str = "p1", attempt: int = 1) -> Any:
    """A pilot asks for its payload."""
    return event("token.job.v1", pilot_id, {"pilot_id": pilot_id, "job_id": 1, "attempt": attempt}, authid=f"pilot-{pilot_id}")


@pytest.mark.parametrize(
    ("job", "attempt", "pilot_id", "lets"),
    [
        (JOB, 1, "p1", True),
        (JOB, 2, "p1", False),
        (JOB, 1, "p2", False),
        (JOB, 1, None, False),
        (JOB | {"state": "Done"}, 1, "p1", False),
        (None, 1, "p1", False),
    ],
)
def test_only_who_has_the_attempt(job: dict[str, Any] | None, attempt: int, pilot_id: str | None, lets: bool) -> None:
    assert (decide(job, attempt, pilot_id) == "") is lets


def test_the_token_says_whose_job_it_is_and_is_none_of_the_brokers(story: Story, hands: dict[str, Any]) -> None:
    issuer = hands["token.job"]
    matched(story).when(asked(), once=False, hands=issuer)
    token = story.answers[0].data["token"]
    claims = issuer.verify(token, PAYLOAD)
    named = ("owner", "owner_group", "vo", "job_id", "attempt", "pilot_id")
    assert [claims[name] for name in named] == ["ada", "local_user", "local", 1, 1, "p1"]
    with pytest.raises(BadToken):
        issuer.verify(token, BROKER)


def test_another_pilot_and_a_job_that_is_over_get_none(story: Story, hands: dict[str, Any]) -> None:
    matched(story).when(asked("p2"), once=False, hands=hands["token.job"]).then(("request.refused.v1.reply", {"code": "denied"}))
    story.given("job.report", report("Running"), report("Done", "Execution Complete"))
    story.when(asked(), once=False, hands=hands["token.job"]).then(("request.refused.v1.reply", {"code": "denied"}))
