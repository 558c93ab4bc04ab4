"""What a pilot that died in this work directory had still to say, said in its own name while its token holds."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Callable

from pilot import tree
from pilot.wire.lines import Lines
from pilot.wire.link import Link, Unreachable
from pilot.wire.login import Login
from pilot.wire.outbox import Outbox
from pilot.wire.session import LoginRefused
from pilot.wire.spool import Spool
from schemas.rules.identity import pilot_account

SPOOL = "pilotbus-spool.jsonl"
LINE_SPOOL = "pilotbus-lines"
_TOKEN = "pilotbus-token"  # noqa: S105 - the name of a file
_PATIENCE_S = 20.0


def remember(home: Path, login: Login) -> None:
    """The pilot's token lies beside its spool, for its owner only, whole at every moment."""
    fresh = home / f".{_TOKEN}"
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(login.password)
    fresh.replace(home / _TOKEN)


def say(home: Path, login: Login, complain: Callable[[str], None]) -> None:
    """The spools of dead pilots beside this home are said and gone; what nobody can say any more is counted and gone."""
    for path in sorted(home.parent.glob(f"*/{SPOOL}")):
        if path.parent != home:
            _say(path, login, complain)


def _say(path: Path, login: Login, complain: Callable[[str], None]) -> None:
    pilot_id = path.parent.name
    try:
        spool = Spool(path)
    except OSError:
        return  # its pilot lives, or it is not ours to read
    count = len(spool)
    try:
        token = (path.parent / _TOKEN).read_text(encoding="ascii")
    except OSError:
        token = ""
    if count and token:
        own = replace(login, user=pilot_account(pilot_id), password=token)
        link = Link(own, Outbox(f"/{own.user}/{pilot_id}", pilot_id, spool, Lines()), lambda _text: None)
        try:
            link.start(_PATIENCE_S)
            link.settle(_PATIENCE_S)
        except (LoginRefused, Unreachable) as problem:
            complain(f"the last words of pilot {pilot_id}: {problem}")
        left = len(spool)
        link.close()
    else:
        left = count
        spool.close()
    if left:
        complain(f"{left} of {count} events of pilot {pilot_id}, which died here, are lost: its token is not here, or has ended")
    elif count:
        complain(f"{count} events of pilot {pilot_id}, which died here, are said")
    tree.remove(path.parent)
