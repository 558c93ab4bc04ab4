"""How large jobs are, in processors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.rules.matching import MOST_PROCESSORS


def size(needs: Mapping[str, Any]) -> int:
    """How large a job is, for the largest to be first: its processors, and above all the whole node."""
    return MOST_PROCESSORS + 1 if needs["WholeNode"] else int(needs["MinNumberOfProcessors"])


def occupied(resource: Mapping[str, Any], needs: Mapping[str, Any]) -> int:
    """The processors that nobody else can use while the job runs."""
    offered = min(MOST_PROCESSORS, max(1, int(resource.get("NumberOfProcessors") or 1)))
    if needs["WholeNode"]:
        return offered
    most = needs["MaxNumberOfProcessors"] or offered
    return max(int(needs["MinNumberOfProcessors"]), min(offered, int(most)))
