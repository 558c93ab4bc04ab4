"""What the services are told at their start: for how many days things are kept."""

from __future__ import annotations

import pytest

from bus.settings import Settings
from deploy.start import days_of, hands_of
from deploy.verbs.common import Failure


def test_jobs_and_sandboxes_are_kept_as_settings_say() -> None:
    hands = hands_of(Settings(killed_keep_days="-1", deleted_keep_days="0", sandbox_keep_days="3"), None, None)
    assert hands["job.retire"] == {"Done": 7, "Failed": 7, "Killed": -1, "Deleted": 0}
    assert (hands["file.sweep"].store, hands["file.sweep"].days) == (None, 3)


@pytest.mark.parametrize(("said", "least"), [("0", 1), ("-1", 0), ("-2", -1), ("3651", -1), ("7d", -1), ("", -1), ("٣", -1)])
def test_a_number_of_days_that_is_none_is_refused_by_its_name(said: str, least: int) -> None:
    with pytest.raises(Failure, match="PILOTBUS_DONE_KEEP_DAYS"):
        days_of(said, "DONE", least)
