"""What people and programs said in trace stores of an answer, as labels: who said it, and what it says.

A score is read as P(right): from 0.5 up it says correct, below it incorrect. One outside of 0 to 1 is on a scale that
nobody here knows, and says nothing, as do words that are no verdict. Nor does a score whose name plainly speaks of
another matter, such as `latency`, `total_cost`, `answerLength` or `toxicity`, unless it speaks of being right as well,
as `price_correct` does.

Raters of one source who disagree say nothing together. Of a rater who judged twice the later judgment counts; raters
whom the store does not tell apart are one. What says nothing is a label without a value, which never trains.

Who said it is told by the store's own word for the source, the same in each store:

| label | the store's word |
|---|---|
| `human:NAME`, somebody who reviewed it | LangSmith `app`, Langfuse `ANNOTATION`, MLflow `HUMAN` |
| `environment:NAME`, a program that checked it | MLflow `CODE` |
| `judge:NAME`, an evaluator | LangSmith `model` and `auto_eval`, Langfuse `EVAL`, MLflow `LLM_JUDGE`; OpenTelemetry's |
| `feedback:NAME`, an app's user or whoever else | `api`, any other word, and none |
"""

import math
import re
from collections.abc import Iterable
from typing import Any

from typing_extensions import TypedDict  # as in `state.py`

from drr_agent.parsing import clean_text
from drr_agent.state import Label, RunLabel
from drr_agent.training.labels import read_label
from drr_agent.training.times import to_utc

EVALUATOR = "eval"
"""The word for a source that is an evaluator, for a store that has none but evaluators."""

_KINDS = {
    **dict.fromkeys(("app", "annotation", "human"), "human"),
    "code": "environment",
    **dict.fromkeys(("model", "auto_eval", EVALUATOR, "llm_judge", "ai_judge"), "judge"),
}
_OTHER_MATTERS = {
    *("latency", "duration", "runtime", "time", "seconds", "ms", "speed", "cost", "price", "usd"),
    *("token", "length", "count", "verbosity", "verbose", "conciseness", "concise"),
    *("hallucination", "hallucinated", "wrong", "error", "errors", "failure", "refusal"),  # whose 1 is no praise
    *("toxicity", "toxic", "bias", "biased", "harm", "harmful", "harmfulness", "hate", "hateful", "pii", "safety"),
    *("safe", "unsafe", "maliciousness", "malicious", "criminality", "misogyny", "insensitivity", "controversiality"),
    *("sentiment", "tone", "style", "politeness", "polite", "readability", "readable", "fluency", "fluent"),
    *("coherence", "coherent", "similarity", "similar"),
}
"""Words in the names of scores whose numbers are not P(right); each stands for its plural too."""
_RIGHTNESS = {"correct", "correctness", "correctly", "accuracy", "accurate", "right"}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_PASSED: dict[str, Label] = {"pass": "correct", "passed": "correct", "fail": "incorrect", "failed": "incorrect"}


class Judgment(TypedDict):
    """What one rater said of one answer; plain JSON."""

    source: str
    """As in a label: its kind, one of `drr_agent.training.labels.LABEL_ORDER`, and a name."""
    author: str
    """Tells raters of a source apart; empty where the store does not."""
    value: Label | None
    at: str | None
    """As `to_utc` gives it."""
    summary: bool
    """Whether it sums up several, which stand for themselves where they are known."""


def make_judgment(said_by: Any, name: Any, value: Any, *, author: Any = None, at: Any = None) -> Judgment:
    """A judgment as a store tells of it.

    Args:
        said_by: the store's word for what kind of a source it is.
        name: what tells two sources of a kind apart, and may say that the score is of another matter.
        value: a truth, a number, its digits, or a word.
        author: who of the source said it.
        at: when, as `to_utc` takes it.
    """
    return {
        "source": make_source(source_kind(said_by), name),
        "author": clean_text(author) if isinstance(author, str) else "",
        "value": read_verdict(value, name),
        "at": to_utc(at),
        "summary": False,
    }


def source_kind(said_by: Any) -> str:
    """The kind of a label's source, by the store's word for it."""
    return _KINDS.get(said_by.strip().lower(), "feedback") if isinstance(said_by, str) else "feedback"


def make_source(kind: str, name: Any) -> str:
    """The source of a label."""
    named = clean_text(name).strip() if isinstance(name, str) else ""
    return f"{kind}:{named}" if named else kind


def to_labels(judgments: Iterable[Judgment], *, turn: int | None = None) -> list[RunLabel]:
    """One label a source."""
    by_source: dict[str, list[Judgment]] = {}
    for judgment in _without_summaries([*judgments]):
        by_source.setdefault(judgment["source"], []).append(judgment)
    return [_to_label(source, found, turn) for source, found in sorted(by_source.items())]


def read_verdict(value: Any, name: Any = None) -> Label | None:
    """What a score says; one whose name speaks of another matter says nothing."""
    if _is_of_another_matter(name):
        return None
    if isinstance(value, str):
        return read_label(value) or _PASSED.get(value.strip().casefold()) or _of_number(_number(value))
    return _of_number(float(value)) if isinstance(value, int | float) and -1 < value < 2 else None


def _is_of_another_matter(name: Any) -> bool:
    words = {word.lower() for word in _WORD.findall(name)} if isinstance(name, str) else set()
    words |= {word.removesuffix("s") for word in words}
    return bool(words & _OTHER_MATTERS) and not words & _RIGHTNESS


def _without_summaries(judgments: list[Judgment]) -> list[Judgment]:
    """All but the sums of what stands for itself. Sums may not know the kind of their source, so the name decides."""
    single = {_name(judgment) for judgment in judgments if not judgment["summary"]}
    return [judgment for judgment in judgments if not judgment["summary"] or _name(judgment) not in single]


def _name(judgment: Judgment) -> str:
    return judgment["source"].partition(":")[2]


def _to_label(source: str, found: list[Judgment], turn: int | None) -> RunLabel:
    latest = {judgment["author"]: judgment for judgment in sorted(found, key=_time)}
    said = {judgment["value"] for judgment in latest.values()} - {None}
    times = [judgment["at"] for judgment in latest.values() if judgment["at"] is not None]
    value = said.pop() if len(said) == 1 else None
    return {"turn": turn, "value": value, "source": source, "at": max(times, default=None)}


def _time(judgment: Judgment) -> str:
    return judgment["at"] or ""


def _of_number(number: float) -> Label | None:
    if not 0 <= number <= 1:
        return None
    return "correct" if number >= 0.5 else "incorrect"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
