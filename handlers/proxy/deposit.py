"""Keep a proxy that its owner has signed for a key of this house: judged, sealed, and only for a registered name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bus import Db, Event
from handlers.proxy.hands import REFUSALS, Hands, about_delegation, about_proxy, code_of
from handlers.proxy.keys import read_key
from handlers.proxy.x509 import EndEntity, end_entity, fingerprint, moment, proxy_pem, read_chain, same_key

CONSUMES = ("proxy.deposit.v1",)
EMITS = ("proxy.deposited.v1",)

LEAST = timedelta(minutes=5)
_USED = "this delegation was used already, or its time is up; begin a new one"


def decide(proxy: EndEntity, registered: Sequence[str], account: str, now: datetime) -> tuple[str, str]:
    """The code and the sentence of a refusal, or nothing."""
    if not proxy.depth:
        return "invalid", "the chain begins with a certificate that is no proxy"
    if proxy.limited:
        return "invalid", "a limited proxy can not be delegated; sign with your certificate, or with a full proxy"
    if proxy.room == 0:
        return "invalid", "no job could be given a proxy: the path length of the chain is used up"
    if proxy.not_after < now + LEAST:
        return "invalid", f"the proxy, or one of its chain, has expired or is about to: it ends {moment(proxy.not_after)}"
    if not registered:
        return "denied", f"no certificate is registered for {account}; an operator does this with user.described.v1"
    if not set(proxy.spellings) & set(registered):
        return "denied", f"{proxy.dn} is not registered for {account}"
    return "", ""


def act(event: Event, db: Db, hands: Hands) -> Iterable[Event]:
    account, delegation_id = event.authid or "", event.data["delegation_id"]
    which = {"owner": account, "delegation_id": delegation_id}
    found = db.one("delegation", **which)
    if found is None:
        return [event.refuse("not_found", "you have no such delegation: it is over, or it is not yours")]
    try:
        chain = read_chain(event.data["chain_pem"])
        proxy = end_entity(chain)
        told = {"dn": proxy.dn, "fingerprint": fingerprint(chain[0]), "not_after": moment(proxy.not_after)}
        if found["used_for"] == told["fingerprint"] and found["dn"] is not None:  # the reply was lost
            return _said(event, told | {"dn": found["dn"], "not_after": found["not_after"]})
        if found["sealed_key"] is None or found["over"]:
            return [event.refuse("conflict", _USED)]
        key = read_key(hands.vault.open(bytes(found["sealed_key"]), about_delegation(account, delegation_id)))
        if not same_key(chain[0], key):
            return [event.refuse("invalid", "the proxy is not for the key of this delegation: sign its certificate request")]
        code, reason = decide(proxy, found["registered"], account, datetime.now(UTC))
        if code:
            return [event.refuse(code, reason)]
        hands.authorities.judge(chain)
        sealed = hands.vault.seal(proxy_pem(chain, key).encode(), about_proxy(account, told["fingerprint"]))
    except REFUSALS as problem:
        return [event.refuse(code_of(problem), str(problem))]
    as_registered = next(name for name in found["registered"] if name in proxy.spellings)
    kept = db.one("deposit", **which, **told, registered_as=as_registered, sealed=sealed, at=event.time) or {}
    return _said(event, told) if kept["deposited"] else [event.refuse("conflict", _USED)]


def _said(event: Event, told: Mapping[str, str]) -> list[Event]:
    account = event.authid or ""
    fact = replace(event.answer("proxy.deposited.v1", account, {"account": account, **told}), owner=account)
    return [fact, event.reply(dict(told))]
