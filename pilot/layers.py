"""Settings in layers: for all, by the kind of computing element, by community, by site; the later layer wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BY = ("by_ce_type", "by_vo", "by_site")
_SECRET = ("secret", "secret_file", "password", "url")


@dataclass(frozen=True)
class Told:
    """What a pilot was told, before it is known where it is: the file's layers, and what wins over them. No secrets."""

    layers: Mapping[str, Any] = field(default_factory=dict)
    nearer: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, further: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
        """The settings at this place; `further` is what the services tell, over which the file wins."""
        return {**merged(further, self.layers, places=places), **self.nearer}


def told(layers: Mapping[str, Any], nearer: Mapping[str, Any]) -> Told:
    """What is kept of it: all but what lets in."""
    return Told(*({key: value for key, value in one.items() if key not in _SECRET} for one in (layers, nearer)))


def merged(*documents: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    """One set of settings of all documents; changes of plans do not replace each other, but come one after the other."""
    found: dict[str, Any] = {}
    for document in documents:
        chosen = [document, *(document.get(by, {}).get(places.get(by, ""), {}) for by in BY)]
        for layer in chosen:
            changes = [*found.get("plans", ()), *layer.get("plans", ())]
            found.update({key: value for key, value in layer.items() if key not in BY})
            found["plans"] = changes
    return found
