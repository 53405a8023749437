"""drr train: a dataset becomes a DM."""

from typing import Annotated, Literal

import typer
from rich.table import Table

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import errors, out, print_json, show_metrics, warn_of_ranking
from drr_agent.dm.folder import read_manifest
from drr_agent.training.config import LoraConfig, TrainConfig
from drr_agent.training.curve import learning_curve_on
from drr_agent.training.curve_record import Curve
from drr_agent.training.dataset import load_dataset
from drr_agent.training.train import train_on


@app.command()
def train(
    dataset: options.DatasetFolder,
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
    reasoner_input: Annotated[
        bool,
        typer.Option("--reasoner-input", help="Let the classifier read the Reasoner's name, for several in one DM."),
    ] = False,
    logprob_input: Annotated[
        bool,
        typer.Option("--logprob-input", help="Let the classifier see how likely the Reasoner's tokens were."),
    ] = False,
    max_length: Annotated[int, typer.Option(min=16, help="Most tokens of a text.")] = 512,
    epochs: Annotated[float, typer.Option(help="Passes over the training split.")] = 3.0,
    max_steps: Annotated[int | None, typer.Option(min=1, help="End after so many steps.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows a step.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 5e-5,
    bce: Annotated[
        float, typer.Option(help="Weight of the cross-entropy loss, which learns the base rate.")
    ] = TrainConfig.bce_weight,
    pairs: Annotated[
        float, typer.Option(help="Weight of the pairwise loss, which learns to tell attempts at one question apart.")
    ] = TrainConfig.pair_weight,
    listwise: Annotated[
        float, typer.Option(help="Weight of the listwise loss, which learns to put a right attempt first.")
    ] = TrainConfig.list_weight,
    hard_pairs: Annotated[
        float, typer.Option(help="What attempts count in those two where a vote is wrong about them; others count 1.")
    ] = TrainConfig.hard_pair_weight,
    cross_reasoner: Annotated[
        bool, typer.Option(help="Compare Reasoners where one has no right, or no wrong, attempt at a question.")
    ] = TrainConfig.cross_reasoner,
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
    curve: Annotated[
        bool,
        typer.Option("--curve", help="Train on 1/8, 1/4 and 1/2 of the questions too: would more labels help?"),
    ] = False,
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
        reasoner_input=reasoner_input,
        logprob_input=logprob_input,
        max_length=max_length,
        epochs=epochs,
        max_steps=max_steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        bce_weight=bce,
        pair_weight=pairs,
        list_weight=listwise,
        hard_pair_weight=hard_pairs,
        cross_reasoner=cross_reasoner,
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
    learned = None
    if curve:
        learned = learning_curve_on(data, config=config, out=folder, resume=resume)
    else:
        train_on(data, config=config, out=folder, resume=resume)
    manifest = read_manifest(folder)
    metrics = manifest.metrics["validation"]
    if manifest.no_stopping is not None:
        errors.print(f"when to stop was not learned: {manifest.no_stopping}", style="yellow", highlight=False)
    warn_of_ranking(metrics["within_question_auroc"], metrics["auroc"])
    if learned is None:
        show_metrics(metrics, folder, json=json)
        return
    if json:
        print_json({**metrics, "curve": learned.model_dump(mode="json")})
        return
    show_metrics(metrics, folder, json=False)
    _show_curve(learned)


def _show_curve(curve: Curve) -> None:
    table = Table(
        "share", "questions", "attempts", "within-question AUROC", "AUROC", "log loss", box=None, pad_edge=False
    )
    for point in curve.points:
        values = (point.within_question_auroc, point.auroc, point.log_loss)
        shown = ("–" if value is None else f"{value:.3f}" for value in values)
        table.add_row(f"{point.share:g}", f"{point.questions:,}", f"{point.attempts:,}", *shown)
    out.print(table)
    for point in curve.points:
        if point.skipped is not None:
            errors.print(f"share {point.share:g} was skipped: {point.skipped}", style="yellow")
    out.print(curve.summary, highlight=False)
