"""Rows of Langfuse's tables as spans and judgments."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from langchain_core.messages.ai import UsageMetadata

from drr_agent.training.sources.traces.chat_messages import first_text, read_tokens
from drr_agent.training.sources.traces.soft_json import read_object, read_text
from drr_agent.training.sources.traces.span_tree import Span, SpanKind, read_turn, seconds_between
from drr_agent.training.sources.traces.verdicts import Judgment, make_judgment
from drr_agent.training.times import to_utc

Row = Mapping[str, Any]
"""A row, its names in snake case."""
RowKind = Literal["trace", "observation", "score"]

_KINDS: dict[str, SpanKind] = {
    "generation": "call",
    **dict.fromkeys(("span", "agent", "chain"), "agent"),
    **dict.fromkeys(("event", "tool", "retriever", "evaluator", "embedding", "guardrail"), "other"),
}
_TRACE_MARKS = {
    *("project_id", "session_id", "user_id", "release", "public", "bookmarked", "environment", "tags"),
    *("observations", "scores", "html_path", "trace_name"),
}
_WHOLE = ""
"""Stands for the id of the whole trace among those of its observations."""
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def row_kind(row: Row) -> RowKind | None:
    """What a row is, of whichever Langfuse table."""
    if {"run_type", "dotted_order"} & row.keys():
        return None
    has_trace = trace_of(row) is not None
    if "id" in row and _word(row, "type") in _KINDS and (has_trace or "parent_observation_id" in row):
        return "observation"
    is_scored = ("value" in row or "string_value" in row) and {"id", "name", "source"} <= row.keys()
    if is_scored and (has_trace or {"data_type", "session_id"} & row.keys()):
        return "score"
    is_trace = {"id", "timestamp", "input", "output"} <= row.keys() and len(_TRACE_MARKS & row.keys()) > 1
    return "trace" if is_trace else None


def trace_of(row: Row) -> str | None:
    """The trace that an observation is in, or that a score is of."""
    subject = read_object(row.get("subject"))
    of_trace = subject.get("id") if subject.get("kind") == "trace" else subject.get("traceId", subject.get("trace_id"))
    return read_text(row.get("trace_id")) or read_text(of_trace)


def read_spans(trace: str, rows: Mapping[RowKind, list[Row]]) -> Iterator[Span]:
    """The trace as a whole, and its observations below it."""
    judgments, targets = _read_scores(rows["score"])
    first: Row = rows["observation"][0] if rows["observation"] else {}
    whole: Row = rows["trace"][-1] if rows["trace"] else {}
    yield Span(
        id=_WHOLE,
        parent=None,
        place=f"trace {trace}",
        kind="trace",
        name=read_text(whole.get("name")) or read_text(first.get("trace_name")) or "",
        started_at=to_utc(whole.get("timestamp")) or to_utc(first.get("start_time")),
        thread=read_text(whole.get("session_id")),
        request=whole.get("input"),
        response=whole.get("output"),
        judgments=judgments.get(_WHOLE, []),
        target=targets.get(_WHOLE),
    )
    known = {read_text(row.get("id")) for row in rows["observation"]}
    for row in rows["observation"]:
        own, parent = read_text(row.get("id")) or "", read_text(row.get("parent_observation_id"))
        above = parent if parent in known and parent is not None else _WHOLE
        yield _read_observation(row, own, above, judgments.get(own, []), targets.get(own))


def _read_observation(row: Row, own: str, parent: str, judgments: list[Judgment], target: str | None) -> Span:
    started_at, ended_at = to_utc(row.get("start_time")), to_utc(row.get("end_time"))
    return Span(
        id=own,
        parent=parent,
        place=f"observation {own}",
        kind=_KINDS[_word(row, "type")],
        name=read_text(row.get("name")) or "",
        started_at=started_at,
        seconds=seconds_between(started_at, ended_at),
        model=first_text(row, ("provided_model_name", "model")),
        thread=read_text(row.get("session_id")),
        request=row.get("input"),
        response=row.get("output"),
        usage=_read_usage(row),
        error=read_text(row.get("status_message")) or "unknown" if _word(row, "level") == "error" else None,
        judgments=judgments,
        target=target,
        turn=read_turn(read_object(row.get("metadata"))),
    )


def _read_usage(row: Row) -> UsageMetadata | None:
    flat = {
        "input_tokens": row.get("prompt_tokens", row.get("input_usage")),
        "output_tokens": row.get("completion_tokens", row.get("output_usage")),
    }
    costs = (read_object(row.get("usage_details")), read_object(row.get("usage")), flat)
    found = (read_tokens(cost) for cost in costs)
    # what was not counted is 0 there
    return next((tokens for tokens in found if tokens is not None and tokens["total_tokens"] > 0), None)


def _read_scores(rows: list[Row]) -> tuple[dict[str, list[Judgment]], dict[str, str]]:
    """Judgments and corrections, by the observation they are of."""
    judgments: dict[str, list[Judgment]] = {}
    targets: dict[str, str] = {}
    for row in rows:
        subject = read_object(row.get("subject"))
        own = read_text(row.get("observation_id"))
        held = own or (read_text(subject.get("id")) if subject.get("kind") == "observation" else None) or _WHOLE
        kind, text = _word(row, "data_type"), read_text(row.get("string_value"))
        text = text or read_text(row.get("value"))
        if kind == "correction" and text is not None:
            targets[held] = text
        elif kind not in ("correction", "text"):
            value = text if kind == "categorical" or row.get("value") is None else row["value"]
            judgments.setdefault(held, []).append(_read_judgment(row, value))
    return judgments, targets


def _read_judgment(row: Row, value: Any) -> Judgment:
    at, author = row.get("timestamp") or row.get("created_at"), row.get("author_user_id")
    return make_judgment(row.get("source"), row.get("name"), value, author=author, at=at)


def snake_cased(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its names in snake case."""
    return {_CAPITAL.sub("_", name).lower(): value for name, value in fields.items() if isinstance(name, str)}


def _word(row: Row, name: str) -> str:
    value = row.get(name)
    return value.strip().lower() if isinstance(value, str) else ""
