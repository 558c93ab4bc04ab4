"""Destroy proxies of their owner, and what waits for its signature."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bus import Db, Event

CONSUMES = ("proxy.destroy.v1",)
EMITS = ("proxy.destroyed.v1",)


def handle(event: Event, db: Db) -> Iterable[Event]:
    account, chosen = event.authid or "", event.data.get("fingerprint")
    gone = db.all("proxies", owner=account, fingerprint=chosen)
    db.run("destroy", owner=account, fingerprints=[row["fingerprint"] for row in gone])
    if chosen is None:
        db.run("close", owner=account)
    facts = [event.answer("proxy.destroyed.v1", account, {"account": account, **row}) for row in gone]
    facts = [replace(fact, owner=account) for fact in facts]
    return [*facts, event.reply({"destroyed": gone})]
