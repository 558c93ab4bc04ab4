"""Give the one who may have it a signed address to put a sandbox to, or to get one from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from bus import Db, Event
from bus.errors import Later
from schemas.rules.identity import pilot_of
from schemas.rules.inputs import inputs
from schemas.rules.job_states import FINAL, ROW_FINAL
from schemas.rules.placed import described
from schemas.rules.rights import may

CONSUMES = ("sandbox.grant.v1",)
EMITS = ()

VALID_S = 300
OVER = FINAL | ROW_FINAL


class Hands(Protocol):
    """The store that signs."""

    def grant(self, operation: str, digest: str, size_bytes: int | None, seconds: int) -> Any:
        """A signed address."""
        ...

    def size_of(self, digest: str) -> int | None:
        """How large a stored sandbox is, or None."""
        ...


def decide(
    asked: Mapping[str, Any], job: Mapping[str, Any] | None, account: str, memberships: Sequence[Mapping[str, Any]]
) -> str | None:
    """None when the account may do what it asks for, else the reason why not.

    A pilot may do it for the attempt that it has and that is not over; anybody else by DIRAC's rights. What is put before
    there is a job needs the right to submit one.
    """
    pilot_id = pilot_of(account)
    if job is None and "job_id" in asked:
        return f"there is no job {asked['job_id']}"
    if pilot_id is not None:
        return None if job is not None and holds(pilot_id, asked, job) else f"{account} does not run this attempt of the job"
    if job is not None:
        reason = may("GetSandbox" if asked["operation"] == "get" else "PutSandbox", account, memberships, job)
        return f"there is no job {job['job_id']}" if reason and may("GetInfo", account, memberships, job) else reason
    if asked["operation"] == "get":
        return "to get a sandbox, name its job_id"
    submits = any("NormalUser" in membership["properties"] for membership in memberships)
    return None if submits else f"{account} may not put a sandbox: none of its groups may submit jobs"


def holds(pilot_id: str, asked: Mapping[str, Any], job: Mapping[str, Any]) -> bool:
    """Whether the pilot has this attempt of the job, and it is not over."""
    same = pilot_id == job["pilot_id"] == asked.get("pilot_id") and job["attempt"] == asked.get("attempt")
    return same and job["state"] not in OVER


def stored(asked: Mapping[str, Any], job: Mapping[str, Any]) -> tuple[str, str]:
    """The digest of the sandbox that is asked for, or nothing and the reason why there is none."""
    if asked.get("which") == "output":
        return job["output_digest"] or "", f"job {job['job_id']} has no output yet"
    named = inputs(described(job))
    return (named[0] if named else ""), f"job {job['job_id']} has no input sandbox"


def act(event: Event, db: Db, hands: Hands) -> Iterable[Event]:
    asked, account = event.data, event.authid or ""
    puts = asked["operation"] == "put"
    if puts and ("digest" not in asked or "size_bytes" not in asked):
        return [event.refuse("invalid", "to put a sandbox, name its digest and size_bytes")]
    job = db.one("job", job_id=asked["job_id"]) if "job_id" in asked else None
    if reason := decide(asked, job, account, db.all("standing", account=account)):
        return [event.refuse("denied" if puts else "not_found", reason)]
    if puts or job is None:
        return [_put(event, db, hands)]
    digest, reason = stored(asked, job)
    if not digest:
        return [event.refuse("not_found", reason)]
    if hands.size_of(digest) is None:
        return [event.refuse("not_found", f"the sandbox store does not have {digest} any more")]
    return [event.reply(_shown(hands.grant("get", digest, None, VALID_S), digest))]


def _put(event: Event, db: Db, hands: Hands) -> Event:
    digest = event.data["digest"]
    try:
        grant = hands.grant("put", digest, event.data["size_bytes"], VALID_S)
    except ValueError as problem:
        return event.refuse("invalid", str(problem))
    if not (db.one("expect", digest=digest, size_bytes=event.data["size_bytes"]) or {})["expected"]:
        raise Later(f"sandbox {digest} is just being removed from the store")
    return event.reply(_shown(grant, digest))


def _shown(grant: Any, digest: str) -> dict[str, Any]:
    return {"url": grant.url, "digest": digest, "headers": dict(grant.headers), "expires_at": grant.expires_at}
