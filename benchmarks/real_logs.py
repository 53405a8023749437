"""What the loop is worth on logs of real Reasoners, against adaptive self-consistency at its best setting.

The text classifier is trained once, on questions of its own. The other questions are split again and again: fusion,
calibration and policy are fitted on one part, settings are chosen on a second, and every figure is of the third, over
attempts in logged and in shuffled order. What a stage has made is kept under `--out`, so that an interrupted run goes
on, and scores are kept by content. A GPU is used where there is one.

    python -m benchmarks.real_logs ../shared/data/math_k5.jsonl.gz
    python -m benchmarks.real_logs ../shared/data/sports_k5.jsonl.gz --steps 100
"""

import argparse
import gzip
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.resplits import (
    Standing,
    best_setting,
    calls_ratio,
    frontiers,
    learn,
    oracle,
    questions_of,
    ranking,
    score,
    split,
    stand,
)
from benchmarks.transfer import print_transfer
from benchmarks.vows import print_certificates
from drr_agent.dm.folder import is_dm, load_dm
from drr_agent.dm.fusion import Inputs
from drr_agent.replay.readings import Orders
from drr_agent.replay.resampling import Resampler
from drr_agent.replay.scores import score_rows
from drr_agent.training.behaviors import Behavior, Split
from drr_agent.training.config import TrainConfig
from drr_agent.training.dataset import Dataset
from drr_agent.training.harvest import harvest_dataset
from drr_agent.training.train import train_dm

FRACTIONS: Mapping[Split, float] = {"train": 0.25, "validation": 0.05, "calibration": 0.0, "test": 0.7}
"""Of the questions: the classifier's own, those it is stopped by, and the others, under `test`."""
LEAST_TOKENS = 512
"""Runs that were allowed fewer were cut off before they could be right."""
MOST_TOKENS = 160
"""Of a text, so that a run takes minutes; the end of a long rationale stays."""
PAIRS, BCE = (0.0, 1.0), (1.0, 0.0)
"""Weight of the cross-entropy and of the pairwise loss."""


class Log(NamedTuple):
    """One file of attempts."""

    name: str
    dataset: Dataset
    out: Path
    steps: int

    @property
    def reasoners(self) -> list[str]:
        """Those that made the attempts."""
        return sorted(self.dataset.manifest.reasoners)

    def rows(self, reasoner: str) -> list[Behavior]:
        """The attempts of a Reasoner at the questions that no classifier was trained on."""
        return [row for row in self.dataset.iter_rows("test") if row["reasoner"] == reasoner]

    def logits(self, folder: str, rows: Sequence[Behavior]) -> dict[str, float]:
        """A classifier's logits, by row."""
        scores = score_rows(rows, load_dm(self.out / folder, dtype=torch.bfloat16), cache=self.out / "scores.sqlite")
        return {name: score.text_logit for name, score in scores.items() if score.text_logit is not None}

    def train(self, folder: str, loss: tuple[float, float], *, without: str | None = None) -> None:
        """Train a classifier, unless that is done."""
        if is_dm(self.out / folder):
            return
        rows = [
            [row for row in self.dataset.iter_rows(split) if row["reasoner"] != without]
            for split in ("train", "validation")
        ]
        config = TrainConfig(
            backbone="minilm",
            inputs="text",
            max_length=MOST_TOKENS,
            max_steps=self.steps,
            bce_weight=loss[0],
            pair_weight=loss[1],
            attempts_per_question=4,
            evaluations=6,
            early_stopping_patience=None,
        )
        train_dm(*rows, config=config, out=self.out / folder, resume=True)


def main() -> None:
    """Run every stage and print every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/real_logs"))
    parser.add_argument("--steps", type=int, default=300, help="of each classifier; 0 reads signals alone")
    parser.add_argument("--resplits", type=int, default=5)
    parser.add_argument("--max-turns", type=int, default=8)
    given = parser.parse_args()
    clock = time.monotonic()
    log = collect(given.source, given.out, given.steps)
    everything = {reasoner: log.rows(reasoner) for reasoner in log.reasoners}
    logits = {reasoner: prepare(log, rows) for reasoner, rows in everything.items()}
    print_scores(everything, logits, given.resplits)
    for orders in ("shuffled", "logged"):
        print_standings(everything, logits, given.resplits, orders, given.max_turns)
    print_certificates(everything, {name: found["pairs"] for name, found in logits.items()}, given.max_turns)
    print_transfer(log, everything, {name: found["pairs"] for name, found in logits.items()}, given.max_turns)
    print(f"\n{os.cpu_count()} cores, {(time.monotonic() - clock) / 60:.0f} minutes, {given.steps} steps of 32 rows")


def collect(source: Path, out: Path, steps: int) -> Log:
    """The file as a dataset; says what came in and what did not."""
    name = source.name.split(".")[0]
    kept = out / name / "attempts.jsonl"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(
            line for line in _lines(source) if (json.loads(line).get("max_tokens") or LEAST_TOKENS) >= LEAST_TOKENS
        )
        kept.write_text(text, encoding="utf-8")
    dataset, (record,) = harvest_dataset([kept], out / name / "data", fractions=dict(FRACTIONS))
    print(f"## {name}\n\n{record.read} read, {record.kept} kept, dropped {record.dropped or 'none'}", flush=True)
    return Log(name, dataset, out / name, steps)


def _lines(source: Path) -> Iterable[str]:
    with gzip.open(source, "rt", encoding="utf-8") as file:
        yield from file


def prepare(log: Log, rows: Sequence[Behavior]) -> dict[str, dict[str, float]]:
    """Logits of the classifier trained on pairs and of the paper's, trained by cross-entropy; none without steps."""
    if not log.steps:
        return {"pairs": {}, "bce": {}}
    log.train("pairs", PAIRS)
    log.train("bce", BCE)
    few = split(rows, 0)  # one resplit is enough for a rule that is not even tuned
    return {"pairs": log.logits("pairs", rows), "bce": log.logits("bce", few["calibration"] + few["test"])}


