"""drr train: a dataset becomes a DM."""

from typing import Annotated, Literal

import typer

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import errors, show_metrics
from drr_agent.dm.folder import read_manifest
from drr_agent.training.config import LoraConfig, TrainConfig
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
    show_metrics(read_manifest(folder).metrics["validation"], folder, json=json)
