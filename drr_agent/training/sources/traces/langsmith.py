"""Exports of LangSmith: its runs as JSON lines or Parquet, nested or one a row, with the feedback on them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from drr_agent.runs import Reject
from drr_agent.tables import read_table
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry, unreadable
from drr_agent.training.sources.traces.run_trees import read_trees
from drr_agent.training.sources.traces.trace_feedback import read_feedback
from drr_agent.training.sources.traces.trace_file import TraceFile
from drr_agent.training.sources.traces.trace_shelf import TraceShelf
from drr_agent.training.sources.traces.trace_tree import read_id, read_runs
from drr_agent.training.sources.traces.tracer import MARK

_PAYLOADS = {"inputs", "outputs"}
_KINSHIP = {"trace_id", "dotted_order", "parent_run_id", "child_runs"}
_LOOKED_AT = 20
"""Rows that tell what a file is; feedback may stand before the first run."""


def is_langsmith_export(path: Path) -> bool:
    """Whether the first rows of a file hold a run of LangSmith.

    Raises:
        DataError: there is no such file, or it is of no known format.
    """
    rows = islice(read_table(path, on_reject=lambda _: None), _LOOKED_AT)
    return any(_is_run(row.cells) for row in rows)


def _is_run(cells: Mapping[str, Any]) -> bool:
    named = {"id", "run_type"} <= cells.keys() and bool(_PAYLOADS & cells.keys()) and bool(_KINSHIP & cells.keys())
    return named and MARK not in cells


@dataclass(frozen=True, kw_only=True)
class LangSmithReader(TraceFile):
    """An export of runs, plain or gzipped, its rows in any order.

    Feedback counts wherever it stands: summed up in a run's `feedback_stats`, as a list of records under its
    `feedback`, as rows of their own between the runs, or in a second file.
    """

    feedback: Path | None = None
    """A file of feedback records, as the API gives them."""
    kind: str = "langsmith"

    def entries(self) -> Iterator[LoggedRun | LostEntry]:
        """Every run, trace by trace; a damaged row costs that row.

        Raises:
            DataError: there is no such file, or it is of no known format.
        """
        shelf = TraceShelf()
        try:
            yield from _fill(shelf, self.path, "line")
            if self.feedback is not None:
                yield from _fill(shelf, self.feedback, "feedback line")
            yield from read_trees(shelf.trees(), parser=self.parser, unit=self.unit)
        finally:
            shelf.close()


def _fill(shelf: TraceShelf, path: Path, place: str) -> Iterator[LostEntry]:
    rejects: list[Reject] = []
    for row in read_table(path, on_reject=rejects.append):
        yield from unreadable(rejects)
        yield from shelve(shelf, row.cells, f"{place} {row.line}")
    yield from unreadable(rejects)


def shelve(shelf: TraceShelf, row: Mapping[str, Any], place: str) -> Iterator[LostEntry]:
    """Put a row where it belongs, be it a run or feedback; give what of it cannot be."""
    if row.get("run_type") is None and row.get("key") is not None:
        run, trace, feedback = read_id(row.get("run_id")), read_id(row.get("trace_id")), read_feedback(row)
        if feedback is None or (run is None and trace is None):
            yield LostEntry(place, Flaw("bad value", "feedback without a key or a run"))
        else:
            shelf.add_feedback(run, trace, feedback)
        return
    for entry in read_runs(row, place=place):
        if isinstance(entry, LostEntry):
            yield entry
        else:
            shelf.add_run(entry)
