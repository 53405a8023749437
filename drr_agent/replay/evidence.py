"""What the scores of a saved DM are made of, and what they would be, had attempts each other's values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from drr_agent.dm.calibration import Calibration, apply_calibration
from drr_agent.dm.fusion import Fusion
from drr_agent.dm.models import SignalDM, TransformersDM
from drr_agent.evaluation.metrics import Bools, Floats
from drr_agent.replay.likeness import alike
from drr_agent.replay.readings import Ints, Readings
from drr_agent.replay.worth import Scored
from drr_agent.stopping.answers import OF_BEST

TEXT = "text"
"""How the classifier's logit is called among the signals."""
_PERMUTATIONS = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
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

    @classmethod
    def of(cls, readings: Readings, dm: SignalDM | TransformersDM, *, seed: int = 0) -> Self | None:
        """Of the attempts of some readings that have a score and a label, as a DM scored them; `None` without any."""
        rows = Scored.of(readings.questions)
        if not rows.attempts:
            return None
        fusion = dm.manifest.fusion
        terms = [] if fusion is None else fusion.signals
        names = dict.fromkeys([*(term.name for term in terms), *policy_weights(dm)])
        values = {name: readings.signals.of(name)[*rows.places] for name in names}
        parts = {term.name: term.column(values[term.name]) for term in terms}
        if isinstance(dm, TransformersDM) and (fusion is None or fusion.text is not None):
            texts = rows.texts()
            values = {TEXT: texts, **values}
            parts = {TEXT: texts if fusion is None or fusion.text is None else fusion.text.column(texts), **parts}
        generator = np.random.default_rng(seed)
        return cls(
            rows=rows,
            values=values,
            parts=parts,
            logits=np.sum([*parts.values(), np.full(len(rows.right), _intercept(fusion))], axis=0),
            calibration=dm.manifest.calibration,
            pairs=_pairs(rows.right, rows.keys),
            orders=[generator.permutation(len(rows.right)) for _ in range(_PERMUTATIONS)],
        )

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


def _intercept(fusion: Fusion | None) -> float:
    return 0.0 if fusion is None else fusion.intercept


def policy_weights(dm: SignalDM | TransformersDM) -> dict[str, float]:
    """How much the policy makes of the signals that it reads by itself, beside the score."""
    stopping = dm.stopping
    terms = () if stopping is None else stopping.model.answers.fusion.signals
    return {term.name.removeprefix(OF_BEST): abs(term.weight) for term in terms if term.name.startswith(OF_BEST)}


def _pairs(right: Bools, keys: Sequence[object]) -> tuple[Ints, Ints]:
    members: dict[object, tuple[list[int], list[int]]] = {}
    for row, (key, hit) in enumerate(zip(keys, right, strict=True)):
        members.setdefault(key, ([], []))[0 if hit else 1].append(row)
    grids = [np.meshgrid(*sides) for sides in members.values()]
    better, worse = (np.concatenate([grid[side].ravel() for grid in grids]).astype(np.int64) for side in (0, 1))
    return better, worse
