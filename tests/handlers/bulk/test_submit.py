"""bulk.submit: all jobs of a submission are stored as Submitting under consecutive ids, or a reason is given and none is."""

from __future__ import annotations

import gzip
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from bus.apply import Words, apply
from bus.discover import Handler
from bus.errors import Conflict, Later
from handlers.bulk import forms
from handlers.bulk import stored as stored_rows
from schemas.rules.description import normalise
from tests.fix_house import Story
from tests.handlers.bulks import EXPIRED, SWEEP, Shelf, confirm, ref, states, stored, submit
from tests.handlers.people import SITE, SUBMISSION, communities, event, put, until_locked

HANDLER = "bulk.submit"
OTHER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
LINES = b"".join(
    json.dumps({"Executable": "/bin/echo", "Arguments": str(n), "CPUTime": 1000 * n}).encode() + b"\n" for n in (1, 2, 3)
)
TABLE = b"Energy,Name\n3.09,jpsi\n3.68,psip\n"
FILLED = {"Executable": "sim.sh", "Arguments": "%(Energy)s", "JobName": "%(Name)s_%n"}


def refused(story: Story, *, code: str = "invalid") -> str:
    """The reason why, and nothing is stored."""
    ((kind, data),) = [(answer.type, answer.data) for answer in story.answers]
    assert (kind, data["code"]) == ("request.refused.v1.reply", code)
    assert story.rows("SELECT count(*) FROM job.jobs") == [(0,)]
    assert story.rows("SELECT count(*) FROM job.submissions") == [(0,)]
    return str(data["reason"])


def test_all_jobs_are_stored_as_submitting_and_their_ids_are_consecutive(story: Story) -> None:
    story.sql(SITE).when(submit(), once=False)
    told = {"submission": SUBMISSION, "first_job_id": 1, "count": 5}
    story.then(
        ("bulk.submitted.v1", told | {"last_job_id": 5, "owner": "ada"}), ("bulk.submit.v1.reply", told | {"state": "Submitting"})
    )
    rows = story.rows("SELECT job_id, state, minor_status, version, description, place, job_group FROM job.jobs ORDER BY 1")
    assert rows == [(n, "Submitting", "Bulk transaction confirmation", 1, None, n - 1, "round16") for n in range(1, 6)]
    assert story.rows("SELECT jobs::text, number, state FROM job.history_ranges") == [("[1,6)", 1, "Submitting")]
    assert story.rows("SELECT type, subject FROM bus.timers") == [("bulk.expired.v1", SUBMISSION)]


def test_its_events_are_the_owners_and_the_communitys_to_follow(story: Story) -> None:
    story.sql(SITE).when(submit(), once=False)
    assert [(answer.owner, answer.vo) for answer in story.answers][:1] == [("ada", "local")]


def test_the_same_key_gets_the_same_ids_before_and_after_it_is_confirmed(story: Story) -> None:
    stored(story).when(submit(expires_s=10), once=False)
    story.then(("bulk.submit.v1.reply", {"first_job_id": 1, "count": 5, "state": "Submitting"}))
    story.given("bulk.confirm", confirm()).when(submit(), once=False)
    story.then(("bulk.submit.v1.reply", {"first_job_id": 1, "count": 5, "state": "Received"}))
    assert states(story) == [("Received", 5)]


def test_the_same_key_twice_in_one_batch_stores_the_jobs_once(story: Story) -> None:
    story.sql(SITE).when(submit(), submit(), once=False)
    assert [answer.type for answer in story.answers] == ["bulk.submitted.v1", "bulk.submit.v1.reply", "bulk.submit.v1.reply"]
    assert states(story) == [("Submitting", 5)]


def test_what_was_removed_is_stored_again_under_the_ids_that_it_had(story: Story) -> None:
    stored(story).sql("UPDATE job.submissions SET expires_at = now()").given("bulk.expire", EXPIRED)
    stored(story, submission=OTHER).when(submit(), once=False)
    story.then(("bulk.submitted.v1", {"first_job_id": 1}), ("bulk.submit.v1.reply", {"first_job_id": 1, "state": "Submitting"}))
    assert states(story) == [("Submitting", 10)]
    assert story.rows("SELECT count(*) FROM job.steps(ARRAY[1::bigint])") == [(1,)]


