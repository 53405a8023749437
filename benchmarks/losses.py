"""Cross-entropy against pairs: what a small encoder learns from real logs, told by where it ranks.

Both trainings start from the same MiniLM, see the same rows in as many steps, and are judged on the questions of the
test split, which neither training, early stopping nor fusion has seen. AUROC mixes "which questions are hard" with
"which attempt is right"; within-question AUROC is the second alone, and the one that a loop can use.

    python -m benchmarks.losses ../shared/data/math_k5.jsonl.gz --where model=gemma-2-2b-it
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from drr_agent.dm.folder import is_dm, load_dm
from drr_agent.evaluation.metrics import auroc, within_question_auroc
from drr_agent.training.behaviors import Behavior, Split, to_request
from drr_agent.training.config import TrainConfig
from drr_agent.training.dataset import Dataset
from drr_agent.training.harvest import harvest_dataset
from drr_agent.training.train import train_dm

LOSSES = {"BCE": (1.0, 0.0), "pairs": (0.0, 1.0), "BCE and pairs": (1.0, 1.0)}
"""Weight of the cross-entropy and of the pairwise loss."""

_FRACTIONS: dict[Split, float] = {"train": 0.45, "validation": 0.1, "calibration": 0.1, "test": 0.35}
"""Few steps need few rows to train on, and a narrow interval needs many to test on."""


def main() -> None:
    """Harvest, train each loss, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--where", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("runs/losses"))
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    dataset = collect(given.source, given.where, given.out / "dataset")
    print("\n| loss | AUROC | within-question AUROC (95 %) |")
    print("|---|---|---|", flush=True)
    for name, weights in LOSSES.items():
        folder = given.out / f"{name.replace(' ', '-').lower()}-{given.steps}-{given.seed}"
        train(dataset, folder, weights, steps=given.steps, seed=given.seed)
        print(f"| {name} | {measure(dataset.labelled('test'), folder)} |", flush=True)
    print(f"\n{os.cpu_count()} cores, batches of 32, {given.steps} steps each, seed {given.seed}")


def collect(source: Path, where: Sequence[str], folder: Path) -> Dataset:
    """The source as a dataset; says what came in and what did not."""
    dataset, (record,) = harvest_dataset([source], folder, fractions=_FRACTIONS, where=where)
    print(f"{record.read} read, {record.filtered} filtered out, {record.kept} kept, dropped {record.dropped or 'none'}")
    for name, counts in dataset.manifest.splits.items():
        print(f"{name}: {counts.questions} questions, {counts.rows} rows, {counts.correct} right")
    return dataset


def train(dataset: Dataset, folder: Path, weights: tuple[float, float], *, steps: int, seed: int) -> None:
    """One loss; a finished training is not done again, a broken one goes on."""
    if is_dm(folder):
        return
    bce, pairs = weights
    config = TrainConfig(
        backbone="minilm",
        inputs="text",
        max_length=192,
        max_steps=steps,
        bce_weight=bce,
        pair_weight=pairs,
        evaluations=3,
        early_stopping_patience=None,
        seed=seed,
    )
    validation = dataset.labelled("validation")[:800]  # whole questions but the last; enough to choose a checkpoint by
    train_dm(dataset.labelled("train"), validation, config=config, out=folder, resume=True)


def measure(rows: Sequence[Behavior], folder: Path) -> str:
    """AUROC and within-question AUROC with its interval, bootstrapped over questions."""
    dm = load_dm(folder)
    scores = np.array([score.score for score in dm.score([to_request(row) for row in rows])])
    labels = np.array([row["label"] == "correct" for row in rows])
    questions = np.array([row["question_key"] for row in rows])
    low, high = np.quantile(_resampled(scores, labels, questions), [0.025, 0.975])
    within = within_question_auroc(scores, labels, questions)
    return f"{auroc(scores, labels):.3f} | {within:.3f} ({low:.3f} to {high:.3f})"


def _resampled(scores: np.ndarray, labels: np.ndarray, questions: np.ndarray, *, resamples: int = 200) -> list[float]:
    """Within-question AUROC over questions drawn with replacement."""
    generator = np.random.default_rng(0)
    places = {key: np.flatnonzero(questions == key) for key in np.unique(questions)}
    keys = list(places)
    values = []
    for _ in range(resamples):
        drawn = [places[keys[index]] for index in generator.integers(len(keys), size=len(keys))]
        groups = np.repeat(np.arange(len(drawn)), [len(rows) for rows in drawn])
        chosen = np.concatenate(drawn)
        value = within_question_auroc(scores[chosen], labels[chosen], groups)
        values += [] if value is None else [value]
    return values


if __name__ == "__main__":
    main()
