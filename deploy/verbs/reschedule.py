"""Let jobs run again: a new attempt, three times at most, that waits for a pilot after DIRAC's delay.

Of a group, or of what only filters name, what has failed is rescheduled; --state says otherwise.
"""

from __future__ import annotations

from bus.selections import command
from deploy.verbs import _selection as select
from deploy.verbs.common import Json, client


def run(
    jobs: select.Words = None,
    group: select.Group = "",
    submission: select.Submission = "",
    state: select.States = None,
    owner: select.Owner = "",
    owner_group: select.OwnerGroup = "",
    site: select.Site = "",
    since: select.Since = "",
    until: select.Until = "",
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Reschedule jobs."""
    named = {"group": group, "submission": submission, "states": state, "site": site, "since": since, "until": until}
    asked = select.named(select.selection(jobs, owner=owner, owner_group=owner_group, **named))
    with client("reschedule") as bus:
        told = command(bus, "job.reschedule.v1", asked)
    select.tell(told, "rescheduled", as_json=json)
