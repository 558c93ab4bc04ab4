"""The house with its extensions: all words, and all handlers, under one rule."""

from __future__ import annotations

from bus.apply import Words
from bus.discover import HOUSE, Handler, handlers
from bus.settings import Settings
from schemas import HOME, catalogue


def words_of(settings: Settings) -> Words:
    """The house's words and those of every extension."""
    own = [house / "schemas" for house in settings.houses if (house / "schemas").is_dir()]
    return Words(catalogue(HOME, *own))


def found_handlers(settings: Settings, words: Words) -> list[Handler]:
    """Every handler of the house and of its extensions, under one rule."""
    return list(handlers(HOUSE, *(house / "handlers" for house in settings.houses), known=words.known))