def test_a_key_used_for_something_else_or_by_somebody_else_is_a_conflict(story: Story) -> None:
    stored(story)
    story.given("job.submit", event("job.submit.v1", OTHER, {"submission": OTHER, "description": SWEEP}))
    for other in (submit(description=SWEEP | {"Parameters": 6}), submit("bob"), submit(submission=OTHER)):
        story.when(other, once=False).then(("request.refused.v1.reply", {"code": "conflict"}))
    story.given("bulk.expire", EXPIRED).when(submit("bob"), once=False).then(("request.refused.v1.reply", {"code": "conflict"}))


def test_a_key_that_somebody_else_uses_just_then_stays_theirs(
    story: Story, found: dict[str, Handler], words: Words, test_dsn: str
) -> None:
    story.sql(SITE)
    single = event("job.submit.v1", SUBMISSION, {"submission": SUBMISSION, "description": SWEEP | {"Parameters": 2}})

    def hand_in() -> None:
        with psycopg.connect(test_dsn, autocommit=True) as own:
            apply(found[HANDLER], [submit()], own, words, once=False)

    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(test_dsn) as other, other.transaction():
            apply(found["job.submit"], [single], other, words, once=False)
            handing = pool.submit(hand_in)
            until_locked(story, handing)
        with pytest.raises(Conflict):
            handing.result(20)
    assert states(story) == [("Received", 2)]
    assert story.rows("SELECT state, count FROM job.submissions") == [("Received", 2)]


def test_while_another_process_stores_the_submission_it_is_tried_again_later(
    story: Story, db: psycopg.Connection[object], test_dsn: str, found: dict[str, Handler], words: Words
) -> None:
    story.sql(SITE)
    with psycopg.connect(test_dsn) as other:
        other.execute("SELECT job.hold(%s)", (SUBMISSION,))
        with pytest.raises(Later):
            apply(found[HANDLER], [submit()], db, words, once=False)
    story.when(submit(), once=False)
    assert states(story) == [("Submitting", 5)]


def test_ids_of_two_submissions_do_not_mix_and_of_a_failed_one_are_never_used_again(story: Story) -> None:
    stored(story).given("job.submit", event("job.submit.v1", OTHER, {"submission": OTHER, "description": SWEEP}))
    spans = "SELECT submission::text, min(job_id), max(job_id), count(*) FROM job.jobs GROUP BY 1 ORDER BY 2"
    assert story.rows(spans) == [(SUBMISSION, 1, 5, 5), (OTHER, 6, 10, 5)]


def test_ids_are_allotted_without_waiting_for_whoever_has_taken_some_and_not_committed(story: Story, test_dsn: str) -> None:
    with psycopg.connect(test_dsn) as other:
        assert other.execute("SELECT job.allot(1000)").fetchone() == (1,)
        story.sql(SITE).when(submit(), once=False)
        other.rollback()
    story.then(("bulk.submitted.v1", {"first_job_id": 1001}), ("bulk.submit.v1.reply", {"first_job_id": 1001}))


def test_labels_that_differ_are_columns_and_what_differs_in_needs_is_numbered(story: Story) -> None:
    sweep = SWEEP | {"JobName": "sim_%n", "CPUTime": "%s", "ParameterStart": 300, "ParameterStep": 100}
    story.sql(SITE).when(submit(description=sweep), once=False)
    rows = story.rows("SELECT job_name, shape, description IS NULL, cells IS NULL FROM job.jobs ORDER BY job_id")
    assert rows == [(f"sim_{n}", int(n > 0), True, True) for n in range(5)]
    assert story.rows("SELECT shape, (requirements->>'CPUTime')::int FROM job.shapes ORDER BY 1") == [(0, 360), (1, 1800)]


