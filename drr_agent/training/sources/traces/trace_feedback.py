"""Feedback on LangSmith's runs: a user's thumb, an annotator's score, an evaluator's verdict, and corrections.

What a score says, and whose word is whose, is read as in every store, by `verdicts`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from drr_agent.columns import is_missing
from drr_agent.parsing import clean_text
from drr_agent.training.sources.traces.soft_json import read_object
from drr_agent.training.sources.traces.verdicts import (
    Judgment,
    make_judgment,
    make_source,
    read_verdict,
    source_kind,
)
from drr_agent.training.times import to_utc


class Feedback(Judgment):
    """One record about one run; plain JSON."""

    asked: bool
    """Whether it judges at all; a mere comment or correction does not."""
    correction: str | None
    """The answer it should have been."""


def read_feedback(record: Any) -> Feedback | None:
    """A feedback record; `None` for what is none."""
    if not isinstance(record, dict) or not isinstance(record.get("key"), str):
        return None
    score, value, source = record.get("score"), record.get("value"), read_object(record.get("feedback_source"))
    said, at = value if score is None else score, to_utc(record.get("modified_at")) or record.get("created_at")
    return {
        **make_judgment(source.get("type"), record["key"], said, author=source.get("user_id"), at=at),
        "asked": said is not None,
        "correction": _read_correction(record.get("correction")),
    }


def read_feedback_stats(stats: Any) -> Iterator[Feedback]:
    """What a run's `feedback_stats` say, key by key."""
    for key, found in read_object(stats).items():
        counts = read_object(found)
        values = read_object(counts.get("values"))
        if counts.get("avg") is None and not values:
            continue
        scores = values if counts.get("avg") is None else _ends(counts)
        said = {read_verdict(score, key) for score in scores}
        sources = counts.get("sources")
        yield {
            "source": make_source(_kind_of(sources if isinstance(sources, list) else []), key),
            "author": "",
            "value": said.pop() if len(said) == 1 else None,
            "at": None,
            "summary": True,
            "asked": True,
            "correction": None,
        }


def find_correction(feedbacks: Iterable[Feedback]) -> str | None:
    """The latest correction."""
    given = [feedback for feedback in feedbacks if feedback["correction"] is not None]
    return max(given, key=lambda feedback: feedback["at"] or "")["correction"] if given else None


def _kind_of(sources: list[Any]) -> str:
    """The kind of the sources of a sum; of several kinds, that which claims nothing.

    A source stands for itself, in an object, or in the JSON of one.
    """
    kinds = {source_kind(read_object(source).get("type", source)) for source in sources}
    return kinds.pop() if len(kinds) == 1 else source_kind(None)


def _ends(counts: dict[str, Any]) -> tuple[Any, Any]:
    """What the lowest and the highest score say; where only their average is known, they may have been anything."""
    low, high, average = (counts.get(name) for name in ("min", "max", "avg"))
    if low is None or high is None:
        alone = counts.get("n") in (None, 1) or counts.get("stdev") == 0 or average in (0, 1)
        low, high = (average, average) if alone else (0, 1)
    return low, high


def _read_correction(value: Any) -> str | None:
    fields = read_object(value)
    said = next((fields[key] for key in ("answer", "output") if key in fields), None) if fields else value
    if isinstance(said, bool) or not isinstance(said, str | int | float) or is_missing(said):
        return None
    return clean_text(str(said)).strip()
