"""drr train and drr calibrate: a dataset becomes a DM."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import errors, out, print_json
from drr_agent.dm.folder import read_manifest
from drr_agent.dm.manifest import Metrics
from drr_agent.dm.staging import changing
from drr_agent.grading import get_grader
from drr_agent.training.calibrate import calibrate_dm
from drr_agent.training.config import LoraConfig, TrainConfig
from drr_agent.training.dataset import load_dataset
from drr_agent.training.threshold import calibrate_consensus
from drr_agent.training.train import train_on
from drr_agent.training.weights import Coverage

DatasetFolder = Annotated[Path, typer.Argument(help="A dataset made by `drr harvest`.")]


@app.command()
def train(
    dataset: DatasetFolder,
    folder: options.OutFolder,
    backbone: Annotated[
        str,
        typer.Option(
            help="A transformers folder or hub id, encoder or decoder, such as answerdotai/ModernBERT-base; `minilm` "
            "(extra `minilm`) and `pocket` need no hub."
        ),
    ] = "pocket",
    inputs: Annotated[
        Literal["text", "signals", "both"], typer.Option(help="What the score is made of; `signals` trains in seconds.")
    ] = "both",
    max_length: Annotated[int, typer.Option(min=16, help="Most tokens of a text.")] = 512,
    epochs: Annotated[float, typer.Option(help="Passes over the training split.")] = 3.0,
    max_steps: Annotated[int | None, typer.Option(min=1, help="End after so many steps.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows a step.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 5e-5,
    bce: Annotated[float, typer.Option(help="Weight of the cross-entropy loss, which learns the base rate.")] = 1.0,
    pairs: Annotated[
        float, typer.Option(help="Weight of the pairwise loss, which learns to tell attempts at one question apart.")
    ] = 1.0,
    balanced: Annotated[bool, typer.Option(help="Count right and wrong rows alike in the cross-entropy.")] = False,
    weak: Annotated[
        bool, typer.Option(help="Also learn from labels that are only the agreement of attempts; see `drr label`.")
    ] = False,
    copies: Annotated[
        Literal["all", "one"], typer.Option(help="Of attempts that say exactly the same, learn from all or from one.")
    ] = "all",
    lora_rank: Annotated[
        int | None, typer.Option(min=1, help="Train low-rank adapters of this rank (extra `lora`).")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint of a training that was cut off.")] = True,
    seed: options.Seed = 0,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a DM on a dataset's train split, early-stopped on its validation split.

    Then run `drr calibrate`, which turns its logits into probabilities.

        drr train data --out dm --backbone answerdotai/ModernBERT-base
        accelerate launch -m drr_agent train data --out dm --backbone Qwen/Qwen3-0.6B --lora-rank 16
    """
    config = TrainConfig(
        backbone=backbone,
        inputs=inputs,
        max_length=max_length,
        epochs=epochs,
        max_steps=max_steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        bce_weight=bce,
        pair_weight=pairs,
        class_weight="balanced" if balanced else None,
        weak_labels=weak,
        copies=copies,
        lora=None if lora_rank is None else LoraConfig(rank=lora_rank),
        seed=seed,
        progress=not quiet,
    )
    data = load_dataset(dataset)
    if weak:
        errors.print(
            f"{data.manifest.weak} of {data.manifest.count} labels are weak: agreement of attempts", style="yellow"
        )
    train_on(data, config=config, out=folder, resume=resume)
    _show(read_manifest(folder).metrics["validation"], folder, json=json)


@app.command()
def calibrate(
    dm: Annotated[Path, typer.Argument(help="A DM made by `drr train`.")],
    dataset: DatasetFolder,
    max_turns: options.MaxTurns = 8,
    mean_calls: Annotated[
        float | None,
        typer.Option(help="Most Reasoner calls a question on average; by default what adaptive self-consistency uses."),
    ] = None,
    grader: options.GraderName = "auto",
    seed: options.Seed = 0,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Turn a DM's logits into probabilities on the calibration split, and choose the loop's threshold there.

    Runs that explored (`create_drr_graph(…, explore=0.05)`) stand for those that an accept cut off. What has an answer
    without a label is left out of the loop's part.

    What it prints of the loop is on the very questions the threshold was chosen on, and so a little too good: use
    `drr evaluate` with fresh questions before you believe it.
    """
    data, equality = load_dataset(dataset), get_grader(grader)
    if read_manifest(dm).text is not None:
        data.require_texts(instead="train on signals alone (`--inputs signals`), or ")
    with changing(dm) as folder:  # the old calibration goes with its threshold, or neither does
        metrics = calibrate_dm(folder, data.labelled("calibration"), seed=seed, progress=not quiet)
        chosen = calibrate_consensus(
            folder,
            data.rows("calibration"),
            max_turns=max_turns,
            mean_calls=mean_calls,
            grader=equality,
            seed=seed,
        )
    coverage = chosen.coverage
    loop = {
        "threshold": chosen.policy.threshold,
        "accuracy_in_sample": chosen.accuracy,
        "mean_calls_in_sample": chosen.mean_calls,
        "effective_questions": chosen.effective_questions,
        **({} if coverage is None else coverage._asdict()),
    }
    _show({**metrics, **{f"loop_{name}": value for name, value in loop.items()}}, dm, json=json)
    for doubt in _doubts(metrics["judged_share"] or 0.0, coverage):
        errors.print(doubt, style="yellow", highlight=False)


def _doubts(judged_share: float, coverage: Coverage | None) -> Iterator[str]:
    """What to know before the numbers are believed."""
    if judged_share > 0:
        yield (
            f"{judged_share:.1%} of the calibration labels are a judge's: its errors become the DM's. "
            "`drr label` says how far it agrees with humans."
        )
    if coverage is not None and coverage.left_out:
        yield (
            f"{coverage.left_out} questions or runs are left out of the loop's numbers: nobody judged all of their "
            "answers. Those as long as they stand for them. `drr label` asks for the rest."
        )
    if coverage is not None and coverage.unlike:
        yield (
            f"Of {coverage.unlike} of these none is judged that is as long, and nothing stands for them: the loop's "
            "numbers are of the others, and biased towards short runs. Do not trust the threshold before you have "
            "labelled some of them."
        )
    if coverage is not None and coverage.unexplored:
        yield (
            f"{coverage.unexplored} runs ended at an accept, and no run of their Reasoner explored: what later turns "
            "would have brought, this log cannot tell. `create_drr_graph(…, explore=0.05)` makes one that can."
        )


def _show(metrics: Metrics, folder: Path, *, json: bool) -> None:
    if json:
        print_json(metrics)
        return
    table = Table("metric", "value", box=None, pad_edge=False)
    for name, value in metrics.items():
        shown = "–" if value is None else str(value) if isinstance(value, int) else f"{value:.4g}"
        table.add_row(name.replace("_", " "), shown)
    out.print(table)
    out.print(f"→ {folder}", highlight=False)
