"""Give the one who may have it a signed address to put a sandbox to, or to get one from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from bus import Db, Event

CONSUMES = ("sandbox.grant.v1",)
EMITS = ()

VALID_S = 300


class Hands(Protocol):
    """The store that signs."""

    def grant(self, operation: str, digest: str, size_bytes: int | None, seconds: int) -> Any:
        """A signed address."""
        ...

    def size_of(self, digest: str) -> int | None:
        """How large a stored sandbox is, or None."""
        ...


def decide(asked: Mapping[str, Any], job: Mapping[str, Any] | None, account: str) -> tuple[str, str]:
    """The digest that may be got, or nothing and the reason why not."""
    if job is None:
        return "", f"there is no job {asked.get('job_id')}"
    holds = account == "pilot" and job["pilot_id"] == asked.get("pilot_id") and job["attempt"] == asked.get("attempt")
    if job["owner"] != account and not holds:
        return "", f"job {job['job_id']} is not yours"
    if asked.get("which") == "output":
        return job["output_digest"] or "", f"job {job['job_id']} has no output yet"
    stored = [str(entry)[3:] for entry in job["description"].get("InputSandbox", []) if str(entry).startswith("SB:")]
    return (stored[0] if stored else ""), f"job {job['job_id']} has no input sandbox"


def act(event: Event, db: Db, hands: Hands) -> Iterable[Event]:
    asked = event.data
    if asked["operation"] == "put":
        if "digest" not in asked or "size_bytes" not in asked:
            return [event.refuse("invalid", "to put a sandbox, name its digest and size_bytes")]
        try:
            grant = hands.grant("put", asked["digest"], asked["size_bytes"], VALID_S)
        except ValueError as problem:
            return [event.refuse("invalid", str(problem))]
        return [event.reply(_shown(grant, asked["digest"]))]
    digest, reason = decide(asked, db.one("job", job_id=asked.get("job_id")), event.authid or "")
    if not digest:
        return [event.refuse("not_found", reason)]
    if hands.size_of(digest) is None:
        return [event.refuse("not_found", f"the sandbox store does not have {digest} any more")]
    return [event.reply(_shown(hands.grant("get", digest, None, VALID_S), digest))]


def _shown(grant: Any, digest: str) -> dict[str, Any]:
    return {"url": grant.url, "digest": digest, "headers": dict(grant.headers), "expires_at": grant.expires_at}
