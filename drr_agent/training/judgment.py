"""From what is read of each attempt to what the DM says of it: fusion, calibration, and when to stop.

Signals learn from the training split. So did the text classifier, and its logits are weighed beside theirs on
validation, where they are as uncertain as live. What is learned on top of the fusion, the calibration and when to stop,
sees each row with the logit of a fusion that was fitted without its question.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from drr_agent.dm.calibration import Calibration
from drr_agent.dm.fusion import Evidence, Fusion
from drr_agent.dm.manifest import Metrics
from drr_agent.dm.protocol import Score
from drr_agent.errors import DataError
from drr_agent.stopping import StoppingModel
from drr_agent.training.behaviors import Behavior, is_labelled, to_request
from drr_agent.training.calibrate import calibrate_readings
from drr_agent.training.config import TrainConfig
from drr_agent.training.fusing import fuse_held_out
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
    logged = [*train, *validation] if classifier is None else validation  # what is read as it would be live
    runs = [row for row in logged if row["answer"] is not None]
    judged = [row for row in validation if is_labelled(row)]
    evidence = {row["id"]: Evidence(None, row["signals"]) for row in teaching} | _read_texts(runs, classifier)
    fusion, readings = fuse_held_out(teaching, judged, runs, evidence, config)
    weights = weigh_rows(validation)
    counted = [row for row in judged if weights[row["id"]] > 0]
    calibration, metrics = calibrate_readings(
        [readings[row["id"]] for row in counted], counted, weights=weights, seed=config.seed
    )
    scores = {name: Score(calibration.probability(fused), fused) for name, (_, fused) in readings.items()}
    stopping = _learn_stopping(logged, scores, config.seed)
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


def _read_texts(rows: Sequence[Behavior], classifier: "TextClassifier | None") -> dict[str, Evidence]:
    logits = [None] * len(rows) if classifier is None else classifier.logits([to_request(row) for row in rows])
    return {row["id"]: Evidence(logit, row["signals"]) for logit, row in zip(logits, rows, strict=True)}
