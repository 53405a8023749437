"""Where logged attempts come from, one reader a store."""

from drr_agent.training.sources.attempts import RunSource
from drr_agent.training.sources.formats import open_sources
from drr_agent.training.sources.protocol import (
    LoggedRun,
    LostEntry,
    Outcome,
    Reading,
    RunReader,
    Source,
    Unit,
)
from drr_agent.training.sources.table import ATTEMPT_COLUMNS, TableSource

__all__ = [
    "ATTEMPT_COLUMNS",
    "LoggedRun",
    "LostEntry",
    "Outcome",
    "Reading",
    "RunReader",
    "RunSource",
    "Source",
    "TableSource",
    "Unit",
    "open_sources",
]
