"""One matcher for each test that asks for it."""

from __future__ import annotations

import pytest

from bus.apply import Words
from bus.discover import Handler
from tests.fix_house import Story
from tests.handlers.match.matcher import Matcher


@pytest.fixture
def matcher(story: Story, found: dict[str, Handler], words: Words) -> Matcher:
    """One."""
    return Matcher(story, found, words)
