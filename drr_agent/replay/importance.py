"""What each signal is worth to the decision: what is lost when its values are dealt to other attempts.

Permutation importance (Breiman 2001, "Random Forests", section 10) on questions that the DM has not learned from. The
text classifier's logit is one of the signals. Signals that say much the same stand in for each other, so each of them
may look worth little where all of them are not; they are dealt together, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from drr_agent.dm.calibration import Calibration, apply_calibration, log_loss
from drr_agent.dm.fusion import Fusion
from drr_agent.dm.models import SignalDM, TransformersDM
from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.evaluation.metrics import Bools, Floats
from drr_agent.odds import score_logit
from drr_agent.replay.likeness import alike
from drr_agent.replay.paths import end
from drr_agent.replay.readings import Ints, Readings, Units
from drr_agent.replay.report import SignalValue, Spread
from drr_agent.replay.specs import Candidate
from drr_agent.replay.worth import Scored
from drr_agent.state import Attempt
from drr_agent.stopping.answers import OF_BEST

TEXT = "text"
"""How the classifier's logit is called among the signals."""
_PERMUTATIONS = 5
_POLICY_PERMUTATIONS = 3
_MOST_QUESTIONS = 1_000
"""Questions on which the policy is replayed, at random: enough for a difference worth having."""
_MOST = 10
"""Signals, or groups of them, for which the policy is replayed, which takes its time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Evidence:
    """What the scores are made of, over the attempts with a score and a label."""

    rows: Scored
    values: Mapping[str, Floats]
    """By signal; NaN is missing."""
    parts: Mapping[str, Floats]
    """Log odds that each adds to the score."""
    logits: Floats
    calibration: Calibration
    pairs: tuple[Ints, Ints]
    """The right and the wrong attempt of each pair at one question."""
    orders: Sequence[Ints]
    """Which attempt's value each gets, a permutation each; the same ones for all signals."""

    def dealt(self, names: Sequence[str], order: Ints) -> Floats:
        """The logits when the values of some signals are dealt so; what no score reads changes nothing."""
        read = [self.parts[name] for name in names if name in self.parts]
        part: Floats = np.sum(read, axis=0) if read else np.zeros_like(self.logits)
        return self.logits - part + part[order]

    def scores(self, logits: Floats) -> Floats:
        """Calibrated probabilities."""
        return apply_calibration(self.calibration, logits)

    def auroc(self, scores: Floats) -> float:
        """Within-question AUROC; see `metrics.within_question_auroc`."""
        better, worse = (scores[side] for side in self.pairs)
        return float(np.mean(better > worse) + np.mean(better == worse) / 2)

    def groups(self) -> dict[str, list[str]]:
        """What is dealt: each signal by itself, and those that are alike together, by what they are called."""
        single = {name: [name] for name in self.values}
        return single | {self._called(names): names for names in alike(self.values)}

    def _called(self, names: Sequence[str]) -> str:
        """A group by the one that moves the score most."""
        return f"{max(names, key=lambda name: self.parts[name].std() if name in self.parts else 0.0)} and its like"

    def value(self, name: str, members: list[str]) -> SignalValue:
        """What the scores lose with some signals."""
        scores, right = self.scores(self.logits), self.rows.right
        dealt = [self.scores(self.dealt(members, order)) for order in self.orders]
        mixed = len(self.pairs[0]) > 0
        return SignalValue(
            name=name,
            members=members,
            known=float(np.mean(np.any([~np.isnan(self.values[member]) for member in members], axis=0))),
            auroc=_spread([self.auroc(scores) - self.auroc(found) for found in dealt]) if mixed else None,
            log_loss=_spread([log_loss(found, right) - log_loss(scores, right) for found in dealt]),
        )


def signal_values(
    readings: Readings, dm: DiscriminativeModel | None, policy: Candidate | None, *, seed: int = 0
) -> list[SignalValue]:
    """What each signal that a saved DM reads is worth, the most valuable first.

    Args:
        readings: of questions that the DM has not learned from, with its scores.
        dm: what scored them; what a DM that is not of a folder makes its scores of, nobody knows.
        policy: the DM's own in its own setting, for what the ten most valuable signals bring it.
        seed: of the permutations.
    """
    rows = Scored.of(readings.questions)
    if not isinstance(dm, SignalDM | TransformersDM) or not rows.attempts:
        return []
    evidence = _read(rows, dm, seed)
    weights = _policy_weights(dm)
    found = sorted(
        (evidence.value(*group) for group in evidence.groups().items()), key=lambda value: _rank(value, weights)
    )
    if policy is None:
        return found
    lost = _policy_losses(found[:_MOST], evidence, _own_orders(readings, seed), policy)
    return [value.model_copy(update={"accuracy": lost.get(value.name)}) for value in found]


