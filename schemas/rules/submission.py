"""Whose the jobs of a submission are, what of them has columns of its own, and whether each can ever run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from schemas.rules.attributes import DescriptionError
from schemas.rules.matching import NEEDED, digest, never, requirements
from schemas.rules.rights import acting, may
from schemas.rules.storage import refuse_unstorable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_BYTES = 32_768  # of a description as JSON: it travels to the pilot in one reply
MOST_SHAPES = 100_000  # different needs: each becomes a task queue
MOST_SHAPES_BYTES = 64 << 20
LABELS = ("JobName", "JobGroup", "JobType", "Priority")


class Denied(ValueError):
    """Who asks has no right to it; one sentence says why."""


@dataclass(frozen=True)
class Owner:
    """Whose the jobs are: an account, acting in a group of a community."""

    account: str
    group: str
    vo: str


def owner_of(account: str, memberships: Sequence[Mapping[str, Any]], wanted: str | None) -> Owner:
    """Give in whose name the account submits, or raise Denied with the reason why it may not."""
    try:
        group, vo = acting(account, memberships, wanted)
    except ValueError as problem:
        raise Denied(f"you may not submit: {problem}") from problem
    reason = may("Submit", account, memberships, {"owner": account, "owner_group": group, "vo": vo})
    if reason:
        raise Denied(f"you may not submit: {reason}")
    return Owner(account, group, vo)


def labels(job: Mapping[str, Any]) -> dict[str, Any]:
    """Give what of a description has columns of its own."""
    return {"job_name": job["JobName"], "job_group": job["JobGroup"], "job_type": job["JobType"], "priority": job["Priority"]}


class Judge:
    """Judges the jobs of one submission, one after another, and numbers the different things that they need."""

    def __init__(self, owner: Owner, sites: Sequence[Mapping[str, Any]]) -> None:
        """Judge by the sites that are known now."""
        self._owner, self._sites = owner, list(sites)
        self._storage_elements = {name for site in sites for name in site.get("storage_elements", ())}
        self._shapes: dict[bytes, int] = {}
        self._by_digest: dict[str, int] = {}
        self._shapes_bytes = 0
        self.shapes: list[tuple[str, str]] = []  # digests and needs, these as JSON, which is smallest

    def refuse(self, job: Mapping[str, Any]) -> None:
        """Raise DescriptionError when the job can not be taken, whatever it needs of its worker node."""
        size = len(json.dumps(job))
        if size > MOST_BYTES:
            raise DescriptionError(
                f"a description of {size} bytes is more than {MOST_BYTES}; put what is large in the input sandbox"
            )
        refuse_unstorable(job, self._storage_elements)

    def shape(self, job: Mapping[str, Any]) -> int:
        """Give the number of what the job needs, or raise DescriptionError when it is not taken or can never run."""
        self.refuse(job)
        key = sha256(repr([job.get(name) for name in NEEDED]).encode()).digest()
        if key not in self._shapes:
            if len(self._shapes) >= MOST_SHAPES:
                self._shapes.clear()  # only what it would cost to find them again
            self._shapes[key] = self._known(requirements(job, self._owner.account, self._owner.group, self._owner.vo))
        return self._shapes[key]

    def _known(self, needs: dict[str, Any]) -> int:
        mark = digest(needs)
        if mark not in self._by_digest:
            if reason := never(needs, self._sites):
                raise DescriptionError(reason)
            text = json.dumps(needs)
            self._shapes_bytes += len(text)
            if len(self.shapes) == MOST_SHAPES or self._shapes_bytes > MOST_SHAPES_BYTES:
                raise DescriptionError(
                    f"the jobs need more than {MOST_SHAPES} different things, or {MOST_SHAPES_BYTES} bytes of them; make several"
                    " submissions of them"
                )
            self._by_digest[mark] = len(self.shapes)
            self.shapes.append((mark, text))
        return self._by_digest[mark]
