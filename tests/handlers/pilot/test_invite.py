"""pilot.invite: each secret is for one pilot, bound to its place, and only its digest is kept."""

from __future__ import annotations

from hashlib import sha256

from handlers.pilot.invite import decide
from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "pilot.invite"
ASKED = {"site": "GRID.JINR.ru", "ce": "arc.jinr.ru", "vo": "bes", "count": 3}


def test_one_id_is_for_one_pilot() -> None:
    assert decide("p1", 1) == (["p1"], "")
    assert decide("p1", 2)[1]
    assert len(set(decide(None, 3)[0])) == 3


def test_the_secret_is_told_and_only_its_digest_is_kept(story: Story) -> None:
    story.acted(None, event("pilot.invite.v1", "_", ASKED))
    *facts, reply = story.answers
    assert [fact.type for fact in facts] == ["pilot.invited.v1"] * 3
    rows = dict(story.rows("SELECT pilot_id, secret_sha256 FROM trust.enrolments WHERE invited_by = 'ada'"))
    for pilot in reply.data["pilots"]:
        assert pilot["secret"].startswith(f"pbs1.{pilot['pilot_id']}.")
        assert rows[pilot["pilot_id"]] == sha256(pilot["secret"].encode()).hexdigest()
        assert all(pilot["secret"] not in repr(fact) for fact in facts)
    assert story.rows("SELECT DISTINCT site, ce, vo FROM trust.enrolments WHERE invited_by = 'ada'") == [
        ("GRID.JINR.ru", "arc.jinr.ru", "bes")
    ]


def test_a_private_pilot_is_bound_to_whose_jobs_it_takes(story: Story) -> None:
    private = {"owner": "ada", "owner_group": "bes_user"}
    story.acted(None, event("pilot.invite.v1", "_", {"site": "GRID.JINR.ru", "pilot_id": "own"} | private))
    assert private.items() <= story.answers[0].data.items()
    assert story.rows("SELECT owner, owner_group FROM trust.standing(ARRAY['pilot-own', 'pilot-p1']) ORDER BY account") == [
        ("ada", "bes_user"), ("", "")]  # fmt: skip


def test_an_id_is_invited_once(story: Story) -> None:
    asked = {"site": "GRID.JINR.ru", "pilot_id": "named"}
    story.acted(None, event("pilot.invite.v1", "_", asked)).acted(None, event("pilot.invite.v1", "_", asked))
    story.then(("request.refused.v1.reply", {"code": "conflict"}))
