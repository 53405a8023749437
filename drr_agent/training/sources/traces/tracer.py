"""Our own trace log: JSON lines, one run tree a line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drr_agent.lines import estimate_lines, numbered_lines
from drr_agent.runs import Reject
from drr_agent.tables import TableRow, read_table, table_format
from drr_agent.tracing import TRACE_SCHEMA
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry, unreadable
from drr_agent.training.sources.traces.run_trees import read_trees
from drr_agent.training.sources.traces.trace_file import TraceFile
from drr_agent.training.sources.traces.trace_tree import Tree, merge_runs, read_runs

MARK = "drr_trace"
"""The key that no other file of traces has."""


def is_trace_log(path: Path) -> bool:
    """Whether the first whole line of a file is a trace of ours, of whatever schema.

    Raises:
        DataError: there is no such file, or it is of no known format.
    """
    if table_format(path) != "jsonl":
        return False
    for _, line in numbered_lines(path):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        return isinstance(record, dict) and MARK in record
    return False


@dataclass(frozen=True, kw_only=True)
class TracerReader(TraceFile):
    """A file that `TraceLog` wrote, plain or gzipped."""

    kind: str = "trace"

    def expected(self) -> int | None:
        """By the length of the first lines; each is a run or more."""
        return estimate_lines(self.path)

    def entries(self) -> Iterator[LoggedRun | LostEntry]:
        """Every run; a torn line, or the cut end of a gzip, costs what stood there.

        Raises:
            DataError: there is no such file.
        """
        return read_trees(self._trees(), parser=self.parser, unit=self.unit)

    def _trees(self) -> Iterator[Tree | LostEntry]:
        rejects: list[Reject] = []
        for row in read_table(self.path, on_reject=rejects.append):
            yield from unreadable(rejects)
            yield from _read_line(row)
        yield from unreadable(rejects)


def _read_line(row: TableRow) -> Iterator[Tree | LostEntry]:
    place, schema = f"line {row.line}", row.cells.get(MARK)
    if type(schema) is not int or schema != TRACE_SCHEMA:
        found = "no trace of this log" if schema is None else f"a trace of another schema than {TRACE_SCHEMA}"
        yield LostEntry(place, Flaw("unreadable", found))
        return
    runs = []
    for entry in read_runs(row.cells, place=place):
        if isinstance(entry, LostEntry):
            yield entry
        else:
            runs.append(entry)
    if runs:
        yield Tree(place, merge_runs(runs))
