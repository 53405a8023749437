"""MLflow traces: `Trace.to_json`, of version 2 or 3, or the table that `mlflow.search_traces` gives.

JSON may be one trace a line, an array, the output of `mlflow traces get`, or `{"traces": […]}`. A table, as CSV or
Parquet, has the whole trace as JSON in its column `trace`; a Parquet file may do without.

Whose word feedback is, is said in `verdicts`; an expectation with a usual name, such as `expected_response`, is the
target. What an assessment replaced is not read. No entries by design: issues, expectations of anything else, and what
`spans.py` says of tools and the like.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry
from drr_agent.training.sources.traces.calls import Call
from drr_agent.training.sources.traces.chat_messages import first_text
from drr_agent.training.sources.traces.mlflow_spans import read_spans
from drr_agent.training.sources.traces.records import Record, as_record, first_records, read_records
from drr_agent.training.sources.traces.soft_json import read_object
from drr_agent.training.sources.traces.span_tree import Span
from drr_agent.training.sources.traces.spans import group_entries, trace_entries
from drr_agent.training.sources.traces.trace_file import TraceFile

_NO_TRACE = Flaw("unreadable", "no trace as JSON; write each trace with Trace.to_json, one a line")


def is_mlflow(path: Path) -> bool:
    """Whether the first whole objects of a file are traces, or batches or a table of them."""
    return any(map(_is_mlflow, first_records(path)))


@dataclass(frozen=True, kw_only=True)
class MlflowReader(TraceFile):
    """A file of traces."""

    kind: str = "mlflow"

    def entries(self) -> Iterator[LoggedRun | LostEntry]:
        """The attempts of every trace, as runs."""
        return group_entries(self._found())

    def _found(self) -> Iterator[Call | LoggedRun | LostEntry]:
        for record in read_records(self.path):
            for item in [record] if isinstance(record, LostEntry) else _items(record):
                if isinstance(item, LostEntry):
                    yield item
                else:
                    yield from self._read_trace(item)

    def _read_trace(self, record: Record) -> Iterator[Call | LoggedRun | LostEntry]:
        try:
            info, data = read_object(record.fields["info"]), read_object(record.fields["data"])
            trace = first_text(info, ("trace_id", "request_id"))
            found = [] if trace is None else [*read_spans(trace, info, data, record.place)]
        except RecursionError:
            yield LostEntry(record.place, Flaw("unreadable", "JSON nested too deeply"))
            return
        if trace is None:
            yield LostEntry(record.place, Flaw("bad value", "a trace without an id"))
            return
        yield from (item for item in found if isinstance(item, LostEntry))
        spans = [item for item in found if isinstance(item, Span)]
        yield from trace_entries(trace, spans, unit=self.unit, parser=self.parser)


def _is_mlflow(fields: Mapping[str, Any]) -> bool:
    info = fields.get("info")
    if isinstance(info, Mapping) and isinstance(fields.get("data"), Mapping):
        return bool({"trace_id", "request_id"} & info.keys()) and bool({"state", "status"} & info.keys())
    if isinstance(fields.get("traces"), list):
        return any(isinstance(item, Mapping) and _is_mlflow(item) for item in fields["traces"])
    return (
        bool({"trace_id", "request_id"} & fields.keys()) and {"trace", "spans", "request", "response"} <= fields.keys()
    )


def _items(record: Record) -> Iterator[Record | LostEntry]:
    """The traces of a line, of a row, or of a batch."""
    fields = record.fields
    if {"info", "data"} <= fields.keys():
        yield record
    elif isinstance(fields.get("traces"), list):
        for number, item in enumerate(fields["traces"], start=1):
            place = f"{record.place} item {number}"
            yield from _items(Record(place, item)) if isinstance(item, dict) else [LostEntry(place, _NO_TRACE)]
    elif isinstance(fields.get("trace"), str) and fields["trace"].lstrip().startswith("{"):
        inner = as_record(record.place, fields["trace"])
        yield inner if isinstance(inner, LostEntry) or {"info", "data"} <= inner.fields.keys() else _lost(record)
    elif isinstance(fields.get("spans"), list):
        yield Record(record.place, {"info": fields, "data": fields})
    else:
        yield _lost(record)


def _lost(record: Record) -> LostEntry:
    return LostEntry(record.place, _NO_TRACE)