def _read(rows: Scored, dm: SignalDM | TransformersDM, seed: int) -> _Evidence:
    fusion = dm.manifest.fusion
    terms = [] if fusion is None else fusion.signals
    names = dict.fromkeys([*(term.name for term in terms), *_policy_weights(dm)])
    values = {name: rows.signal(name) for name in names}
    parts = {term.name: term.column(values[term.name]) for term in terms}
    if isinstance(dm, TransformersDM) and (fusion is None or fusion.text is not None):
        texts = rows.texts()
        values = {TEXT: texts, **values}
        parts = {TEXT: texts if fusion is None or fusion.text is None else fusion.text.column(texts), **parts}
    generator = np.random.default_rng(seed)
    return _Evidence(
        rows=rows,
        values=values,
        parts=parts,
        logits=np.sum([*parts.values(), np.full(len(rows.right), _intercept(fusion))], axis=0),
        calibration=dm.manifest.calibration,
        pairs=_pairs(rows.right, rows.keys),
        orders=[generator.permutation(len(rows.right)) for _ in range(_PERMUTATIONS)],
    )


def _intercept(fusion: Fusion | None) -> float:
    return 0.0 if fusion is None else fusion.intercept


def _policy_weights(dm: SignalDM | TransformersDM) -> dict[str, float]:
    """How much the policy makes of the signals that it reads by itself, beside the score."""
    stopping = dm.stopping
    terms = () if stopping is None else stopping.model.answers.fusion.signals
    return {term.name.removeprefix(OF_BEST): abs(term.weight) for term in terms if term.name.startswith(OF_BEST)}


def _rank(value: SignalValue, weights: Mapping[str, float]) -> tuple[float, float, float]:
    """The least for what is most valuable; a loss of order that not every permutation shows counts as none."""
    auroc = 0.0 if value.auroc is None or value.auroc.low <= 0 else value.auroc.mean
    return -auroc, -value.log_loss.mean, -sum(weights.get(name, 0.0) for name in value.members)


def _pairs(right: Bools, keys: Sequence[object]) -> tuple[Ints, Ints]:
    members: dict[object, tuple[list[int], list[int]]] = {}
    for row, (key, hit) in enumerate(zip(keys, right, strict=True)):
        members.setdefault(key, ([], []))[0 if hit else 1].append(row)
    grids = [np.meshgrid(*sides) for sides in members.values()]
    better, worse = (np.concatenate([grid[side].ravel() for grid in grids]).astype(np.int64) for side in (0, 1))
    return better, worse


def _spread(values: Sequence[float]) -> Spread:
    return Spread(mean=float(np.mean(values)), low=min(values), high=max(values))


def _own_orders(readings: Readings, seed: int) -> Readings:
    """One reading of each of some questions, its own order, which is enough for a difference of two policies."""
    _, own = np.unique(readings.question, return_index=True)
    own = np.sort(np.random.default_rng(seed).permutation(own)[:_MOST_QUESTIONS])
    arrays = ("question", "order", "turns", "first", "score", "logit", "right", "tokens", "usd")
    counts = np.bincount(readings.question)
    kept = {name: getattr(readings, name)[own] for name in arrays}
    units = Units(readings.units.of[own], readings.units.weights)
    return replace(readings, **kept, weights=readings.weights[own] * counts[kept["question"]], units=units)


def _policy_losses(
    values: Sequence[SignalValue], evidence: _Evidence, readings: Readings, policy: Candidate
) -> dict[str, Spread]:
    """Accuracy that the policy loses with each signal."""
    whole = _accuracy(policy, readings)
    return {
        value.name: _spread(
            [whole - _accuracy(policy, dealt) for dealt in _dealt_readings(value.members, evidence, readings)]
        )
        for value in values
    }


def _accuracy(policy: Candidate, readings: Readings) -> float:
    family, setting = policy
    assert setting is not None  # a DM's own policy has its own
    ends = end(family.walk(readings), setting, readings)
    return float((ends.right * readings.weights).sum() / readings.weights.sum())


def _dealt_readings(names: Sequence[str], evidence: _Evidence, readings: Readings) -> Iterator[Readings]:
    """The readings as they would be, had each attempt another one's values."""
    shape = len(readings.questions), max(len(question.attempts) for question in readings.questions)
    replayed = np.flatnonzero(np.isin(evidence.rows.places[0], readings.question))
    for order in evidence.orders[:_POLICY_PERMUTATIONS]:
        logits = evidence.dealt(names, order)
        told = {name: evidence.values[name][order] for name in names}
        scores, table = evidence.scores(logits), np.full(shape, np.nan)
        table[*evidence.rows.places] = scores
        read = np.where(readings.order >= 0, table[readings.question[:, None], readings.order], np.nan)
        attempts = [list(question.attempts) for question in readings.questions]
        for row in replayed:
            place, turn = evidence.rows.places[:, row]
            values = {name: _known(column[row]) for name, column in told.items()}
            attempts[place][turn] = _altered(attempts[place][turn], values, float(logits[row]), float(scores[row]))
        yield replace(
            readings,
            questions=[q._replace(attempts=new) for q, new in zip(readings.questions, attempts, strict=True)],
            score=read,
            logit=_log_odds(read),
        )


def _log_odds(scores: Floats) -> Floats:
    """As `Readings.logit` has them."""
    return np.array([[-np.inf if np.isnan(score) else score_logit(score) for score in row] for row in scores])


def _altered(attempt: Attempt, values: Mapping[str, float | None], logit: float, score: float) -> Attempt:
    text = values.get(TEXT, attempt.get("text_logit"))
    signals = {name: value for name, value in values.items() if name != TEXT}
    return {
        **attempt,
        "logit": logit,
        "text_logit": text,
        "score": score,
        "signals": {**attempt["signals"], **signals},
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
