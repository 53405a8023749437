"""OpenTelemetry spans of GenAI applications, as JSON: what an SDK prints, or what a collector writes to a file.

Spans may be one object a line (`ReadableSpan.to_json`, also with its indentation) or in batches (`resourceSpans`, as
OTLP has them); log records that name events of a span (`gen_ai.user.message`) may stand among them, in both forms.
Spans come in any order, children most often before their parents.

No entries by design: spans of anything but GenAI, metrics, and log records, which only add to spans. What of a trace is
an attempt is said in `spans.py`, and which attributes are known in `genai.py`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drr_agent.parsing import clean_text
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry
from drr_agent.training.sources.traces import genai
from drr_agent.training.sources.traces.calls import Call
from drr_agent.training.sources.traces.records import Record, as_record, first_records, read_records
from drr_agent.training.sources.traces.span_tree import Span, read_span_id, seconds_between
from drr_agent.training.sources.traces.spans import group_entries, trace_entries
from drr_agent.training.sources.traces.trace_file import TraceFile
from drr_agent.training.spool import Spool
from drr_agent.training.times import to_utc

_TRACES, _SPANS = ("trace_id", "traceId"), ("span_id", "spanId")
_PARENTS = ("parent_id", "parentSpanId", "parent_span_id")
_BATCHES = (
    (("resourceSpans", "resource_spans"), ("scopeSpans", "scope_spans", "instrumentationLibrarySpans"), ("spans",)),
    (("resourceLogs", "resource_logs"), ("scopeLogs", "scope_logs"), ("logRecords", "log_records")),
)
_METRICS = {"resourceMetrics", "resource_metrics"}
_STARTS = ("startTimeUnixNano", "start_time_unix_nano", "start_time")
_ENDS = ("endTimeUnixNano", "end_time_unix_nano", "end_time")
_LOGGED = ("timeUnixNano", "time_unix_nano", "timestamp", "observedTimeUnixNano", "observed_timestamp")
_LOG_MARKS = ("body", "severity_number", "severityNumber", "eventName", "event_name")
_UNREAD = ("context", "resource", "links")
_FAILED = ("ERROR", 2, "2", "STATUS_CODE_ERROR")
_PLAIN_VALUES = {
    *("stringValue", "intValue", "doubleValue", "boolValue", "bytesValue"),
    *("string_value", "int_value", "double_value", "bool_value", "bytes_value"),
}
_NO_SPAN = Flaw("unreadable", "JSON that is no span")


def is_otel(path: Path) -> bool:
    """Whether the first whole objects of a file are spans, or batches of them."""
    return any(map(_is_otel, first_records(path)))


@dataclass(frozen=True, kw_only=True)
class OtelReader(TraceFile):
    """A file of spans."""

    kind: str = "otel"

    def entries(self) -> Iterator[LoggedRun | LostEntry]:
        """The attempts of every trace, as runs."""
        return group_entries(self._found())

    def _found(self) -> Iterator[Call | LoggedRun | LostEntry]:
        spool = Spool()
        try:
            for record in read_records(self.path):
                for item in [record] if isinstance(record, LostEntry) else _items(record):
                    lost = item if isinstance(item, LostEntry) else _put(spool, item)
                    if lost is not None:
                        yield lost
            for trace, rows in spool.groups():
                found = [*_read_trace(rows)]
                yield from (item for item in found if isinstance(item, LostEntry))
                spans = [item for item in found if isinstance(item, Span)]
                yield from trace_entries(trace, spans, unit=self.unit, parser=self.parser)
        finally:
            spool.close()


def _is_otel(fields: Mapping[str, Any]) -> bool:
    if any(name in fields for outer, _, _ in _BATCHES for name in outer):
        return True
    context = fields.get("context")
    if isinstance(context, Mapping):
        return {"trace_id", "span_id"} <= context.keys() and {"attributes", "start_time"} <= fields.keys()
    has_ids = read_span_id(_get(fields, _TRACES)) is not None and read_span_id(_get(fields, _SPANS)) is not None
    return has_ids and any(name in fields for name in (*_STARTS[:2], "severity_number", "severityNumber"))


def _items(record: Record) -> Iterator[Record | LostEntry]:
    """The spans and log records of a line, which may be a batch."""
    batches = [levels for levels in _BATCHES if any(name in record.fields for name in levels[0])]
    if not batches and not _METRICS & record.fields.keys():
        yield record
    for levels in batches:
        for number, item in enumerate(_leaves(record.fields, levels), start=1):
            place = f"{record.place} item {number}"
            yield Record(place, item) if isinstance(item, dict) else LostEntry(place, _NO_SPAN)


def _leaves(value: Any, levels: Sequence[tuple[str, ...]]) -> Iterator[Any]:
    """What is in a batch; `None` where it is broken."""
    if not levels:
        yield value
        return
    inner = _get(value, levels[0]) if isinstance(value, Mapping) else ()
    for item in [] if inner is None else inner if isinstance(inner, list) else [None]:
        yield from _leaves(item, levels[1:])


def _put(spool: Spool, record: Record) -> LostEntry | None:
    """Keep a span or a log record for its trace."""
    place, fields = record
    context = fields["context"] if isinstance(fields.get("context"), Mapping) else fields
    trace, span = read_span_id(_get(context, _TRACES)), read_span_id(_get(context, _SPANS))
    is_log = "name" not in fields and any(name in fields for name in _LOG_MARKS)
    if trace is None or span is None:
        is_span = not is_log and any(name in fields for name in _STARTS)
        flaw = Flaw("bad value", "a span without its ids") if is_span else _NO_SPAN
        return None if is_log else LostEntry(place, flaw)
    kept = {name: value for name, value in fields.items() if name not in _UNREAD}
    try:
        # as text, since what was read at the edge of recursion might not be read again
        text = json.dumps(kept)
    except RecursionError:
        return LostEntry(place, Flaw("unreadable", "JSON nested too deeply"))
    time = _get(fields, _LOGGED if is_log else _STARTS)
    finer = str(time) if isinstance(time, str | int) else ""  # messages of a call may share their millisecond
    spool.add(trace, clean_text(f"{to_utc(time) or ''} {finer[:40]}"), [place, span, is_log, text])
    return None


def _read_trace(rows: list[Any]) -> Iterator[Span | LostEntry]:
    """The spans of a trace, with the events that log records add to them."""
    events: dict[str, list[genai.Event]] = {}
    for place, span, is_log, text in rows:
        if is_log:
            record = as_record(place, text)
            if isinstance(record, LostEntry):
                yield record
            else:
                events.setdefault(span, []).append(_read_event(record.fields))
    for place, span, is_log, text in rows:
        if not is_log:
            record = as_record(f"span {span}", text)
            yield (
                LostEntry(place, record.flaw)
                if isinstance(record, LostEntry)
                else _read_span(span, record, events.get(span, []))
            )


def _read_span(span: str, record: Record, logged: list[genai.Event]) -> Span:
    fields, status = record.fields, record.fields.get("status")
    own = fields.get("events")
    events = [_read_event(event) for event in own if isinstance(event, Mapping)] if isinstance(own, list) else []
    events += logged
    attributes = genai.with_contents(_attributes(fields.get("attributes")), events)
    said: Mapping[str, Any] = status if isinstance(status, Mapping) else {}
    started_at, ended_at = to_utc(_get(fields, _STARTS)), to_utc(_get(fields, _ENDS))
    is_failed = _get(said, ("status_code", "code")) in _FAILED
    request, response = genai.read_request(attributes, events), genai.read_response(attributes, events)
    name = fields.get("name")
    return Span(
        id=span,
        parent=read_span_id(_get(fields, _PARENTS)),
        place=record.place,
        kind=genai.read_kind(attributes, events),
        name=name if isinstance(name, str) else "",
        started_at=started_at,
        seconds=seconds_between(started_at, ended_at),
        model=genai.read_model(attributes),
        thread=genai.read_thread(attributes),
        request=request,
        instructions=attributes.get("gen_ai.system_instructions"),
        response=response,
        damage=genai.find_damage(request) or genai.find_damage(response),
        usage=genai.read_usage(attributes),
        finish=genai.read_finish(attributes),
        error=genai.read_error(is_failed, _get(said, ("description", "message")), attributes, events),
        judgments=genai.read_judgments(events),
        turn=genai.read_drr_turn(attributes),
    )


def _read_event(fields: Mapping[str, Any]) -> genai.Event:
    attributes = _attributes(fields.get("attributes"))
    name = _get(fields, ("name", "eventName", "event_name")) or attributes.get("event.name")
    return {
        "name": name if isinstance(name, str) else "",
        "attributes": attributes,
        "body": _value(fields.get("body")),
        "at": _get(fields, _LOGGED),
    }


def _attributes(raw: Any) -> dict[str, Any]:
    """Attributes as an SDK prints them, or as OTLP lists them."""
    if isinstance(raw, Mapping):
        return dict(raw)
    pairs = [pair for pair in raw if isinstance(pair, Mapping)] if isinstance(raw, list) else []
    return {pair["key"]: _value(pair.get("value")) for pair in pairs if isinstance(pair.get("key"), str)}


def _value(raw: Any) -> Any:
    """A value of OTLP, which names its type, as a plain one."""
    if not isinstance(raw, Mapping) or len(raw) != 1:
        return raw
    ((kind, value),) = raw.items()
    if kind in ("arrayValue", "array_value"):
        items = value.get("values") if isinstance(value, Mapping) else None
        return [_value(item) for item in items] if isinstance(items, list) else []
    if kind in ("kvlistValue", "kvlist_value"):
        return _attributes(value.get("values") if isinstance(value, Mapping) else None)
    return value if kind in _PLAIN_VALUES else raw


def _get(fields: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((fields[name] for name in names if fields.get(name) not in (None, "")), None)
