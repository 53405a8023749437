"""One log, split again and again: what the parts of a DM and its policies come to on questions they never saw.

Fusion and policy are fitted on one part of the questions, settings are chosen on another, which recalibrates, too, and
figures are of the third.
"""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from drr_agent.dm.calibration import apply_calibration, fit_calibration
from drr_agent.dm.fusion import Evidence, Fusion, Inputs
from drr_agent.dm.models import read_evidence
from drr_agent.dm.protocol import Score
from drr_agent.evaluation.metrics import ece, within_question_auroc
from drr_agent.questions import unit_of
from drr_agent.stopping import StoppingModel
from drr_agent.training.behaviors import Behavior, is_labelled
from drr_agent.training.config import TrainConfig
from drr_agent.training.fusing import fuse_held_out
from drr_agent.training.logged import LabelledQuestion, label_questions
from drr_agent.training.paths import tabulate
from drr_agent.training.stopping import fit_stopping
from drr_agent.training.worth import recalibrate

SHARES = {"fit": 0.4, "calibration": 0.2, "test": 0.4}


def part_of(key: str, seed: int, shares: Mapping[str, float] = SHARES) -> str:
    """The part of a question under a seed; those nearly the same go together."""
    position = int(hashlib.sha256(f"{seed}:{unit_of(key)}".encode()).hexdigest()[:8], 16) / 2**32
    for name, share in shares.items():
        position -= share
        if position < 0:
            return name
    return list(shares)[-1]


def split(rows: Sequence[Behavior], seed: int, shares: Mapping[str, float] = SHARES) -> dict[str, list[Behavior]]:
    """The rows by part."""
    parts: dict[str, list[Behavior]] = {name: [] for name in shares}
    for row in rows:
        parts[part_of(row["question_key"], seed, shares)].append(row)
    return parts


def score(
    parts: Mapping[str, list[Behavior]], logits: Mapping[str, float], inputs: Inputs, taught: Sequence[Behavior] = ()
) -> tuple[Fusion | None, dict[str, Score]]:
    """Fuse on `fit`, calibrate there and on `calibration`, and score everything: `fit` by fusions that left it out.

    `taught` are attempts that the classifier was trained on: they teach signals, and not what its logits are worth.
    """
    rows = [row for part in parts.values() for row in part if row["answer"] is not None]
    evidence = {row["id"]: Evidence(logits.get(row["id"]), row["signals"]) for row in (*taught, *rows)}
    heard = [row for row in parts["fit"] if is_labelled(row)]
    learned = [*(row for row in taught if is_labelled(row)), *heard]
    fusion, readings = fuse_held_out(learned, heard, rows, evidence, TrainConfig(inputs=inputs))
    known = [row for row in (*parts["fit"], *parts["calibration"]) if is_labelled(row)]
    found = fit_calibration(
        [readings[row["id"]].fused for row in known],
        [row["label"] == "correct" for row in known],
        [row["question_key"] for row in known],
    )
    names = list(readings)
    probabilities = apply_calibration(found.calibration, [readings[name].fused for name in names])
    return fusion, {
        name: Score(float(p), readings[name].fused, text_logit=readings[name].logit)
        for name, p in zip(names, probabilities, strict=True)
    }


def rescore(fusion: Fusion, rows: Sequence[Behavior]) -> dict[str, Score]:
    """Scores of signals by a fusion that was fitted elsewhere, uncalibrated."""
    answered = [row for row in rows if row["answer"] is not None]
    found = read_evidence(fusion, [Evidence(None, row["signals"]) for row in answered])
    return {
        row["id"]: Score(float(1 / (1 + np.exp(-np.clip(reading.fused, -50, 50)))), reading.fused)
        for row, reading in zip(answered, found, strict=True)
    }


def ranking(rows: Sequence[Behavior], scores: Mapping[str, Score]) -> tuple[float | None, float | None]:
    """Within-question AUROC and ECE."""
    known = [row for row in rows if is_labelled(row)]
    values, labels = [scores[row["id"]].score for row in known], [row["label"] == "correct" for row in known]
    logits = [scores[row["id"]].logit or 0.0 for row in known]
    return within_question_auroc(logits, labels, [row["question_key"] for row in known]), ece(values, labels)


def questions_of(rows: Sequence[Behavior], scores: Mapping[str, Score]) -> list[LabelledQuestion]:
    """Scored attempts by question."""
    return label_questions(rows, scores).questions


def learn(parts: Mapping[str, list[Behavior]], scores: Mapping[str, Score]) -> StoppingModel:
    """When to stop, from `fit`, recalibrated on `calibration`."""
    model = fit_stopping(questions_of(parts["fit"], scores))
    table = tabulate(questions_of(parts["calibration"], scores))
    return model.model_copy(update={"answers": recalibrate(model.answers, table)})


def oracle(questions: Sequence[LabelledQuestion]) -> float:
    """Share of the questions with any right attempt."""
    return float(np.mean([any(label == "correct" for label in question.labels) for question in questions]))


class Study(NamedTuple):
    """A Reasoner's attempts in one resplit, with what each kind of DM says of them."""

    parts: Mapping[str, list[Behavior]]
    scores: Mapping[Inputs, dict[str, Score]]
    models: Mapping[Inputs, StoppingModel]

    @property
    def best(self) -> Inputs:
        """The kind that reads most."""
        return "both" if "both" in self.scores else "signals"


def study(
    rows: Sequence[Behavior], text: Mapping[str, float], resplits: int, taught: Sequence[Behavior] = ()
) -> list[Study]:
    """Fit every kind of DM on each resplit, signals alone on the attempts that the classifier was trained on, too."""
    kinds: tuple[Inputs, ...] = ("text", "signals", "both") if text else ("signals",)
    found = []
    for seed in range(resplits):
        parts = split(rows, seed)
        scores: dict[Inputs, dict[str, Score]] = {}
        models: dict[Inputs, StoppingModel] = {}
        for kind in kinds:
            learned = {**parts, "fit": [*taught, *parts["fit"]]} if kind == "signals" else parts
            scores[kind] = score(learned, text, kind, taught if kind == "both" else ())[1]
            models[kind] = learn(learned, scores[kind])
        found.append(Study(parts, scores, models))
        print(f"resplit {seed + 1} of {resplits}, {rows[0]['reasoner']}", file=sys.stderr, flush=True)
    return found
