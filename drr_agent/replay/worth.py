"""What a policy does turn by turn, and what the scores behind it are worth."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from drr_agent.dm.fusion import Fusion
from drr_agent.dm.models import SignalDM, TransformersDM
from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.evaluation.metrics import Bools, Floats
from drr_agent.evaluation.outcomes import ScoredAttempts
from drr_agent.evaluation.report import DMResult, ScoreHistogram
from drr_agent.evaluation.summary import summarize_dm
from drr_agent.replay.families import OUTCOMES
from drr_agent.replay.paths import Ends
from drr_agent.replay.readings import Ints, Readings
from drr_agent.replay.report import TurnRow
from drr_agent.replay.standing import NOTHING
from drr_agent.state import Attempt
from drr_agent.training.logged import LabelledQuestion


def turn_rows(ends: Ends, readings: Readings) -> list[TurnRow]:
    """What a policy does at each turn, as weighted shares of all questions."""
    weights, rows = readings.weights / readings.weights.sum(), []

    def share(where: Bools) -> float:
        return min(1.0, float(weights[where].sum()))

    for turn in range(1, int(readings.turns.max()) + 1):
        here = ends.turns == turn
        shares = {outcome: share(here & ends.ended(outcome)) for outcome in OUTCOMES}
        right = share(here & ends.ended("accept") & ends.right)
        accepted = shares["accept"]
        rows.append(
            TurnRow(
                turn=turn,
                reached=share(ends.turns >= turn),
                accepted=accepted,
                stopped=shares["stop"],
                reviewed=shares["review"],
                exhausted=shares["continue"],
                abstained=share(here & (ends.choice == NOTHING)),
                precision=min(1.0, right / accepted) if accepted else None,
            )
        )
    return rows


class Scored(NamedTuple):
    """The attempts that have a score and a label."""

    attempts: list[Attempt]
    right: Bools
    keys: list[str]
    """The question of each, by the Reasoner it was asked."""
    places: Ints
    """Which question and which attempt of it each is, shape (2, attempts)."""

    @classmethod
    def of(cls, questions: Sequence[LabelledQuestion]) -> Self:
        """Those of some questions."""
        rows = [
            (attempt, label == "correct", str(question.key or place), (place, turn))
            for place, question in enumerate(questions)
            for turn, (attempt, label) in enumerate(zip(question.attempts, question.labels, strict=True))
            if attempt["score"] is not None and label is not None
        ]
        attempts, right, keys, places = zip(*rows, strict=True) if rows else ((),) * 4
        at = np.array(places, dtype=np.int64).reshape(-1, 2).T
        return cls(list(attempts), np.array(right, dtype=np.bool_), list(keys), at)

    def signal(self, name: str) -> Floats:
        """The values of a signal; NaN where it is missing."""
        return np.array([attempt["signals"].get(name) for attempt in self.attempts], dtype=np.float64)

    def texts(self) -> Floats:
        """The text classifier's logits; NaN where there are none."""
        return np.array([attempt.get("text_logit") for attempt in self.attempts], dtype=np.float64)


def worth_of_scores(
    readings: Readings, dm: DiscriminativeModel | None = None
) -> tuple[DMResult, ScoreHistogram] | None:
    """What the scores of the attempts are worth, and those at mixed questions; `None` without any.

    Args:
        readings: of labelled questions.
        dm: what scored them, for what its signals alone are worth.
    """
    rows = Scored.of(readings.questions)
    if not rows.attempts:
        return None
    scores, right = np.array([attempt["score"] for attempt in rows.attempts], dtype=np.float64), rows.right
    left_out = sum(len(question.attempts) for question in readings.questions) - len(scores)
    hits = {key for key, hit in zip(rows.keys, right, strict=True) if hit}
    mixed = hits & {key for key, hit in zip(rows.keys, right, strict=True) if not hit}
    within = np.array([key in mixed for key in rows.keys])
    histogram = ScoreHistogram(right=_histogram(scores[within & right]), wrong=_histogram(scores[within & ~right]))
    known = ScoredAttempts(scores, right, rows.keys, left_out)
    return summarize_dm(known, uncalibrated=_uncalibrated(rows.attempts), parts=_parts(rows, fusion_of(dm))), histogram


def fusion_of(dm: DiscriminativeModel | None) -> Fusion | None:
    """How a DM makes one logit of text and signals; `None` for one that does not."""
    return dm.manifest.fusion if isinstance(dm, SignalDM | TransformersDM) else None


def _parts(rows: Scored, fusion: Fusion | None) -> dict[str, list[float | None]]:
    """What text and signals say by themselves, where both are read."""
    texts = [attempt.get("text_logit") for attempt in rows.attempts]
    if all(logit is None for logit in texts):
        return {}
    if fusion is None or not fusion.signals:
        return {"text alone": texts}
    signals = fusion.fuse_columns({term.name: rows.signal(term.name) for term in fusion.signals})
    return {"text alone": texts, "signals alone": signals.tolist()}


def _uncalibrated(attempts: Sequence[Attempt]) -> Floats | None:
    """The probabilities before calibration, where the DM says of all attempts what it made of them."""
    logits = [attempt["logit"] for attempt in attempts if attempt["logit"] is not None]
    if len(logits) < len(attempts):
        return None
    probabilities: Floats = 1.0 / (1.0 + np.exp(-np.clip(np.array(logits), -50.0, 50.0)))
    return probabilities


def _histogram(scores: Floats) -> list[int]:
    return [int(count) for count in np.histogram(scores, bins=20, range=(0.0, 1.0))[0]]
