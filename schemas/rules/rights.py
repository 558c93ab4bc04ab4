"""Who may do what with whose jobs: DIRAC's JobPolicy, held inside each community."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

# DIRAC.Core.Security.Properties; the schema group.described.v1 has the same list.
PROPERTIES = (
    "TrustedHost", "NormalUser", "CSAdministrator", "JobSharing", "ServiceAdministrator", "JobAdministrator", "JobMonitor",
    "AccountingMonitor", "Pilot", "GenericPilot", "SiteManager", "UserManager", "Operator", "FullDelegation",
    "LimitedDelegation", "PrivateLimitedDelegation", "ProxyManagement", "ProductionManagement", "ProductionSharing",
    "ProductionUser", "PPGAuthority", "BookkeepingManagement", "AlarmsManagement", "FileCatalogManagement", "StageAllowed",
)  # fmt: skip
RIGHTS = (
    "GetJob", "GetInfo", "GetSandbox", "PutSandbox", "ChangeStatus", "Delete", "Kill", "Submit", "Reschedule", "GetStats",
    "Reset",
)  # fmt: skip
OWNER_RIGHTS = frozenset({"GetInfo", "GetSandbox", "PutSandbox", "ChangeStatus", "Delete", "Kill", "Reschedule"})
PROPERTY_RIGHTS = {
    "JobAdministrator": frozenset(RIGHTS) - {"Submit"},
    "JobMonitor": frozenset({"GetInfo"}),
    "GenericPilot": frozenset({"Reschedule"}),  # what the wrapper needs, in DIRAC's own table
}
READS_PILOTS = frozenset({"Operator", "ServiceAdministrator", "SiteManager"})  # what a pilot says of itself is nobody's job
ASKS_ABOUT_ANYONE = frozenset({"Operator", "UserManager"})


@dataclass(frozen=True)
class Reach:
    """Whose jobs a right reaches: one's own, those of groups (each with its community), those of whole communities."""

    own: bool
    groups: tuple[tuple[str, str], ...]
    vos: tuple[str, ...]


def reach(right: str, memberships: Sequence[Mapping[str, Any]]) -> Reach:
    """Give the jobs that a right reaches, for whoever has these memberships: rows with group, vo and properties.

    As in DIRAC, an owner keeps every right of OWNER_RIGHTS over own jobs, JobSharing gives the same over the jobs of that
    group, and JobAdministrator, JobMonitor and GenericPilot give theirs over everybody's. "Everybody" ends at the
    community here, because one installation serves several: no property reaches a job of another VO. DIRAC's switch by
    which anybody may see all jobs is off. Whoever is in no group may do nothing, not even with own jobs.
    """
    owners = right in OWNER_RIGHTS
    groups = [(m["group"], m["vo"]) for m in memberships if owners and "JobSharing" in m["properties"]]
    vos = [m["vo"] for m in memberships if any(right in PROPERTY_RIGHTS.get(name, ()) for name in m["properties"])]
    return Reach(owners and bool(memberships), tuple(sorted(set(groups))), tuple(sorted(set(vos))))


def may(right: str, account: str, memberships: Sequence[Mapping[str, Any]], job: Mapping[str, Any]) -> Optional[str]:
    """Give None when the account may do this with the job (owner, owner_group, vo), else the reason in one sentence.

    The job of Submit is the one that would be: Submit needs NormalUser in the group that it is submitted for.
    """
    if right not in RIGHTS:
        raise ValueError(f"there is no right called {right}")
    if not memberships:
        return f"{account} is in no group"
    if right == "Submit":
        return _may_submit(account, memberships, job)
    far = reach(right, memberships)
    own = far.own and job["owner"] == account
    if own or (job["owner_group"], job["vo"]) in far.groups or job["vo"] in far.vos:
        return None
    return f"{account} has not the right {right} over jobs of {job['owner']} in group {job['owner_group']}"


def _may_submit(account: str, memberships: Sequence[Mapping[str, Any]], job: Mapping[str, Any]) -> Optional[str]:
    group = job["owner_group"]
    if job["owner"] != account:
        return f"{account} may not submit in the name of {job['owner']}"
    for membership in memberships:
        if (membership["group"], membership["vo"]) == (group, job["vo"]):
            return None if "NormalUser" in membership["properties"] else f"group {group} may not submit: it lacks NormalUser"
    return f"{account} is not in group {group}"


def reads_pilots(account: str, memberships: Sequence[Mapping[str, Any]], operators: Collection[str]) -> bool:
    """Say whether the account may read what pilots say of themselves; operators need no entry in the registry."""
    return account in operators or any(READS_PILOTS.intersection(each["properties"]) for each in memberships)


def acting(account: str, memberships: Sequence[Mapping[str, Any]], wanted: Optional[str]) -> tuple[str, str]:
    """Give the group and community in whose name an account acts: the one it wants, else its default, which is the first.

    Raises ValueError with the reason when it has none, or not that one.
    """
    for membership in memberships:
        if wanted is None or membership["group"] == wanted:
            return membership["group"], membership["vo"]
    raise ValueError(f"{account} is not in group {wanted}" if memberships else f"{account} is in no group")
