"""A pilot's states under DIRAC's names, and the moves that DIRAC intends but does not enforce."""

from __future__ import annotations

from schemas.rules.job_states import draw

MOVES: dict[str, tuple[str, ...]] = {
    # A pilot that starts at once, or that nobody submitted, is Running before anyone has seen it Waiting.
    "Submitted": ("Waiting", "Running", "Aborted", "Deleted", "Unknown"),
    "Waiting": ("Running", "Aborted", "Deleted", "Unknown"),
    "Running": ("Done", "Failed", "Aborted", "Deleted", "Unknown"),
    # A pilot that is heard of again goes on from wherever it is.
    "Unknown": ("Waiting", "Running", "Done", "Failed", "Aborted", "Deleted"),
    "Done": (),
    "Failed": (),
    "Aborted": (),
    "Deleted": (),
}
STATES = tuple(MOVES)
WAITING = frozenset({"Submitted", "Waiting"})
TRANSIENT = frozenset({"Submitted", "Waiting", "Running", "Unknown"})
FINAL = frozenset({"Done", "Failed", "Aborted", "Deleted"})


def may_follow(state: str, following: str) -> bool:
    """Say whether the table has this move; a state does not follow itself."""
    return following in MOVES.get(state, ())


def decide_move(state: str, wanted: str) -> str | None:
    """Give None when the pilot may move, or the one sentence that says why not."""
    for name in (state, wanted):
        if name not in MOVES:
            return f"there is no pilot state called {name}"
    if wanted == state:
        return f"the pilot is already {state}"
    return None if may_follow(state, wanted) else f"a pilot that is {state} cannot become {wanted}"


def diagram() -> str:
    """Give the table as a mermaid state diagram."""
    return draw(MOVES, "Submitted")
