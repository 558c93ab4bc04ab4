"""What the handlers of shares are given: the policy that scores, and who operates."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from schemas.rules.shares import Policy


class Hands(NamedTuple):
    """The policy in use, and the accounts that operate without an entry in the registry."""

    policy: Policy
    operators: Collection[str]
