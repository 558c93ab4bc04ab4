"""The bus: how an event travels and lands. A handler, and an extension, may import these names and no others."""

from bus.event import Event as Event
from bus.event import fitting as fitting
from bus.event import now as now
from bus.sql import Db as Db

__all__ = ["Db", "Event", "fitting"]
