"""From what is read of each attempt to what the DM says of it: fusion, calibration, and when to stop.

The text classifier learned on the training split, so the fusion weighs its logits on validation, where they are as
uncertain as live; signals alone learn from the training split. What is learned on top of the fusion, the calibration
and when to stop, sees each row with the logit of a fusion that was fitted without its question.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from drr_agent.dm.calibration import Calibration
from drr_agent.dm.folds import grouped_folds
from drr_agent.dm.fusion import Evidence, Fusion, fit_fusion
from drr_agent.dm.manifest import Metrics
from drr_agent.dm.models import Reading, read_evidence
from drr_agent.dm.protocol import Score
from drr_agent.errors import DataError
from drr_agent.questions import unit_of
from drr_agent.signals import SIGNAL_SIGNS
from drr_agent.stopping import StoppingModel
from drr_agent.training.behaviors import Behavior, is_labelled, to_request
from drr_agent.training.calibrate import calibrate_readings
from drr_agent.training.config import TrainConfig
from drr_agent.training.logged import label_questions
from drr_agent.training.stopping import fit_stopping
from drr_agent.training.weights import weigh_rows

if TYPE_CHECKING:
    from drr_agent.dm.classifier import TextClassifier


class Judgment(NamedTuple):
    """What stands between the logits of a classifier, if any, and the decisions of the loop."""

    fusion: Fusion | None
    calibration: Calibration
    metrics: Metrics
    """Of the scores, on validation."""
    stopping: StoppingModel | None
    no_stopping: str | None
    """Why when to stop could not be learned."""
    learned: frozenset[str]
    """Keys of the questions that any of these learned from."""


def learn_judgment(
    teaching: Sequence[Behavior],
    train: Sequence[Behavior],
    validation: Sequence[Behavior],
    classifier: "TextClassifier | None",
    config: TrainConfig,
) -> Judgment:
    """Fit fusion, calibration and when to stop.

    Args:
        teaching: the training rows to learn from.
        train: all training rows, those without an answer or a label included: they are part of their runs.
        validation: all validation rows.
        classifier: trained on `teaching`, if the DM reads text.
        config: the settings.

    Raises:
        DataError: validation holds one class only, or nothing that varies.
    """
    runs = [row for row in ([*train, *validation] if classifier is None else validation) if row["answer"] is not None]
    evidence = dict(zip((row["id"] for row in runs), _evidence(runs, classifier), strict=True))
    judged = [row for row in validation if is_labelled(row)]
    fusion, readings = fuse_held_out(teaching if classifier is None else judged, runs, evidence, config)
    weights = weigh_rows(validation)
    counted = [row for row in judged if weights[row["id"]] > 0]
    calibration, metrics = calibrate_readings(
        [readings[row["id"]] for row in counted], counted, weights=weights, seed=config.seed
    )
    scores = {name: Score(calibration.probability(fused), fused) for name, (_, fused) in readings.items()}
    stopping = _learn_stopping(validation if classifier is not None else [*train, *validation], scores, config.seed)
    learned = {row["question_key"] for row in (*teaching, *judged)} | stopping.learned
    return Judgment(fusion, calibration, metrics, stopping.model, stopping.reason, frozenset(learned))


class _Stopping(NamedTuple):
    """When to stop, or why that could not be learned."""

    model: StoppingModel | None
    reason: str | None
    learned: frozenset[str] = frozenset()
    """Keys of the questions that it learned from, those without a labelled answer among them."""


def _learn_stopping(rows: Sequence[Behavior], scores: dict[str, Score], seed: int) -> _Stopping:
    try:
        questions = label_questions(rows, scores).questions
        model = fit_stopping(questions, seed=seed)
    except DataError as error:  # nothing to replay: a DM of single attempts is a DM all the same
        return _Stopping(None, str(error))
    return _Stopping(model, None, frozenset(question.key[0] for question in questions if question.key))


def _evidence(rows: Sequence[Behavior], classifier: "TextClassifier | None") -> list[Evidence]:
    logits = [None] * len(rows) if classifier is None else classifier.logits([to_request(row) for row in rows])
    return [Evidence(logit, row["signals"]) for logit, row in zip(logits, rows, strict=True)]


def fuse_held_out(
    learned: Sequence[Behavior], rows: Sequence[Behavior], evidence: dict[str, Evidence], config: TrainConfig
) -> tuple[Fusion | None, dict[str, Reading]]:
    """The fusion of some rows, and what is read in all: where a question was learned from, by one that left it out."""
    if config.inputs == "text":
        return None, _read(rows, evidence, None)

    def fit(some: Sequence[Behavior], like: Fusion | None = None) -> Fusion:
        return fit_fusion(
            [evidence[row["id"]] for row in some],
            [row["label"] == "correct" for row in some],
            [row["question_key"] for row in some],
            inputs=config.inputs,
            signals=config.signals,
            signs=SIGNAL_SIGNS,
            like=like,
            seed=config.seed,
        )

    fusion = fit(learned)
    readings = _read(rows, evidence, fusion)
    labels = np.array([row["label"] == "correct" for row in learned], dtype=np.float64)
    for fold in grouped_folds(labels, [row["question_key"] for row in learned], seed=config.seed):
        held_out = {unit_of(learned[place]["question_key"]) for place in fold.held_out}
        without = fit([learned[place] for place in fold.fit], fusion)
        readings |= _read([row for row in rows if unit_of(row["question_key"]) in held_out], evidence, without)
    return fusion, readings


def _read(rows: Sequence[Behavior], evidence: dict[str, Evidence], fusion: Fusion | None) -> dict[str, Reading]:
    names = [row["id"] for row in rows]
    return dict(zip(names, read_evidence(fusion, [evidence[name] for name in names]), strict=True))
