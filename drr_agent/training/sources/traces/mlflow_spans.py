"""MLflow's spans and assessments as spans and judgments."""

from collections.abc import Iterator, Mapping
from typing import Any

from drr_agent.parsing import clean_text
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LostEntry
from drr_agent.training.sources.traces.chat_messages import first_text, read_tokens
from drr_agent.training.sources.traces.soft_json import decoded_fully, read_object
from drr_agent.training.sources.traces.span_tree import Span, SpanKind, read_span_id, read_turn, seconds_between
from drr_agent.training.sources.traces.verdicts import Judgment, make_judgment
from drr_agent.training.times import to_utc

_KINDS: dict[str, SpanKind] = {
    **dict.fromkeys(("CHAT_MODEL", "LLM"), "call"),
    **dict.fromkeys(("AGENT", "CHAIN", "WORKFLOW", "UNKNOWN", ""), "agent"),
}
_TARGETS = {
    *("expected_response", "expected_answer", "expected_output", "expected_value", "expected"),
    *("ground_truth", "reference", "answer", "target", "gold"),
}
_WHOLE = ""
"""Stands for the id of the whole trace among those of its spans."""
_TIMES = ("last_update_time", "create_time", "last_update_time_ms", "create_time_ms", "timestamp")


def read_spans(trace: str, info: Mapping[str, Any], data: Mapping[str, Any], place: str) -> Iterator[Span | LostEntry]:
    """The trace as a whole, and its spans below it."""
    metadata = read_object(info.get("trace_metadata") or info.get("request_metadata"))
    judgments, targets = _read_assessments(info.get("assessments"))
    held = data.get("spans")
    spans = held if isinstance(held, list) else []
    # what a trace says of itself is cut off, except where an old one holds it whole and nothing else
    alone: Mapping[str, Any] = {} if spans else data
    yield Span(
        id=_WHOLE,
        parent=None,
        place=f"trace {trace}",
        kind="trace",
        name=first_text(read_object(info.get("tags")), ("mlflow.traceName",)) or "",
        started_at=to_utc(info.get("request_time") or info.get("timestamp_ms")),
        thread=first_text(metadata, ("mlflow.trace.session",)),
        request=decoded_fully(alone.get("request")),
        response=decoded_fully(alone.get("response")),
        error="unknown" if not spans and (info.get("state") or info.get("status")) == "ERROR" else None,
        judgments=judgments.get(_WHOLE, []),
        target=targets.get(_WHOLE),
    )
    known = {_span_id(span) for span in spans if isinstance(span, Mapping)}
    for number, span in enumerate(spans, start=1):
        own = _span_id(span) if isinstance(span, Mapping) else None
        if own is None:
            yield LostEntry(f"{place} span {number}", Flaw("bad value", "a span without an id"))
        else:
            parent = read_span_id(span.get("parent_span_id", span.get("parent_id")))
            yield _read_span(
                trace, span, own, parent if parent in known else None, judgments.get(own, []), targets.get(own)
            )


def _read_span(
    trace: str, span: Mapping[str, Any], own: str, parent: str | None, judgments: list[Judgment], target: str | None
) -> Span:
    attributes = {name: decoded_fully(value) for name, value in read_object(span.get("attributes")).items()}
    started_at = to_utc(span.get("start_time_unix_nano", span.get("start_time")))
    ended_at = to_utc(span.get("end_time_unix_nano", span.get("end_time")))
    kind = attributes.get("mlflow.spanType")
    return Span(
        id=own,
        parent=_WHOLE if parent is None else parent,
        place=f"trace {trace} span {own}",
        kind=_KINDS.get(kind, "other") if isinstance(kind, str) else "agent",
        name=first_text(span, ("name",)) or "",
        started_at=started_at,
        seconds=seconds_between(started_at, ended_at),
        model=_read_model(attributes),
        request=attributes.get("mlflow.spanInputs"),
        response=attributes.get("mlflow.spanOutputs"),
        usage=read_tokens(attributes.get("mlflow.chat.tokenUsage")),
        error=_read_error(span),
        judgments=judgments,
        target=target,
        turn=read_turn(read_object(attributes.get("metadata"))),
    )


def _read_model(attributes: Mapping[str, Any]) -> str | None:
    """The model: what MLflow made out, else what the call itself names."""
    holders = (attributes.get(name) for name in ("invocation_params", "mlflow.spanInputs", "mlflow.spanOutputs"))
    named = (first_text(read_object(holder), ("model", "model_name", "model_id")) for holder in holders)
    return first_text(attributes, ("mlflow.llm.model",)) or next((name for name in named if name is not None), None)


def _read_error(span: Mapping[str, Any]) -> str | None:
    status = read_object(span.get("status"))
    code = status.get("code", span.get("status_code"))
    if code not in ("STATUS_CODE_ERROR", "ERROR", 2):
        return None
    return first_text({**span, **status}, ("message", "status_message")) or "unknown"


def _read_assessments(value: Any) -> tuple[dict[str, list[Judgment]], dict[str, str]]:
    """Judgments and targets, by the span they are of."""
    judgments: dict[str, list[Judgment]] = {}
    targets: dict[str, str] = {}
    for item in value if isinstance(value, list) else []:
        assessment = read_object(item)
        name = first_text(assessment, ("assessment_name", "name"))
        feedback, expectation = read_object(assessment.get("feedback")), read_object(assessment.get("expectation"))
        held = read_span_id(assessment.get("span_id")) or _WHOLE
        if assessment.get("valid") is False:
            continue
        if expectation:
            expected = expectation.get("value")
            if name in _TARGETS and isinstance(expected, str | int | float) and str(expected).strip():
                targets[held] = clean_text(str(expected))
        elif feedback:
            judgments.setdefault(held, []).append(_read_judgment(assessment, name, feedback.get("value")))
    return judgments, targets


def _read_judgment(assessment: Mapping[str, Any], name: str | None, value: Any) -> Judgment:
    source = read_object(assessment.get("source"))
    at = next((assessment[time] for time in _TIMES if assessment.get(time)), None)
    return make_judgment(source.get("source_type"), name, value, author=source.get("source_id"), at=at)


def _span_id(span: Mapping[str, Any]) -> str | None:
    return read_span_id(span.get("span_id", read_object(span.get("context")).get("span_id")))
