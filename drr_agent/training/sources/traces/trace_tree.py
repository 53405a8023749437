"""Runs of traces with the names of LangSmith's `Run`, nested or one a row, cut to what readers need."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from typing_extensions import TypedDict  # as in `state.py`

from drr_agent.columns import CellError, is_missing
from drr_agent.parsing import clean_text
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LostEntry
from drr_agent.training.sources.traces.soft_json import decoded_softly, read_list, read_object
from drr_agent.training.sources.traces.span_tree import SpanKind, read_turn, seconds_between
from drr_agent.training.sources.traces.trace_feedback import Feedback, read_feedback, read_feedback_stats
from drr_agent.training.times import to_utc

_THREADS = ("thread_id", "session_id", "conversation_id")
_MODELS = ("model", "model_name", "model_id")
_KINDS: dict[Any, SpanKind] = {
    **dict.fromkeys(("llm", "chat_model"), "call"),
    **dict.fromkeys(("tool", "retriever", "embedding", "prompt", "parser"), "other"),
}
_DEEPEST = 200
_MOST_ERROR_CHARS = 2_000


class TraceRun(TypedDict):
    """One run of a trace; plain JSON."""

    trace: str | None
    """The root's id, `None` where the store does not say."""
    id: str
    parent: str | None
    order: str
    """Sorts a trace's runs as they began, parents first."""
    kind: SpanKind
    name: str
    started_at: str | None
    """As `to_utc` gives it."""
    seconds: float
    error: str | None
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    thread: str | None
    model: str | None
    turn: int | None
    """The turn of a drr run that this call was made for."""
    feedback: list[Feedback]


class Tree(NamedTuple):
    """The runs of one trace, in order."""

    place: str
    """Where in the store, such as `line 17` or `trace 3f2a…`."""
    runs: Sequence[TraceRun]


def read_runs(row: Mapping[str, Any], *, place: str) -> Iterator[TraceRun | LostEntry]:
    """The run of a row, and those nested in it.

    Args:
        row: a run with the names of LangSmith's `Run`; objects may stand in it as JSON text, as they do in Parquet.
        place: where in the store, for messages.
    """
    waiting: list[tuple[Any, str | None, str | None]] = [(row, None, None)]
    while waiting:
        raw, parent, trace = waiting.pop()
        try:
            run = _read_run(raw, parent, trace)
        except (CellError, RecursionError) as error:
            yield LostEntry(place, Flaw("bad value", str(error)))
        else:
            yield run
            yield from _lost_feedback(raw, f"{place} run {run['id']}")
            trace = run["trace"]
        if isinstance(raw, Mapping):
            own = read_id(raw.get("id")) or parent
            waiting += [(child, own, trace) for child in reversed(read_list(raw.get("child_runs")))]


def merge_runs(runs: Sequence[TraceRun]) -> list[TraceRun]:
    """Each run once: exports that overlap hold some twice, one of them perhaps before it ended."""
    held: dict[str, TraceRun] = {}
    for run in runs:
        other = held.get(run["id"])
        if other is not None:
            fuller, rest = (run, other) if run["outputs"] or not other["outputs"] else (other, run)
            feedback = [*fuller["feedback"], *(item for item in rest["feedback"] if item not in fuller["feedback"])]
            run = {**fuller, "feedback": feedback}
        held[run["id"]] = run
    return list(held.values())


def read_id(value: Any) -> str | None:
    """An id, `None` for what is none."""
    if isinstance(value, UUID):
        return str(value)
    return clean_text(value).strip() or None if isinstance(value, str) else None


def _read_run(raw: Any, parent: str | None, trace: str | None) -> TraceRun:
    """A raw run.

    Raises:
        CellError: it has no id, or its inputs or outputs are no objects.
    """
    run_id = read_id(raw.get("id")) if isinstance(raw, Mapping) else None
    if run_id is None:
        raise CellError("a run without an id")
    extra = read_object(raw.get("extra"))
    metadata, params = (
        read_object(extra.get("metadata") or raw.get("metadata")),
        read_object(extra.get("invocation_params")),
    )
    order, started_at = raw.get("dotted_order"), to_utc(raw.get("start_time"))
    ancestors = [*_ids_in(order)[:-1], *read_list(raw.get("parent_run_ids")), raw.get("parent_run_id")]
    above = next(filter(None, map(read_id, reversed(ancestors))), None)
    top = run_id if read_list(raw.get("child_runs")) else None
    return {
        "trace": read_id(raw.get("trace_id")) or read_id(next(iter(_ids_in(order)), None)) or trace or top,
        "id": run_id,
        "parent": None if above == run_id else above or parent,
        "order": clean_text(order) if isinstance(order, str) else started_at or "",
        "kind": _read_kind(raw.get("run_type")),
        "name": _first_text([raw.get("name")]) or "",
        "started_at": started_at,
        "seconds": seconds_between(started_at, to_utc(raw.get("end_time"))),
        "error": _read_error(raw.get("error")),
        "inputs": _payload(raw.get("inputs"), "inputs"),
        "outputs": _payload(raw.get("outputs"), "outputs"),
        "thread": _first_text([*(metadata.get(name) for name in _THREADS), raw.get("thread_id")]),
        "model": _first_text([metadata.get("ls_model_name"), *(params.get(name) for name in _MODELS)]),
        "turn": read_turn(metadata),
        "feedback": [*read_feedback_stats(raw.get("feedback_stats")), *_feedback(raw)],
    }


def _read_kind(run_type: Any) -> SpanKind:
    return _KINDS.get(run_type.lower(), "agent") if isinstance(run_type, str) else "agent"


def _feedback(raw: Mapping[str, Any]) -> list[Feedback]:
    return [*filter(None, map(read_feedback, read_list(raw.get("feedback"))))]


def _lost_feedback(raw: Mapping[str, Any], place: str) -> Iterator[LostEntry]:
    for _ in range(len(read_list(raw.get("feedback"))) - len(_feedback(raw))):
        yield LostEntry(place, Flaw("bad value", "feedback without a key"))


def _payload(value: Any, name: str) -> dict[str, Any]:
    """Inputs or outputs.

    Raises:
        CellError: they are no object, or one that is nested too deeply.
    """
    found = decoded_softly(value)
    if is_missing(found) or found == "null":
        return {}
    if not isinstance(found, dict):
        raise CellError(f"{name} that are not an object but {type(found).__name__}")
    if _too_deep(found):
        raise CellError(f"{name} nested deeper than {_DEEPEST}")
    return found


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            part
            for item in level
            if isinstance(item, dict | list)
            for part in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True


def _ids_in(order: Any) -> list[str]:
    """The ids in a dotted order, from the root's to the run's own; its parts are a time, `Z` and an id."""
    return [part.partition("Z")[2] for part in order.split(".")] if isinstance(order, str) else []


def _first_text(values: list[Any]) -> str | None:
    named = (value for value in values if isinstance(value, str | int) and not isinstance(value, bool))
    return next((clean_text(str(value)) for value in named if value != ""), None)


def _read_error(value: Any) -> str | None:
    """What went wrong, without where in the code it did."""
    if not isinstance(value, str) or not value.strip():
        return None
    said, _, trail = value.partition("Traceback (most recent call last)")
    return (said.strip() or trail.strip().rpartition("\n")[2])[:_MOST_ERROR_CHARS]