@pytest.mark.parametrize("packed", [False, True])
def test_json_lines_keep_a_description_each(story: Story, packed: bool) -> None:
    text = gzip.compress(LINES) if packed else LINES
    story.sql(SITE).when(submit(dataref=ref(text)), once=False, hands=Shelf(text))
    story.then(("bulk.submitted.v1", {"count": 3}), ("bulk.submit.v1.reply", {"count": 3}))
    assert story.rows("SELECT description->>'Arguments', template_id, place FROM job.jobs ORDER BY job_id") == [
        (str(n), None, None) for n in (1, 2, 3)
    ]


def test_the_rows_of_a_table_fill_the_description_and_keep_their_cells(story: Story) -> None:
    story.sql(SITE).when(submit(description=FILLED, dataref=ref(TABLE, "table")), once=False, hands=Shelf(TABLE))
    rows = story.rows("SELECT job_name, place, cells, description FROM job.jobs ORDER BY job_id")
    assert rows == [("jpsi_0", 0, ["3.09", "jpsi"], None), ("psip_1", 1, ["3.68", "psip"], None)]


def test_one_job_is_the_same_with_one(story: Story) -> None:
    story.sql(SITE).when(submit(description={"Executable": "/bin/true"}), once=False)
    story.then(("bulk.submitted.v1", {"count": 1}), ("bulk.submit.v1.reply", {"count": 1}))
    assert story.rows("SELECT description->>'Executable', template_id FROM job.jobs") == [("/bin/true", None)]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"description": SWEEP | {"Executible": "x"}}, "Executible"),
    ({"description": SWEEP | {"Parameters": forms.MOST_JOBS + 1}}, "more than 1000000 jobs"),
    ({"description": SWEEP | {"NumberOfProcessors": 64}}, "64 processors"),
    ({"description": SWEEP | {"CPUTime": "%s", "ParameterStart": 499_998}}, "job 2: CPUTime must be 100 to 500000"),
    ({"description": SWEEP | {"MinNumberOfProcessors": "%s", "ParameterStart": 5}}, "job 2: the job needs 9 processors"),
    ({"description": SWEEP | {"Executable": "%s", "Parameters": ["a", "b", " "]}}, "job 2: Executable is missing"),
    ({"description": SWEEP | {"OutputData": ["%s.root"]}}, "job 0: OutputData is for stored data, and no site has a storage"),
    ({"dataref": ref(LINES + b"{]\n")}, "line 4"),
    ({"dataref": ref(LINES + b'{"Executable": "x", "Site": "A.B.ch"}\n')}, "job 3: no site is called A.B.ch"),
    ({"dataref": ref(b"\n\n")}, "no job"),
    ({"dataref": ref(LINES), "description": SWEEP}, "goes with a table"),
    ({"dataref": ref(TABLE, "table")}, "say the description"),
    ({"dataref": ref(b"Energy,Name\n1\n", "table"), "description": FILLED}, "line 2"),
    ({"dataref": ref(gzip.compress(LINES)[:40])}, "can not be unpacked"),
    ({"dataref": ref(LINES) | {"size_bytes": 3}}, "are not 3 bytes"),
    ({"expires_s": 5, "dataref": ref(b"x" * 70_000)}, "JSON"),
]
TEXTS = [LINES, LINES + b"{]\n", LINES + b'{"Executable": "x", "Site": "A.B.ch"}\n', b"\n\n", TABLE, b"Energy,Name\n1\n"]
SHELF = Shelf(*TEXTS, gzip.compress(LINES)[:40], b"x" * 70_000)


@pytest.mark.parametrize(("asked", "why"), BAD, ids=[why for _, why in BAD])
def test_what_can_not_be_stored_whole_is_refused_whole_and_the_job_is_named(
    story: Story, asked: dict[str, Any], why: str
) -> None:
    story.sql(SITE).when(submit(**asked), once=False, hands=SHELF)
    assert why in refused(story)


