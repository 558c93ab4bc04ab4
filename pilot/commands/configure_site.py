"""Which site and computing element is this? What enrolment says counts; what the node says is compared, and never believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilot.command import WRONG_CONFIG, Pilot, Stop
from pilot.config import Config

SAYS = ()


def measure(config: Config) -> dict[str, Any]:
    """The place: by enrolment where there was one, else by whoever started the pilot; and what the latter has said."""
    said = {name: str(config.told.nearer.get(name) or config.told.layers.get(name) or "") for name in ("site", "ce", "vo")}
    return {"site": config.site, "ce": config.ce, "vo": config.vo, "ce_type": config.ce_type, "said": said}


def judge(place: Mapping[str, Any]) -> list[str]:
    """Every name that was said and is another than the true one, as one sentence each."""
    return [
        f"the {name} is {said} by the configuration, and {place[name]} by enrolment"
        for name, said in place["said"].items()
        if said and place[name] and said != place[name]
    ]


def run(pilot: Pilot) -> None:
    place = measure(pilot.config)
    if clashes := judge(place):
        raise Stop("; ".join(clashes), WRONG_CONFIG)
    pilot.facts["ce_type"] = place["ce_type"] or "none"