def print_scores(
    everything: Mapping[str, list[Behavior]], logits: Mapping[str, dict[str, dict[str, float]]], resplits: int
) -> None:
    """What the score of one attempt is worth, agreement left out."""
    print("\n| Reasoner | score of | within-question AUROC | ECE |\n|---|---|---|---|", flush=True)
    for reasoner, rows in everything.items():
        text = logits[reasoner]["pairs"]
        kinds: tuple[Inputs, ...] = ("text", "signals", "both") if text else ("signals",)
        for kind in kinds:
            found = [_ranking(rows, text, kind, seed) for seed in range(resplits)]
            auroc, error = np.mean(found, axis=0)
            print(f"| {reasoner} | {kind} | {auroc:.3f} | {error:.3f} |", flush=True)


def _ranking(rows: Sequence[Behavior], text: Mapping[str, float], kind: Inputs, seed: int) -> tuple[float, float]:
    parts = split(rows, seed)
    found = ranking(parts["test"], score(parts, text, kind)[1])
    return found[0] or np.nan, found[1] or np.nan


def print_standings(
    everything: Mapping[str, list[Behavior]],
    logits: Mapping[str, dict[str, dict[str, float]]],
    resplits: int,
    orders: Orders,
    max_turns: int,
) -> None:
    """Calls to reach the accuracy of adaptive self-consistency, and right answers more at its calls."""
    print(
        f"\nAttempts in {orders} order\n\n| Reasoner | policy | first attempt | oracle | adaptive at its best | "
        "calls to reach that ÷ its calls | points more at its calls (95 %) | of the way to the oracle |"
        "\n|---|---|---|---|---|---|---|---|"
    )
    for reasoner, rows in everything.items():
        found = [_standings(rows, seed, logits[reasoner], orders, max_turns) for seed in range(resplits)]
        for policy in found[0][1]:
            _print_standing(reasoner, policy, [(base, named[policy]) for base, named in found if policy in named])


Base = tuple[float, float]
"""Accuracy of first attempts, and of the oracle."""


def _standings(
    rows: Sequence[Behavior], seed: int, logits: Mapping[str, dict[str, float]], orders: Orders, max_turns: int
) -> tuple[Base, dict[str, Standing]]:
    parts = split(rows, seed)
    kinds: dict[str, tuple[str, Inputs]] = {"signals alone": ("pairs", "signals")}
    if logits["pairs"]:
        kinds |= {"text and signals": ("pairs", "both"), "text alone": ("pairs", "text")}
    found: dict[str, Standing] = {}
    base = (np.nan, np.nan)
    for name, (loss, kind) in kinds.items():
        _, scores = score(parts, logits[loss], kind)
        tuned = frontiers(
            questions_of(parts["fit"] + parts["calibration"], {}), None, orders=orders, max_turns=max_turns
        )
        questions = questions_of(parts["test"], scores)
        tried = frontiers(questions, learn(parts, scores), orders=orders, max_turns=max_turns)
        setting = tuned["adaptive"].settings[best_setting(tuned["adaptive"])]
        place = int(np.argmin(np.abs(np.array(tried["adaptive"].settings) - setting)))
        found[f"stopping, {name}"] = stand(tried["stopping"], tried["adaptive"], place)
        found[f"threshold, {name}"] = stand(tried["threshold"], tried["adaptive"], place)
        single = [question.labels[0] == "correct" for question in questions]
        base = (float(np.mean(single)), oracle(questions))
    if logits["bce"] and seed == 0:
        _, scores = score({**parts, "fit": []}, logits["bce"], "text")
        tried = frontiers(questions_of(parts["test"], scores), None, orders=orders, max_turns=max_turns)
        found["the paper's: cross-entropy, threshold"] = stand(tried["threshold"], tried["adaptive"], place)
    return base, found


def _print_standing(reasoner: str, policy: str, found: Sequence[tuple[Base, Standing]]) -> None:
    first, top = np.mean([base for base, _ in found], axis=0)
    standings = [standing for _, standing in found]
    accuracy = float(np.mean([standing.rival_accuracy for standing in standings]))
    calls = float(np.mean([standing.rival_calls for standing in standings]))
    ratio = calls_ratio(standings)
    bounds = [Resampler(units=len(s.gain)).ratio(s.gain, np.ones(len(s.gain))) for s in standings]
    gain, low, high = (float(np.mean([getattr(b, end) for b in bounds])) for end in ("mean", "low", "high"))
    shown = f"{ratio:.2f}" if np.isfinite(ratio) else "not reached"
    print(
        f"| {reasoner} | {policy} | {first:.3f} | {top:.3f} | {accuracy:.3f} at {calls:.2f} | {shown} | "
        f"{100 * gain:+.2f} ({100 * low:+.2f} to {100 * high:+.2f}) | {gain / (top - accuracy):.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
