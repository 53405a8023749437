"""How far a judge agrees with the labels that exist: Cohen's kappa, beside the plain share."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from drr_agent.evaluation.metrics import Interval
from drr_agent.state import Label
from drr_agent.training.behaviors import Behavior
from drr_agent.training.labels import MODEL_KINDS, resolve_without

_FEWEST = 10
"""Pairs below which a kappa is noise."""
_RESAMPLES = 2_000
_LEAST_DEFINED = 0.9
"""Share of the resamples in which kappa must be defined for an interval."""
_CODES: dict[Label, int] = {"incorrect": 0, "correct": 1}


class Pair(NamedTuple):
    """Two judgments of one attempt."""

    question: str
    """Which question the attempt is at; attempts at one are not independent."""
    judged: Label
    known: Label


@dataclass(frozen=True, kw_only=True)
class Kappa:
    """Agreement of a judge with known labels."""

    pairs: int
    questions: int
    agreement: float | None
    """Share of the pairs in which both say the same; `None` without pairs."""
    kappa: float | None
    """Agreement beyond chance (Cohen 1960): 1 is perfect, 0 is what chance alone would give."""
    interval: Interval | None
    """Of kappa: 95 %, percentile bootstrap over questions; its `mean` is kappa itself."""
    reason: str | None
    """Why there is no kappa."""


def kappa(pairs: Iterable[Pair], *, seed: int = 0) -> Kappa:
    """Cohen's kappa, with its interval over questions.

    It is `None`, with the reason, for fewer than ten pairs, and where the known labels are all the same: then any judge
    that says so always would be perfect, and kappa cannot tell.

    Args:
        pairs: one for each attempt that both have judged.
        seed: of the resamples.
    """
    from sklearn.metrics import cohen_kappa_score

    held = list(pairs)
    judged, known = [_CODES[pair.judged] for pair in held], [_CODES[pair.known] for pair in held]
    places = {question: place for place, question in enumerate(dict.fromkeys(pair.question for pair in held))}
    reason = _why_undefined(held)
    value = None if reason else float(cohen_kappa_score(judged, known, labels=[0, 1]))
    return Kappa(
        pairs=len(held),
        questions=len(places),
        agreement=float(np.mean(np.equal(judged, known))) if held else None,
        kappa=value,
        interval=None if value is None else _interval(value, _tables(held, places), seed),
        reason=reason,
    )


def judged_pairs(rows: Iterable[Behavior], source: str) -> Iterator[Pair]:
    """What one source says beside what all others say, models' opinions aside, where both say something."""
    for row in rows:
        judged = next((record["value"] for record in row["labels"] if record["source"] == source), None)
        known = resolve_without(row["labels"], MODEL_KINDS)
        if judged is not None and known is not None and known["value"] is not None:
            yield Pair(row["question_key"], judged, known["value"])


def describe_kappa(found: Kappa) -> str:
    """One line for people."""
    if found.agreement is None:
        return f"no Cohen's kappa: {found.reason}"
    shared = f"agrees with the labels that exist on {found.agreement:.1%} of {found.pairs} attempts"
    if found.kappa is None:
        return f"{shared}; no Cohen's kappa: {found.reason}"
    interval = (
        "" if found.interval is None else f" (95 % interval {found.interval.low:.2f} to {found.interval.high:.2f})"
    )
    return f"{shared} at {found.questions} questions; Cohen's kappa {found.kappa:.2f}{interval}"


def _why_undefined(pairs: list[Pair]) -> str | None:
    known = {pair.known for pair in pairs}
    if len(pairs) < _FEWEST:
        return f"{len(pairs)} attempts with a label of their own, fewer than {_FEWEST}"
    return f"the labels that exist all say {known.pop()}" if len(known) == 1 else None


def _tables(pairs: list[Pair], places: dict[str, int]) -> npt.NDArray[np.int64]:
    """Each question's counts of judged × known, shape (questions, 2, 2)."""
    tables = np.zeros((len(places), 2, 2), dtype=np.int64)
    for pair in pairs:
        tables[places[pair.question], _CODES[pair.judged], _CODES[pair.known]] += 1
    return tables


def _interval(value: float, tables: npt.NDArray[np.int64], seed: int) -> Interval | None:
    """The interval; `None` where there is one question, or too many resamples leave one class."""
    count = len(tables)
    if count < 2:
        return None
    random = np.random.default_rng(seed)
    sums = np.stack([tables[random.integers(count, size=count)].sum(axis=0) for _ in range(_RESAMPLES)])
    found = _from_tables(sums)
    found = found[np.isfinite(found)]
    if len(found) < _LEAST_DEFINED * _RESAMPLES:
        return None
    low, high = np.quantile(found, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def _from_tables(tables: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Kappa of each table of shape (2, 2); NaN where the known labels are all the same."""
    total = tables.sum(axis=(1, 2))
    observed = (tables[:, 0, 0] + tables[:, 1, 1]) / total
    judged, known = tables.sum(axis=2) / total[:, None], tables.sum(axis=1) / total[:, None]
    expected = (judged * known).sum(axis=1)
    defined = (known > 0).all(axis=1)
    found = np.full(len(tables), np.nan)
    found[defined] = (observed[defined] - expected[defined]) / (1 - expected[defined])
    return found
