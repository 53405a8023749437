"""What the loop is worth on logs of real Reasoners, against adaptive self-consistency at its best setting.

The text classifier is trained once, on questions of its own, which teach signals, too. The other questions are split
again and again: fusion, calibration and policy are fitted on one part, settings are chosen on a second, and every
figure is of the third, over attempts in logged and in shuffled order. What a stage has made is kept under `--out`, so
that an interrupted run goes on, and scores are kept by content. A GPU is used where there is one.

    python -m benchmarks.real_logs ../shared/data/math_k5.jsonl.gz
    python -m benchmarks.real_logs ../shared/data/sports_k5.jsonl.gz --steps 100
"""

import argparse
import gzip
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.resplits import Study, oracle, questions_of, ranking, score, split, study
from benchmarks.standings import Standing, frontiers, stand, summarize
from benchmarks.transfer import print_transfer
from benchmarks.verdicts import print_verdicts
from benchmarks.vows import print_certificates
from drr_agent.dm.folder import is_dm, load_dm
from drr_agent.dm.fusion import Inputs
from drr_agent.errors import DataError
from drr_agent.replay.readings import Orders
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

    def rows(self, reasoner: str, splits: Sequence[Split] = ("test",)) -> list[Behavior]:
        """The attempts of a Reasoner; by default at the questions that no classifier was trained on."""
        return [row for split in splits for row in self.dataset.iter_rows(split) if row["reasoner"] == reasoner]

    def logits(self, folder: str, rows: Sequence[Behavior]) -> dict[str, float]:
        """A classifier's logits, by row."""
        scores = score_rows(rows, load_dm(self.out / folder, dtype=torch.bfloat16), cache=self.out / "scores.sqlite")
        return {name: score.text_logit for name, score in scores.items() if score.text_logit is not None}

    def train(self, folder: str, loss: tuple[float, float], *, named: bool = False) -> None:
        """Train a classifier, unless that is done.

        Args:
            folder: where to.
            loss: weight of the cross-entropy and of the pairwise loss.
            named: whether it reads the Reasoner's name: each gives itself away in a way of its own.
        """
        if is_dm(self.out / folder):
            return
        rows = [list(self.dataset.iter_rows(split)) for split in ("train", "validation")]
        config = TrainConfig(
            backbone="minilm",
            inputs="text",
            max_length=MOST_TOKENS,
            max_steps=self.steps,
            bce_weight=loss[0],
            pair_weight=loss[1],
            attempts_per_question=4,
            reasoner_input=named,
            cross_reasoner=not named,
            evaluations=4,
            early_stopping_patience=None,
        )
        train_dm(*rows, config=config, out=self.out / folder, resume=True)


