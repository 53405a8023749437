"""Feedback of a trace store: a user's thumb, an annotator's score, an evaluator's verdict, as labels.

A score says what `verdicts` reads in it. Raters who disagree say nothing: what is left then is a label without a value,
which never trains. Of a rater who judged twice the later judgment counts.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from typing_extensions import TypedDict  # as in `state.py`

from drr_agent.columns import is_missing
from drr_agent.parsing import clean_text
from drr_agent.state import Label, RunLabel
from drr_agent.training.sources.traces.verdicts import read_verdict
from drr_agent.training.times import to_utc

_EVALUATORS = {"model", "auto_eval"}
"""Types of feedback sources that are programs: an evaluator, most often an LLM."""


class Feedback(TypedDict):
    """One judgment of one run; plain JSON."""

    source: str
    """As in a label: `feedback:KEY`, or `judge:KEY` of an evaluator."""
    author: str
    asked: bool
    """Whether it judges at all; a mere comment or correction does not."""
    value: Label | None
    at: str | None
    correction: str | None
    """The answer it should have been."""
    summary: bool
    """Whether it sums up several, which stand for themselves where they are known."""


def read_feedback(record: Any) -> Feedback | None:
    """A feedback record; `None` for what is none."""
    if not isinstance(record, dict) or not isinstance(record.get("key"), str):
        return None
    score, value, source = record.get("score"), record.get("value"), _object(record.get("feedback_source"))
    author = source.get("user_id")
    return {
        "source": _source(record["key"], [source.get("type")]),
        "author": author if isinstance(author, str) else "",
        "asked": score is not None or value is not None,
        "value": read_verdict(value if score is None else score),
        "at": to_utc(record.get("modified_at")) or to_utc(record.get("created_at")),
        "correction": _read_correction(record.get("correction")),
        "summary": False,
    }


def read_feedback_stats(stats: Any) -> Iterator[Feedback]:
    """What a run's `feedback_stats` say, key by key."""
    for key, found in _object(stats).items():
        counts = _object(found)
        values = _object(counts.get("values"))
        if counts.get("avg") is None and not values:
            continue
        said = {read_verdict(value) for value in values} if counts.get("avg") is None else _ends(counts)
        sources = counts.get("sources")
        yield {
            "source": _source(str(key), [_type_of(source) for source in sources] if isinstance(sources, list) else []),
            "author": "",
            "asked": True,
            "value": said.pop() if len(said) == 1 else None,
            "at": None,
            "correction": None,
            "summary": True,
        }


def to_labels(feedbacks: Iterable[Feedback], *, turn: int | None = None) -> list[RunLabel]:
    """One label a source; raters who disagree say nothing."""
    by_source: dict[str, list[Feedback]] = {}
    for feedback in feedbacks:
        if feedback["asked"]:
            by_source.setdefault(feedback["source"], []).append(feedback)
    return [_to_label(source, found, turn) for source, found in sorted(by_source.items())]


def find_correction(feedbacks: Iterable[Feedback]) -> str | None:
    """The latest correction."""
    given = [feedback for feedback in feedbacks if feedback["correction"] is not None]
    return max(given, key=_time)["correction"] if given else None


def _to_label(source: str, found: list[Feedback], turn: int | None) -> RunLabel:
    single = [feedback for feedback in found if not feedback["summary"]] or found
    latest = {feedback["author"]: feedback for feedback in sorted(single, key=_time)}
    said = {feedback["value"] for feedback in latest.values()} - {None}
    times = [feedback["at"] for feedback in latest.values() if feedback["at"] is not None]
    value = said.pop() if len(said) == 1 else None
    return {"turn": turn, "value": value, "source": source, "at": max(times, default=None)}


def _time(feedback: Feedback) -> str:
    return feedback["at"] or ""


def _source(key: str, types: list[Any]) -> str:
    evaluated = bool(types) and all(kind in _EVALUATORS for kind in types if isinstance(kind, str)) and any(types)
    return f"{'judge' if evaluated else 'feedback'}:{clean_text(key)}"


def _type_of(source: Any) -> Any:
    """The type of a source, which stands for itself, in an object, or in the JSON of one."""
    return _object(source).get("type", source)


def _ends(counts: dict[Any, Any]) -> set[Label | None]:
    """What the lowest and the highest score say; where only their average is known, they may have been anything."""
    low, high, average = (counts.get(name) for name in ("min", "max", "avg"))
    if low is None or high is None:
        alone = counts.get("n") in (None, 1) or counts.get("stdev") == 0 or average in (0, 1)
        low, high = (average, average) if alone else (0, 1)
    return {read_verdict(low), read_verdict(high)}


def _read_correction(value: Any) -> str | None:
    fields = _object(value)
    said = next((fields[key] for key in ("answer", "output") if key in fields), None) if fields else value
    if isinstance(said, bool) or not isinstance(said, str | int | float) or is_missing(said):
        return None
    return clean_text(str(said)).strip()


def _object(value: Any) -> dict[Any, Any]:
    """An object, given as one or as its JSON; empty for anything else."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}
