"""How many right answers a policy loses with a signal: it is replayed with the values dealt to other attempts."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from drr_agent.evaluation.metrics import Floats
from drr_agent.replay.evidence import TEXT, Evidence
from drr_agent.replay.paths import end
from drr_agent.replay.readings import Readings, Units
from drr_agent.replay.specs import Candidate

_PERMUTATIONS = 3
MOST_QUESTIONS = 1_000
"""Questions on which the policy is replayed, at random: enough for a difference worth having."""


def some_questions(readings: Readings, seed: int) -> Readings:
    """One reading of each of some questions, its own order, which is enough for a difference of two policies."""
    _, own = np.unique(readings.question, return_index=True)
    own = np.sort(np.random.default_rng(seed).permutation(own)[:MOST_QUESTIONS])
    arrays = ("question", "order", "turns", "first", "score", "logit", "raw", "right", "tokens", "usd")
    counts = np.bincount(readings.question)
    kept = {name: getattr(readings, name)[own] for name in arrays}
    units = Units(readings.units.of[own], readings.units.weights)
    return replace(readings, **kept, weights=readings.weights[own] * counts[kept["question"]], units=units)


def accuracies_lost(names: Sequence[str], evidence: Evidence, readings: Readings, policy: Candidate) -> list[float]:
    """What is lost with some signals, a figure a permutation.

    Args:
        names: of the signals.
        evidence: of the attempts of all questions of the readings.
        readings: those to replay; see `some_questions`.
        policy: one that reads the arrays of readings, and no attempts, in a setting.
    """
    whole = accuracy_of(policy, readings)
    return [whole - accuracy_of(policy, dealt) for dealt in _dealt(names, evidence, readings)]


def accuracy_of(policy: Candidate, readings: Readings) -> float:
    """The weighted share of right answers."""
    family, setting = policy
    assert setting is not None  # a DM's own policy has its own
    ends = end(family.walk(readings), setting, readings)
    return float((ends.right * readings.weights).sum() / readings.weights.sum())


def _dealt(names: Sequence[str], evidence: Evidence, readings: Readings) -> Iterator[Readings]:
    """The readings as they would be, had each attempt another one's values."""
    told = [name for name in names if name != TEXT]
    before, blank = {name: readings.signals.of(name) for name in told}, np.full(readings.signals.shape, np.nan)
    for order in evidence.orders[:_PERMUTATIONS]:
        logits = evidence.dealt(names, order)
        score = _read(_put(evidence, evidence.scores(logits), blank), readings)
        tables = {name: _put(evidence, evidence.values[name][order], before[name]) for name in told}
        yield replace(
            readings,
            score=score,
            logit=_log_odds(score),
            raw=_read(_put(evidence, logits, blank), readings),
            signals=readings.signals.told(tables),
        )


def _put(evidence: Evidence, values: Floats, before: Floats) -> Floats:
    """Values of the attempts in a table, shape (questions, attempts); those of others stay as they were."""
    table = before.copy()
    table[*evidence.rows.places] = values
    return table


def _read(table: Floats, readings: Readings) -> Floats:
    """A table in the order of readings."""
    return np.where(readings.order >= 0, table[readings.question[:, None], readings.order], np.nan)


def _log_odds(scores: Floats) -> Floats:
    """As `Readings.logit` has them."""
    known = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.nan_to_num(np.log(known / (1 - known)), nan=-np.inf, neginf=-np.inf)
