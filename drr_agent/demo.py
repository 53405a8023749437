"""drr demo: the whole path once, offline, with the Reasoner that ships.

Distill its attempts at generated questions, harvest them into a dataset, train and calibrate a DM on it, and compare
the loop with what one would use instead, on questions that nothing here has seen. Each stage leaves its files in the
run folder and is not done twice: an interrupted demo goes on where it stopped.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from langchain_core.language_models import BaseChatModel

from drr_agent.dm.folder import is_dm, load_dm, read_manifest
from drr_agent.dm.protocol import DiscriminativeModel, Score, ScoreRequest
from drr_agent.errors import ConfigError
from drr_agent.evaluation.evaluate import EvaluateConfig, evaluate
from drr_agent.evaluation.report import Report, write_report
from drr_agent.evaluation.strategies import Strategy
from drr_agent.graphs import create_drr_graph
from drr_agent.graphs.drr import DRRGraph
from drr_agent.policy import ThresholdPolicy
from drr_agent.reasoners import create_reasoner
from drr_agent.reasoners.word_problems import generate
from drr_agent.training.behaviors import Split
from drr_agent.training.calibrate import calibrate_dm
from drr_agent.training.config import TrainConfig
from drr_agent.training.dataset import Dataset
from drr_agent.training.distill import distill
from drr_agent.training.harvest import harvest_dataset
from drr_agent.training.threshold import calibrate_consensus
from drr_agent.training.train import train_on
from drr_agent.training.worth import calibrate_stopping

_FRACTIONS: dict[Split, float] = {"train": 0.6, "validation": 0.15, "calibration": 0.25}
"""The test questions are generated afresh, so none of the logged ones are kept back."""

_PARTS = {
    "signals alone": ("dm-signals", None),
    "log probabilities alone": ("dm-logprobs", ("logprob_mean", "logprob_min", "logprob_sum")),
}
"""DMs whose scores stand beside the DM's: the folder, and the signals that it reads (`None` for all)."""


@dataclass(frozen=True)
class _Calculator:
    """A judge without training, for comparison: right unless a calculation does not add up."""

    digest: str = "arithmetic"

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        return [Score(0.0 if request.signals.get("arithmetic_errors") else 1.0) for request in requests]


def _by_rule(max_turns: int) -> Strategy:
    """The loop with the calculator as its judge."""

    def create(reasoner: BaseChatModel, dm: DiscriminativeModel | None) -> DRRGraph:  # noqa: ARG001 - its own judge
        return create_drr_graph(reasoner, _Calculator(), policy=ThresholdPolicy(), max_turns=max_turns, name="by_rule")

    return Strategy(name="rule", setting="again while a calculation is wrong", create=create)


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """How much the demo does."""

    questions: int = 480
    """Questions to distill from."""
    attempts: int = 8
    """Independent attempts at each."""
    fresh: int = 440
    """Questions to compare on."""
    max_turns: int = 8
    seed: int = 20250101
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            backbone="pocket", max_length=256, epochs=2.0, batch_size=32, learning_rate=3e-4, evaluations=4
        )
    )
    progress: bool = True


def run_demo(out: Path, *, config: DemoConfig | None = None, say: Callable[[str], None] = print) -> Report:
    """Walk the whole path and write `runs.jsonl`, `dataset/`, `dm/`, `report.json` and `report.html` under `out`.

    Args:
        out: the run folder; what a stage left there is used again.
        config: how much to do.
        say: hears what is happening, a line at a time.
    """
    config = DemoConfig() if config is None else config
    clock = time.monotonic()
    dataset = _collect(out, config, say)
    _train(out, dataset, config, say)
    report = _compare(out, dataset, config, say)
    whole = report.model_copy(update={"timings": {**report.timings, "everything": round(time.monotonic() - clock, 1)}})
    write_report(whole, out)
    return whole


def _collect(out: Path, config: DemoConfig, say: Callable[[str], None]) -> Dataset:
    """Distill and harvest."""
    log = out / "runs.jsonl"
    say(f"distill: {config.questions} questions, {config.attempts} attempts each → {log}")
    samples = generate(config.questions, seed=config.seed)
    reasoner = create_reasoner("pocket", logprobs=True)
    distill(reasoner, samples, log=log, attempts=config.attempts, concurrency=256, progress=config.progress)
    folder = out / "dataset"
    dataset, _ = harvest_dataset([log], folder, fractions=_FRACTIONS, progress=config.progress)
    counts = ", ".join(f"{name} {split.rows}" for name, split in dataset.manifest.splits.items() if split.rows)
    say(f"harvest: {dataset.manifest.count} behaviors ({counts}) → {folder}")
    return dataset


def _train(out: Path, dataset: Dataset, config: DemoConfig, say: Callable[[str], None]) -> None:
    """Train and calibrate the DM, and parts of it to set beside it."""
    train = replace(config.train, progress=config.progress)
    _train_one(out / "dm", dataset, train, say)
    for folder, signals in _PARTS.values():
        _train_one(out / folder, dataset, replace(train, inputs="signals", signals=signals), say)
    rows = dataset.rows("calibration")
    chosen = calibrate_consensus(out / "dm", rows, max_turns=config.max_turns)
    say(
        f"calibrate: accept at {chosen.policy.threshold:g}, "
        f"{chosen.accuracy:.3f} right at {chosen.mean_calls:.2f} calls on the questions it was chosen on"
    )
    stopping = calibrate_stopping(out / "dm", rows, max_turns=config.max_turns)
    if stopping is not None:
        say(
            f"calibrate: a right answer is worth {stopping.worth:g} calls, "
            f"{stopping.accuracy:.3f} right at {stopping.mean_calls:.2f} calls on the same questions"
        )


def _train_one(folder: Path, dataset: Dataset, config: TrainConfig, say: Callable[[str], None]) -> None:
    if not is_dm(folder):
        say(f"train: {config.inputs} → {folder}")
        train_on(dataset, config=config, out=folder, resume=True)
    made = read_manifest(folder)
    if made.dataset_digest != dataset.digest:
        raise ConfigError(
            f"expected a DM trained on dataset {dataset.digest} at {str(folder)!r}, got one of another dataset; "
            "give the demo another folder"
        )
    if made.calibrated_on != "calibration":
        calibrate_dm(folder, dataset.labelled("calibration"))
    else:
        say(f"train: there is a DM at {folder}")


def _compare(out: Path, dataset: Dataset, config: DemoConfig, say: Callable[[str], None]) -> Report:
    """Every strategy on fresh questions."""
    say(f"evaluate: {config.fresh} fresh questions")
    settings = EvaluateConfig(
        max_turns=config.max_turns, title="drr demo", dataset=dataset.digest, progress=config.progress
    )
    return evaluate(
        create_reasoner("pocket", logprobs=True),
        load_dm(out / "dm"),
        generate(config.fresh, seed=config.seed + 1),
        out / "evaluation",
        config=settings,
        extra=[_by_rule(config.max_turns)],
        parts={name: load_dm(out / folder) for name, (folder, _) in _PARTS.items()},
    )
