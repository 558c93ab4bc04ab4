"""Say which proxies are kept: one's own, or, for an operator, anybody's."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event

CONSUMES = ("proxy.list.v1",)
EMITS = ()


def handle(event: Event, db: Db) -> Iterable[Event]:
    account = event.data.get("account", event.authid)
    if account != event.authid and not (db.one("standing", account=event.authid) or {})["operates"]:
        return [event.refuse("denied", f"the proxies of {account} are not yours to see")]
    rows = db.all("proxies", owner=account)
    return [event.reply({"proxies": [{name: value for name, value in row.items() if value is not None} for row in rows]})]
