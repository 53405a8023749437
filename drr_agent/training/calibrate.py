"""Calibrate: probabilities at the base rate that a DM will meet, with the numbers to believe them by."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from drr_agent.dm.calibration import Calibration, apply_calibration, fit_calibration, log_loss
from drr_agent.dm.folder import load_dm, read_manifest, update_manifest
from drr_agent.dm.learned import add_questions, calibrated_lines
from drr_agent.dm.manifest import Metrics
from drr_agent.dm.models import Reading, SignalDM, TransformersDM
from drr_agent.evaluation.metrics import auroc, brier, ece, within_question_auroc
from drr_agent.training.behaviors import Behavior, Split, is_labelled, to_request
from drr_agent.training.dataset import Dataset, require_both_classes
from drr_agent.training.labels import label_kind
from drr_agent.training.weights import weigh_rows

_BATCH = 256
"""Rows between two moves of the progress bar."""


def calibrate_dm(
    path: Path | str, rows: Sequence[Behavior], *, split: str = "calibration", seed: int = 0, progress: bool = True
) -> Metrics:
    """Fit a DM's calibration anew and store it, with its metrics, in the folder.

    Consensus parameters and certificates that belong to the old scores are removed.

    Args:
        path: a DM folder.
        rows: behaviors at the base rate of live use, which the DM was not trained on. Those without an answer or a
            label are left out. What runs explored stands for what their policy cut off; see
            `drr_agent.training.weights.weigh_rows`.
        split: the name to store the metrics under.
        seed: of the folds.
        progress: show a bar.

    Returns:
        `rows`, `base_rate`, `log_loss` (nats), `ece`, `brier`, `auroc` and `within_question_auroc` of the score, and
        `text_auroc` and `text_within_question_auroc` of the classifier alone. Base rate and log loss are weighted, the
        others are not. The probabilities measured are those of the folds that left a row's question out, where there
        are questions enough. `judged_share` is the share of the labels that are an LLM judge's, whose errors become
        the DM's.

    Raises:
        DMError: there is no DM at `path`, or it gives logits that are not finite.
        DataError: the rows have one class only.
    """
    weights = weigh_rows(rows)
    known = [row for row in rows if is_labelled(row) and weights[row["id"]] > 0]
    require_both_classes(known, what=f"the {split} rows")
    readings = list(_read(load_dm(path), known, progress=progress))
    calibration, metrics = calibrate_readings(readings, known, weights=weights, seed=seed)
    metrics["judged_share"] = sum(_is_by_judge(row) for row in known) / len(known)
    stored = {**read_manifest(path).metrics, split: metrics}
    add_questions(Path(path), calibrated_lines(row["question_key"] for row in known))
    update_manifest(
        Path(path), calibration=calibration, calibrated_on=split, metrics=stored, consensus=None, certificates=()
    )
    return metrics


def calibrate_on(
    path: Path | str, dataset: Dataset, *, split: Split = "calibration", seed: int = 0, progress: bool = True
) -> Metrics:
    """`calibrate_dm` on a split of a dataset; weak labels never calibrate."""
    return calibrate_dm(path, dataset.rows(split), split=split, seed=seed, progress=progress)


def calibrate_readings(
    readings: Sequence[Reading], rows: Sequence[Behavior], *, weights: Mapping[str, float], seed: int
) -> tuple[Calibration, Metrics]:
    """A calibration for what a DM read in some labelled rows, and the metrics of `calibrate_dm`.

    Args:
        readings: one a row.
        rows: labelled.
        weights: of each row by its id, above 0; see `weigh_rows`.
        seed: of the folds.
    """
    labels = [row["label"] == "correct" for row in rows]
    fused = [reading.fused for reading in readings]
    keys, counts = [row["question_key"] for row in rows], [weights[row["id"]] for row in rows]
    calibration, held_out = fit_calibration(fused, labels, keys, weights=counts, seed=seed)
    scores = apply_calibration(calibration, fused)
    probabilities = scores if held_out is None else held_out
    metrics: Metrics = {
        "rows": float(len(rows)),
        "base_rate": float(np.average(labels, weights=counts)),
        "log_loss": log_loss(probabilities, labels, counts),
        "ece": ece(probabilities, labels),
        "brier": brier(probabilities, labels),
        **ranking(scores.tolist(), rows),
    }
    texts = [reading.logit for reading in readings if reading.logit is not None]
    if len(texts) == len(rows):
        metrics |= {f"text_{name}": value for name, value in ranking(texts, rows).items()}
    return calibration, metrics


def ranking(scores: Sequence[float], rows: Sequence[Behavior]) -> Metrics:
    """`auroc`, and `within_question_auroc` over attempts at one question by one Reasoner; `None` without pairs."""
    labels = [row["label"] == "correct" for row in rows]
    attempts = [(row["question_key"], row["reasoner"]) for row in rows]
    return {
        "auroc": auroc(scores, labels),
        "within_question_auroc": within_question_auroc(scores, labels, attempts),
    }


def _is_by_judge(row: Behavior) -> bool:
    """Whether what counts of a row's labels is the word of an LLM judge."""
    return label_kind(row["label_source"] or "") == "judge"


def _read(dm: TransformersDM | SignalDM, rows: Sequence[Behavior], *, progress: bool) -> Iterator[Reading]:
    with tqdm(total=len(rows), desc="score", unit="row", disable=None if progress else True) as bar:
        for start in range(0, len(rows), _BATCH):
            batch = [to_request(row) for row in rows[start : start + _BATCH]]
            yield from dm.read(batch)
            bar.update(len(batch))
