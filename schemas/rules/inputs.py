"""The input sandboxes that a description names, by their digests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

STORED = "SB:"


def inputs(description: Mapping[str, Any]) -> list[str]:
    """Give what stands behind SB: in the InputSandbox, in order; whether the store has it, is another question."""
    named = description.get("InputSandbox", ())
    return [str(entry)[len(STORED) :] for entry in named if str(entry).startswith(STORED)]


def unknown(digest: str) -> str:
    """Give the sentence that refuses a description whose input is not in the store."""
    return f"the sandbox store does not have {digest:.80}, or not any more: upload it before this"


def without_digests(description: Mapping[str, Any]) -> dict[str, Any]:
    """Give the description as one may see it who may not have its inputs: whoever knows a digest may name it as an own input."""
    shown = dict(description)
    if "InputSandbox" in shown:
        shown["InputSandbox"] = [STORED if str(entry).startswith(STORED) else entry for entry in shown["InputSandbox"]]
    return shown
