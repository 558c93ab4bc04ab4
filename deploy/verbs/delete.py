"""Delete jobs that are over or wait; they are removed when their time is up. What runs has to be killed before.

Of a group, or of what only filters name, what can be deleted is deleted.
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
    """Delete jobs."""
    named = {"group": group, "submission": submission, "states": state, "site": site, "since": since, "until": until}
    asked = select.named(select.selection(jobs, owner=owner, owner_group=owner_group, **named))
    with client("delete") as bus:
        told = command(bus, "job.delete.v1", asked)
    select.tell(told, "deleted", as_json=json)
