"""Who could take a queue's job is found without asking everybody, and is who would be found by asking everybody."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bus import Event
from handlers.match.parked import Ask, Parked, Profile
from handlers.match.takers import FEW_QUEUES, Takers

QUEUES = FEW_QUEUES + 4
sizes = st.integers(1, 12)


def serves(profile: Profile) -> int:
    """A queue of each size: a resource serves those that are no larger."""
    return (1 << int(profile.resource["NumberOfProcessors"])) - 1


class Story(RuleBasedStateMachine):
    """Requests come and go, and profiles are forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.parked = Parked()
        self.takers = Takers(self.parked, serves)
        self.number = 0
        self.held: list[Ask] = []

    @rule(processors=sizes, memory_mb=st.integers(1, 3))
    def comes(self, processors: int, memory_mb: int) -> None:
        self.number += 1
        resource: dict[str, Any] = {"NumberOfProcessors": processors, "MaxRAM": memory_mb}
        event = Event("match.request.v1", "/x", "p", {"pilot_id": f"p{self.number}", "request_id": "r"})
        self.held.append(Ask(event, f"pilot-p{self.number}", self.parked.profile(resource), time.monotonic() + 60))

    @rule(data=st.data())
    def waits(self, data: st.DataObject) -> None:
        if self.held:
            self.parked.add(self.held.pop(data.draw(st.integers(0, len(self.held) - 1))))

    @rule(data=st.data())
    def leaves(self, data: st.DataObject) -> None:
        if self.parked.asks:
            self.held.append(self.parked.asks[data.draw(st.sampled_from(sorted(self.parked.asks)))])
            self.parked.drop(self.held[-1].event.id)

    @rule()
    def idle_profiles_are_forgotten(self) -> None:
        self.parked.forget_idle()

    @rule(mask=st.integers(0, (1 << QUEUES) - 1))
    def all_that_serve_a_queue_are_found_and_in_order(self, mask: int) -> None:
        found = list(self.takers.profiles(mask))
        every = sorted(
            {id(ask.profile): ask.profile for ask in self.parked.asks.values()}.values(), key=lambda one: one.tightness
        )
        if mask.bit_count() <= FEW_QUEUES:
            every = [profile for profile in every if serves(profile) & mask]
        assert found == every

    @invariant()
    def every_request_is_found_by_its_profile(self) -> None:
        assert {ask for profile in self.parked.waiting(self.parked.order) for ask in profile.asks} == self.parked.asks.keys()


TestStory = Story.TestCase
