"""Make a key and a certificate request for whoever wants to leave a proxy here; the key stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event
from handlers.proxy.hands import Hands, about_delegation
from handlers.proxy.keys import key_pem, new_key, request_of
from handlers.proxy.vault import Locked

CONSUMES = ("proxy.delegate.v1",)
EMITS = ()

OPEN_S = 600
MOST_OPEN = 10


def decide(before: Mapping[str, Any] | None, registered: bool, already_open: int, account: str) -> tuple[str, str]:  # noqa: FBT001
    """The code and the sentence of a refusal, or nothing."""
    if before is not None:
        return ("", "") if before["usable"] else ("conflict", "this delegation was used, or its time is up; begin a new one")
    if not registered:
        return "denied", f"no certificate is registered for {account}; an operator does this with user.described.v1"
    if already_open >= MOST_OPEN:
        return "conflict", f"{already_open} delegations wait for your signature; wait {OPEN_S // 60} minutes"
    return "", ""


def act(event: Event, db: Db, hands: Hands) -> Iterable[Event]:
    account, delegation_id = event.authid or "", event.data["delegation_id"]
    which = {"owner": account, "delegation_id": delegation_id}
    standing = db.one("standing", owner=account) or {}
    found = db.one("delegation", **which)
    code, reason = decide(found, standing["registered"], standing["already_open"], account)
    if code:
        return [event.refuse(code, reason)]
    if found is None:
        key = new_key()
        try:
            sealed = hands.vault.seal(key_pem(key), about_delegation(account, delegation_id))
        except Locked as problem:
            return [event.refuse("unavailable", str(problem))]
        db.run("open", **which, sealed_key=sealed, csr_pem=request_of(key), at=event.time, within_s=OPEN_S)
        found = db.one("delegation", **which) or {}  # read again: the same request may have come twice at once
    return [event.reply({name: found[name] for name in ("delegation_id", "csr_pem", "expires_at")})]
