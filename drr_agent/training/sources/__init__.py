"""Where logged attempts come from, one reader a store."""

from collections.abc import Mapping
from pathlib import Path

from drr_agent.tables import table_format
from drr_agent.training.filters import RowFilter
from drr_agent.training.labels import Labeler
from drr_agent.training.sources.protocol import DropReason, Flaw, Outcome, Source
from drr_agent.training.sources.run_log import RunLogSource, is_run_log
from drr_agent.training.sources.table import ATTEMPT_COLUMNS, TableSource

__all__ = ["ATTEMPT_COLUMNS", "DropReason", "Flaw", "Outcome", "RunLogSource", "Source", "TableSource", "open_source"]


def open_source(
    path: Path, *, labeler: Labeler, filters: tuple[RowFilter, ...] = (), mapping: Mapping[str, str] | None = None
) -> Source:
    """The reader for a file, chosen by the file's content.

    Raises:
        DataError: there is no such file, it is of no known format, or a filter names a column it does not have.
    """
    if table_format(path) == "jsonl" and is_run_log(path):
        return RunLogSource(path=path, labeler=labeler, filters=filters)
    return TableSource(path=path, labeler=labeler, filters=filters, wanted=mapping)
