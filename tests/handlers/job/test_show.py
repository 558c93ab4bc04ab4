"""job.show: attributes, parameters and orders of a job, for whoever may see it."""

from __future__ import annotations

from tests.fix_house import Story
from tests.handlers.people import communities, event, matched, report, submitted
from tests.handlers.pilot.test_beat import beat

HANDLER = "job.show"


def test_a_job_is_shown_whole(story: Story) -> None:
    matched(story, Arguments="hello").given("job.report", report("Running"))
    story.given("pilot.beat", beat({"job_id": 1, "attempt": 1, "wall_s": 12.0, "last_lines": ["x"]}))
    story.given("job.kill", event("job.kill.v1", "_", {"job_ids": [1]}))
    story.when(event("job.show.v1", 1, {"job_id": 1}), once=False)
    told = story.answers[0].data
    assert (told["attributes"]["Arguments"], told["attributes"]["CPUTime"]) == ("hello", 86_400)
    assert told["parameters"]["wall_s"] == 12.0
    (order,) = told["orders"]
    assert (order["order"], order["outcome"], order["requested_by"]) == ("kill", "requested", "ada")
    assert "ended_at" not in order


def test_a_digest_is_told_to_who_may_have_the_sandbox_alone(story: Story) -> None:
    communities(story, ada=["bes_user"], mona=["bes_watch"])
    submitted(story, InputSandbox=[f"SB:{'ab' * 32}", "LFN:/bes/x"])
    told = {}
    for by in ("ada", "mona"):
        story.when(event("job.show.v1", 1, {"job_id": 1}, authid=by), once=False)
        told[by] = story.answers[0].data["attributes"]["InputSandbox"]
    assert told == {"ada": [f"SB:{'ab' * 32}", "LFN:/bes/x"], "mona": ["SB:", "LFN:/bes/x"]}


def test_what_one_may_not_see_is_not_there(story: Story) -> None:
    communities(story, ada=["bes_user"], nina=["bes_user"], mona=["bes_watch"])
    matched(story)
    for by, kind in (("nina", "request.refused.v1.reply"), ("mona", "job.show.v1.reply")):
        story.when(event("job.show.v1", 1, {"job_id": 1}, authid=by), once=False)
        assert story.answers[0].type == kind
    story.when(event("job.show.v1", 9, {"job_id": 9}), once=False)
    story.then(("request.refused.v1.reply", {"code": "not_found", "reason": "you have no such job"}))