def main() -> None:
    """Run every stage and print every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/real_logs"))
    parser.add_argument("--steps", type=int, default=120, help="of each classifier; 0 reads signals alone")
    parser.add_argument("--resplits", type=int, default=5)
    parser.add_argument("--max-turns", type=int, default=8)
    given = parser.parse_args()
    clock = time.monotonic()
    log = collect(given.source, given.out, given.steps)
    everything = {reasoner: log.rows(reasoner) for reasoner in log.reasoners}
    logits = {reasoner: prepare(log, rows) for reasoner, rows in everything.items()}
    texts = {reasoner: found["pairs"] for reasoner, found in logits.items()}
    taught = {reasoner: log.rows(reasoner, ("train", "validation")) for reasoner in log.reasoners}
    studies = dict(study_all(everything, texts, given.resplits, taught))
    print_scores(studies)
    for orders in ("shuffled", "logged"):
        print_standings(studies, {name: found["bce"] for name, found in logits.items()}, orders, given.max_turns)
    print_verdicts(studies, given.max_turns)
    print_certificates(studies, given.max_turns)
    print_transfer(everything, studies, given.max_turns)
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
    log.train("pairs", PAIRS, named=True)
    log.train("bce", BCE)
    few = split(rows, 0)  # one resplit is enough for a rule that is not even tuned
    return {"pairs": log.logits("pairs", rows), "bce": log.logits("bce", few["calibration"] + few["test"])}


def study_all(
    everything: Mapping[str, list[Behavior]],
    texts: Mapping[str, dict[str, float]],
    resplits: int,
    taught: Mapping[str, list[Behavior]],
) -> Iterator[tuple[str, list[Study]]]:
    """The studies of every Reasoner that a log says enough of."""
    for reasoner, rows in everything.items():
        try:
            yield reasoner, study(rows, texts[reasoner], resplits, taught[reasoner])
        except DataError as error:
            print(f"\n{reasoner} is left out: {error}", flush=True)


def print_scores(studies: Mapping[str, Sequence[Study]]) -> None:
    """What the score of one attempt is worth, agreement left out."""
    print("\n| Reasoner | score of | within-question AUROC | ECE |\n|---|---|---|---|")
    for reasoner, found in studies.items():
        for kind in found[0].scores:
            each = [ranking(one.parts["test"], one.scores[kind]) for one in found]
            auroc, error = np.mean(np.array(each, dtype=float), axis=0)
            print(f"| {reasoner} | {kind} | {auroc:.3f} | {error:.3f} |", flush=True)


NAMES: Mapping[Inputs, str] = {"signals": "signals alone", "both": "text and signals", "text": "text alone"}


def print_standings(
    studies: Mapping[str, Sequence[Study]], bce: Mapping[str, dict[str, float]], orders: Orders, max_turns: int
) -> None:
    """Calls to reach the accuracy of adaptive self-consistency, and right answers more at its calls."""
    print(
        f"\nAttempts in {orders} order; × is calls over those of adaptive self-consistency\n\n"
        "| Reasoner | policy | first attempt | oracle | adaptive at its best | as accurate: × (points more) | "
        "in hindsight × | as dear: points more (95 %) at × | of the way to the oracle |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    for reasoner, found in studies.items():
        standings = [_standings(one, orders, max_turns) for one in found]
        if bce[reasoner]:
            standings[0] |= _paper(found[0].parts, bce[reasoner], orders, max_turns)
        for policy in standings[0]:
            _print_standing(reasoner, policy, found, [named[policy] for named in standings if policy in named])


def _standings(given: Study, orders: Orders, max_turns: int) -> dict[str, Standing]:
    found: dict[str, Standing] = {}
    for kind, scores in given.scores.items():
        tried = frontiers(given.parts, scores, given.models[kind], orders=orders, max_turns=max_turns)
        found |= {f"{rule}, {NAMES[kind]}": stand(tried[rule], tried["adaptive"]) for rule in ("stopping", "threshold")}
    return found


def _paper(
    parts: Mapping[str, list[Behavior]], logits: Mapping[str, float], orders: Orders, max_turns: int
) -> dict[str, Standing]:
    """The paper's form: cross-entropy, and a threshold on the score of the latest attempt."""
    few = {**parts, "fit": []}  # its classifier is fitted elsewhere; what is left is to calibrate and to choose
    _, scores = score(few, logits, "text")
    tried = frontiers(few, scores, None, orders=orders, max_turns=max_turns)
    return {"the paper's: cross-entropy, threshold": stand(tried["threshold"], tried["adaptive"])}


def _print_standing(reasoner: str, policy: str, found: Sequence[Study], standings: Sequence[Standing]) -> None:
    tests = [questions_of(one.parts["test"], {}) for one in found]
    first = np.mean([np.mean([question.labels[0] == "correct" for question in test]) for test in tests])
    top = float(np.mean([oracle(test) for test in tests]))
    summary = summarize(standings)
    rival, (gain, low, high) = summary.rival, summary.gain
    hindsight = f"{summary.hindsight_ratio:.2f}" if np.isfinite(summary.hindsight_ratio) else "not reached"
    print(
        f"| {reasoner} | {policy} | {first:.3f} | {top:.3f} | {rival.accuracy:.3f} at {rival.calls:.2f} | "
        f"{summary.calls_ratio:.2f} ({100 * summary.accuracy_there:+.2f} points) | {hindsight} | "
        f"{100 * gain:+.2f} ({100 * low:+.2f} to {100 * high:+.2f}) at {summary.cost_there:.2f} | "
        f"{gain / (top - rival.accuracy):.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
