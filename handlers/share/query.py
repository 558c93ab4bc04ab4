"""Say how groups stand beside their shares and users beside each other: what they have and have used, and whose turn it is."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from bus import Db, Event, fitting
from handlers.share.hands import Hands
from schemas.rules.shares import HORIZON_S, USER_SHARE, Score, expected

CONSUMES = ("share.query.v1",)
EMITS = ()

MOST = 100
Rows = Sequence[Mapping[str, Any]]


def decide(rows: Rows, rule: Score, whole_core_s: float, whole_percent: float | None = 100.0) -> list[dict[str, Any]]:
    """The rows with their scores, their parts of all, and the order in which those with waiting jobs are served.

    `whole_percent` is what they divide, None where they do not divide it by shares.
    """
    scores = [rule(row["processors"], row["core_s"], row["share"]) for row in rows]
    wanted = expected({number: row["share"] for number, row in enumerate(rows) if row["waiting"] or row["processors"]})
    waiting = [number for number, row in enumerate(rows) if row["waiting"]]
    places = {number: place for place, number in enumerate(sorted(waiting, key=scores.__getitem__), 1)}
    found = []
    for number, row in enumerate(rows):
        more = {
            "score": scores[number] if math.isfinite(scores[number]) else None,
            "place": places.get(number),
            "expected_percent": wanted[number] * whole_percent / 100 if whole_percent is not None and number in wanted else None,
            "used_percent": min(100.0, 100 * row["core_s"] / whole_core_s) if whole_core_s else None,
        }
        found.append({**row, **{name: value for name, value in more.items() if value is not None}})
    return found


def may_see(account: str, vo: str, memberships: Rows, operators: Collection[str]) -> bool:
    """Whether the account may see who the users of the community's groups are."""
    seeing = (each["vo"] == vo or "Operator" in each["properties"] for each in memberships)
    return account in operators or any(seeing)


def handle(event: Event, db: Db, hands: Hands) -> Iterable[Event]:
    asked, account = event.data, event.authid or ""
    half_life_s = (db.one("half_life") or {})["half_life_s"]
    everybody = db.all("groups", half_life_s=half_life_s)
    whole_core_s = sum(row["core_s"] for row in everybody)
    groups = [
        row
        for row in decide(everybody, hands.policy.score, whole_core_s)
        if asked.get("vo", row["vo"]) == row["vo"] and asked.get("group", row["group"]) == row["group"]
    ]
    if not groups:
        return [event.refuse("not_found", "there is no such group that may submit or has used anything")]
    users: list[dict[str, Any]] = []
    if "group" in asked:
        (group,) = groups
        if not may_see(account, group["vo"], db.all("standing", account=account), hands.operators):
            return [event.refuse("denied", f"the users of {group['group']} are shown to who is of community {group['vo']}")]
        rows = [row | {"share": USER_SHARE} for row in db.all("users", group=group["group"], half_life_s=half_life_s)]
        divided = None if group["sharing"] else group.get("expected_percent")
        judged = decide(rows, hands.policy.score, whole_core_s, divided)
        users = [{name: value for name, value in row.items() if name != "share"} for row in judged]
    limit, after = min(asked.get("limit", MOST), MOST), asked.get("after", "")
    name, listed = ("owner", users) if "group" in asked else ("group", groups)
    left = [row for row in listed if row[name] > after]
    page = fitting(left[:limit])
    shown = {"groups": groups, "users": page} if "group" in asked else {"groups": page, "users": []}
    about = {"half_life_s": half_life_s, "horizon_s": HORIZON_S, "policy": hands.policy.name}
    return [event.reply(about | shown | {"more": len(left) > len(page)})]