def test_output_data_are_carried_where_a_site_has_the_storage_that_every_job_names(story: Story) -> None:
    story.sql(SITE).sql("UPDATE site.sites SET storage_elements = '{USER-0,USER-1}'")
    to = SWEEP | {"Parameters": 3, "OutputData": ["%s.root"], "OutputSE": ["USER-%n"], "OutputPath": "/run/%n"}
    story.when(submit(description=to), once=False)
    assert "job 2: OutputSE names USER-2, which no site has" in refused(story)
    story.when(submit(description=to | {"Parameters": 2}), once=False)
    assert states(story) == [("Submitting", 2)]


def test_rows_that_are_hardly_anything_but_lines_end_somewhere(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_rows, "MOST_LINES", 1_000)
    text = gzip.compress(LINES + b"\n" * 1_000)
    story.sql(SITE).when(submit(dataref=ref(text)), once=False, hands=Shelf(text))
    assert refused(story) == "the rows have more than 1000 lines"


def test_jobs_that_take_too_long_to_make_are_refused(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "MOST_CPU_S", 0.0)
    story.sql(SITE)
    for asked in (submit(), submit(dataref=ref(LINES)), submit(description=FILLED, dataref=ref(TABLE, "table"))):
        story.when(asked, once=False, hands=Shelf(LINES, TABLE))
        assert "these jobs take more than 0.0 s to make" in refused(story)


def test_rows_are_written_and_read_in_pieces_that_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "BYTES_AT_ONCE", 1_000)
    rows = forms.Rows(io.BytesIO())
    for _ in range(50):
        rows.add(normalise({"Executable": "x"}), 0, description={"Arguments": "a" * 300})
    pieces = list(rows.pieces())
    assert max(map(len, pieces)) < 2_000
    assert [row["place"] for piece in pieces for row in json.loads(piece)] == list(range(50))


def test_nothing_said_is_refused(story: Story) -> None:
    story.sql(SITE).when(event("bulk.submit.v1", SUBMISSION, {"submission": SUBMISSION}), once=False)
    assert "say a description" in refused(story)


def test_rows_that_were_never_uploaded_are_not_found(story: Story) -> None:
    for hands in (Shelf(), None):
        story.sql(SITE + " ON CONFLICT DO NOTHING").when(submit(dataref=ref(LINES)), once=False, hands=hands)
        assert "upload it before this" in refused(story, code="not_found")


def test_an_input_that_the_store_does_not_have_or_just_removes_is_refused(story: Story) -> None:
    there, gone = "ab" * 32, "cd" * 32
    asked = submit(description=SWEEP | {"InputSandbox": ["SB:%s"], "Parameters": [there, gone]})
    put(story.sql(SITE), there).when(asked, once=False)
    assert refused(story, code="not_found") == f"the sandbox store does not have {gone}, or not any more: upload it before this"
    put(story, gone).sql("UPDATE file.sandboxes SET removing_at = now() WHERE digest = %s", there).when(asked, once=False)
    assert there in refused(story, code="not_found")
    story.sql("UPDATE file.sandboxes SET removing_at = NULL").when(asked, once=False)
    assert story.rows("SELECT digest FROM file.uses ORDER BY 1") == [(there,), (gone,)]


def test_too_many_different_inputs_are_refused(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "MOST_INPUTS", 4)
    asked = submit(description=SWEEP | {"InputSandbox": ["SB:%s"], "Parameters": ["a", "b", "c", "d", "e"]})
    story.sql(SITE).when(asked, once=False)
    assert "more than 4 input sandboxes" in refused(story)


def test_who_may_not_submit_gets_no_job(story: Story) -> None:
    communities(story, ada=["bes_watch"], bob=[])
    story.when(submit(), once=False)
    assert "group bes_watch may not submit" in refused(story, code="denied")
    story.when(submit("bob"), once=False)
    assert "bob is in no group" in refused(story, code="denied")


def test_a_million_jobs_of_one_kind_need_no_description_of_their_own(story: Story) -> None:
    story.sql(SITE).when(submit(description=SWEEP | {"Parameters": 120_000}), once=False)
    assert story.rows("SELECT count(*), min(place), max(place) FROM job.jobs") == [(120_000, 0, 119_999)]
    assert story.rows("SELECT count(*) FROM job.templates") == [(1,)]
    assert story.rows("SELECT count(*) FROM job.history") == [(0,)]
