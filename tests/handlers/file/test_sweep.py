"""file.sweep: a sandbox is removed when no job has named it for its days of grace, and never before."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg
import pytest

from bus.apply import Words, apply
from bus.discover import Handler
from bus.errors import Later
from bus.postgres import Direct
from handlers.file.grant import act as grant
from handlers.file.store.local import LocalStore
from handlers.file.sweep import Hands
from tests.fix_house import OneFile, Story
from tests.handlers.bulks import EXPIRED, SWEEP, stored, submit
from tests.handlers.people import SITE, event, matched, report, submitted

HANDLER = "file.sweep"
DAYS = 15


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A store in a directory."""
    return LocalStore(tmp_path / "sandboxes", "https://127.0.0.1:1", "secret")


def kept(story: Story, store: LocalStore, text: str, days: int = 16) -> str:
    """The digest of a sandbox that was put so long ago."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    (store._directory / digest).write_text(text)
    story.sql("INSERT INTO file.sandboxes VALUES (%s, 1, now() - make_interval(days => %s))", digest, days)
    return digest


def swept(story: Story, store: LocalStore, days: int = DAYS) -> Story:
    """A minute is over."""
    return story.acted(Hands(store, days), event("clock.minute.v1", "_", {"minute": "2026-11-21T00:00:00Z"}))


def test_what_nobody_needs_is_gone_after_its_days_of_grace(story: Story, store: LocalStore) -> None:
    old, young = kept(story, store, "old"), kept(story, store, "young", 14)
    swept(story, store)
    assert [store.size_of(digest) for digest in (old, young)] == [None, 5]
    assert story.rows("SELECT digest FROM file.sandboxes") == [(young,)]


def test_an_input_that_many_submissions_share_is_stored_once_and_kept_for_the_last(story: Story, store: LocalStore) -> None:
    digest = kept(story, store, "shared")
    for _ in range(3):
        submitted(story, 2, InputSandbox=[f"SB:{digest}"])
    assert story.rows("SELECT count(*) FROM file.uses WHERE digest = %s", digest) == [(3,)]
    for gone in (4, 6):
        swept(story, store)
        assert store.size_of(digest) == 6
        story.sql("UPDATE file.sandboxes SET in_use_at = now() - interval '16 days'")
        story.sql("DELETE FROM job.jobs WHERE job_id <= %s", gone)
    swept(story, store)
    assert store.size_of(digest) == 6, "its grace begins when the last reference goes"
    story.sql("UPDATE file.sandboxes SET in_use_at = now() - interval '16 days'")
    swept(story, store)
    assert store.size_of(digest) is None


def test_an_output_is_kept_as_long_as_its_job(story: Story, store: LocalStore) -> None:
    digest = kept(story, store, "output")
    matched(story).given("job.report", report("Running"))
    story.given("job.report", report("Done", "Execution Complete", output={"digest": digest, "size_bytes": 6}))
    swept(story, store)
    assert store.size_of(digest) == 6
    story.sql("DELETE FROM job.jobs").sql("UPDATE file.sandboxes SET in_use_at = now() - interval '16 days'")
    swept(story, store)
    assert store.size_of(digest) is None


def test_the_sandboxes_that_a_template_names_by_its_parameters_are_kept(story: Story, store: LocalStore) -> None:
    digests = [kept(story, store, text) for text in ("first", "second")]
    sweep = SWEEP | {"InputSandbox": ["SB:%s"], "Parameters": digests}
    stored(story, description=sweep)
    swept(story, store)
    assert [store.size_of(digest) for digest in digests] == [5, 6]
    story.given("bulk.expire", EXPIRED)
    assert story.rows("SELECT count(*) FROM file.uses") == [(2,)], "its time is not over"
    story.sql("UPDATE job.submissions SET expires_at = now()").given("bulk.expire", EXPIRED)
    assert story.rows("SELECT count(*) FROM file.uses") == [(0,)]


def test_what_a_submission_that_is_just_being_stored_names_is_not_removed(
    story: Story, store: LocalStore, found: dict[str, Handler], words: Words, test_dsn: str
) -> None:
    digest = kept(story, store, "needed")
    asked = submit(description=SWEEP | {"InputSandbox": [f"SB:{digest}"]})
    story.sql(SITE)
    with psycopg.connect(test_dsn) as other, other.transaction():
        apply(found["bulk.submit"], [asked], other, words, once=False)
        swept(story, store)
        assert store.size_of(digest) == 6
    swept(story, store)
    assert store.size_of(digest) == 6


def test_what_was_put_again_while_others_were_removed_is_left_alone(
    story: Story, store: LocalStore, found: dict[str, Handler]
) -> None:
    first, second = kept(story, store, "first", 17), kept(story, store, "second", 16)

    class Slow:
        """A store that takes two minutes to remove the first; meanwhile somebody puts the second."""

        def remove(self, digest: str) -> None:
            """It is not there."""
            store.remove(digest)
            if digest == first:
                story.sql("UPDATE file.sandboxes SET removing_at = removing_at - interval '2 minutes'")
                put(story, found, second)

    story.acted(Hands(Slow(), DAYS), event("clock.minute.v1", "_", {"minute": "2026-11-21T00:00:00Z"}))
    assert [store.size_of(digest) for digest in (first, second)] == [None, 6]
    assert story.rows("SELECT digest, removing_at FROM file.sandboxes") == [(second, None)]


def test_the_output_of_an_attempt_that_is_over_has_its_grace(story: Story, store: LocalStore) -> None:
    digest = kept(story, store, "output")
    matched(story).given("job.report", report("Running"))
    story.given("job.report", report("Failed", "Application Finished With Errors", output={"digest": digest, "size_bytes": 6}))
    story.given("job.reschedule", event("job.reschedule.v1", "_", {"job_ids": [1]}))
    swept(story, store)
    assert store.size_of(digest) == 6
    story.sql("UPDATE file.sandboxes SET in_use_at = now() - interval '16 days'")
    swept(story, store)
    assert store.size_of(digest) is None


def put(story: Story, found: dict[str, Handler], digest: str) -> None:
    """ada asks where to put it."""
    asked = {"operation": "put", "digest": digest, "size_bytes": 1}
    list(grant(event("sandbox.grant.v1", "_", asked), Direct(story._db, found["file.grant"].sql), OneFile()))


def test_what_is_put_again_has_its_grace_again(story: Story, store: LocalStore, found: dict[str, Handler]) -> None:
    digest = kept(story, store, "again")
    put(story, found, digest)
    swept(story, store)
    assert store.size_of(digest) == 5


def test_nobody_puts_what_is_just_being_removed(story: Story, store: LocalStore, found: dict[str, Handler]) -> None:
    digest = kept(story, store, "going")
    story.rows("SELECT file.begin_removals(now() - interval '15 days', 10)")
    with pytest.raises(Later, match="just being removed"):
        put(story, found, digest)
    story.sql("UPDATE file.sandboxes SET removing_at = now() - interval '2 minutes'")  # whoever removed it has died
    put(story, found, digest)
    swept(story, store)
    assert store.size_of(digest) == 5


def test_a_removal_that_broke_off_is_done_by_the_next(story: Story, store: LocalStore) -> None:
    digest = kept(story, store, "broken")
    story.rows("SELECT file.begin_removals(now() - interval '15 days', 10)")
    swept(story, store)
    assert store.size_of(digest) == 6, "somebody may be at it"
    story.sql("UPDATE file.sandboxes SET removing_at = now() - interval '2 minutes'")
    swept(story, store)
    assert store.size_of(digest) is None


def test_negative_days_and_no_store_remove_nothing(story: Story, store: LocalStore) -> None:
    digest = kept(story, store, "kept", 3000)
    swept(story, store, -1)
    assert store.size_of(digest) == 4
    story.acted(Hands(None, 1), event("clock.minute.v1", "_", {"minute": "2026-11-21T00:00:00Z"}))
