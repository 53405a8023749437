"""Langfuse exports: observations, traces and scores, from its pages, its API or its blob storage.

Rows may be JSON, JSON lines, CSV or Parquet, with names in either case (`traceId`, `trace_id`); traces as the API gives
them hold their observations and scores. Scores and traces are also looked for beside a file of observations: in files
of its folder whose names begin so, and in the folders `scores` and `traces` beside its own, as blob storage has them.

Whose word a score is, is said in `verdicts`; a reviewer's correction is the target. No entries by design: scores of
sessions and of other traces than those of the file, and score columns of tables exported from the pages, which do not
say who scored.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drr_agent.errors import DataError
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry
from drr_agent.training.sources.traces.calls import Call
from drr_agent.training.sources.traces.langfuse_rows import Row, RowKind, read_spans, row_kind, snake_cased, trace_of
from drr_agent.training.sources.traces.records import Record, as_record, first_records, read_records
from drr_agent.training.sources.traces.soft_json import read_list, read_text
from drr_agent.training.sources.traces.spans import group_entries, trace_entries
from drr_agent.training.sources.traces.trace_file import TraceFile
from drr_agent.training.spool import Spool
from drr_agent.training.times import to_utc

_BLOB_FOLDERS = ("observations_v2", "observations", "traces")
_BESIDE = ("scores", "traces")
_NESTED = ("observations", "scores")
_SUFFIXES = {".json", ".jsonl", ".ndjson", ".csv", ".parquet"}


def is_langfuse(path: Path) -> bool:
    """Whether the first whole rows of a file are observations, traces or scores."""
    return any(row_kind(snake_cased(fields)) is not None for fields in first_records(path))


@dataclass(frozen=True, kw_only=True)
class LangfuseReader(TraceFile):
    """A file that Langfuse exported."""

    kind: str = "langfuse"

    def entries(self) -> Iterator[LoggedRun | LostEntry]:
        """The attempts of every trace, as runs."""
        return group_entries(self._found())

    def _found(self) -> Iterator[Call | LoggedRun | LostEntry]:
        spool = Spool()
        try:
            for record in read_records(self.path):
                yield from _put(spool, record, is_own=True)
            for path in _companions(self.path):
                for record in _try_read(path):
                    yield from _put(spool, record, is_own=False)
            for trace, rows in spool.groups():
                yield from self._read_trace(trace, rows)
        finally:
            spool.close()

    def _read_trace(self, trace: str, kept: list[Any]) -> Iterator[Call | LoggedRun | LostEntry]:
        if not any(is_own and kind != "score" for kind, is_own, _, _ in kept):
            return
        rows: dict[RowKind, list[Row]] = {"trace": [], "observation": [], "score": []}
        for kind, _, place, text in kept:
            record = as_record(place, text)
            if isinstance(record, LostEntry):
                yield record
            else:
                rows[kind].append(record.fields)
        yield from trace_entries(trace, [*read_spans(trace, rows)], unit=self.unit, parser=self.parser)


def _companions(path: Path) -> Iterator[Path]:
    """Files of scores and traces that belong to a file."""
    beside = path.parent.iterdir()
    if path.parent.name in _BLOB_FOLDERS:
        folders = (path.parent.parent / name for name in _BESIDE if name != path.parent.name)
        beside = (file for folder in folders if folder.is_dir() for file in folder.iterdir())
    for file in sorted(beside):
        is_named = file.parent.name in _BESIDE or file.name.lower().startswith(_BESIDE)
        is_table = Path(file.name.removesuffix(".gz")).suffix.lower() in _SUFFIXES
        if is_named and is_table and file.is_file() and not file.samefile(path) and not _is_foreign(file):
            yield file


def _is_foreign(path: Path) -> bool:
    """Whether a file can be read and is of another tool."""
    rows = [snake_cased(fields) for fields in first_records(path)]
    return bool(rows) and all(row_kind(row) is None for row in rows)


def _try_read(path: Path) -> Iterator[Record | LostEntry]:
    """The rows of a file that lies beside; what cannot be read of it is lost, but not the file it lies beside."""
    try:
        for record in read_records(path):
            yield record._replace(place=f"{path.name} {record.place}")
    except DataError as error:
        yield LostEntry(path.name, Flaw("unreadable", str(error)))


def _put(spool: Spool, record: Record | LostEntry, *, is_own: bool) -> Iterator[LostEntry]:
    """Keep a row, and those nested in it, for its trace."""
    if isinstance(record, LostEntry):
        yield record
        return
    row = snake_cased(record.fields)
    kind, trace, own = row_kind(row), trace_of(row), read_text(row.get("id"))
    nested = [(name, item) for name in _NESTED for item in read_list(row.pop(name, None))]
    if kind == "trace":
        trace = own
    if kind == "score" and trace is None:
        return  # of a session or of an experiment
    if kind is None or trace is None or own is None:
        detail = "a row that is no observation, trace or score" if kind is None else f"{kind} without its ids"
        yield LostEntry(record.place, Flaw("unreadable" if kind is None else "bad value", detail))
        return
    try:
        # as text, since what was read at the edge of recursion might not be read again
        text = json.dumps(row, default=str)
    except RecursionError:
        yield LostEntry(record.place, Flaw("unreadable", "JSON nested too deeply"))
        return
    spool.add(trace, to_utc(row.get("start_time")) or "", [kind, is_own, record.place, text])
    for name, item in nested:
        if isinstance(item, Mapping):  # else it is the id of what stands elsewhere
            yield from _put(spool, Record(f"{record.place} {name}", {"traceId": trace, **item}), is_own=is_own)
