"""drr harvest: logs become a dataset."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import errors, out, print_json
from drr_agent.cli.inputs import pairs, parse_fractions
from drr_agent.training.dataset import Dataset, write_dataset
from drr_agent.training.harvest import harvest as run


@app.command()
def harvest(
    sources: Annotated[
        list[Path], typer.Argument(help="Run logs, and tables of attempts made elsewhere (JSONL, CSV, Parquet, gz).")
    ],
    folder: options.OutFolder,
    grader: options.GraderName = "auto",
    mapping: options.Mapping = None,
    where: options.Where = None,
    fractions: Annotated[
        str | None,
        typer.Option(
            help="Shares of the questions, in this order: train, validation, calibration, test.  "
            "[default: those of the dataset at --out, else 0.6,0.15,0.15,0.1]"
        ),
    ] = None,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Turn logged attempts into a dataset, split by question; what is left out is counted and named.

    Harvesting the same or a grown log again adds only what is new. Exit status 1 when nothing came in.

        drr harvest runs.jsonl --out data
        drr harvest old.csv.gz --out data --map target=gold --where model=gemma-2-2b-it
    """
    result = run(sources, grader=grader, mapping=pairs(mapping), where=where or (), progress=not quiet)
    shares = None if fractions is None else parse_fractions(fractions)
    dataset = write_dataset(result.behaviors, folder, fractions=shares, sources=result.sources, drops=result.drops)
    if json:
        print_json({"added": dataset.added, "dropped": result.dropped, **dataset.manifest.model_dump(mode="json")})
    else:
        out.print(_splits(dataset))
        for source in result.sources:
            dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(source.dropped.items())) or "none"
            errors.print(
                f"{source.path}: {source.read} read, {source.filtered} filtered out, {source.kept} kept, "
                f"dropped: {dropped}",
                highlight=False,
            )
        out.print(f"{dataset.added} new of {dataset.manifest.count} behaviors → {folder}", highlight=False)
    raise typer.Exit(0 if result.behaviors else 1)


def _splits(dataset: Dataset) -> Table:
    table = Table("split", "questions", "rows", "right", "wrong", "no label", "share right", box=None, pad_edge=False)
    for name, counts in dataset.manifest.splits.items():
        share = "–" if counts.balance is None else f"{counts.balance:.3f}"
        numbers = (counts.questions, counts.rows, counts.correct, counts.incorrect, counts.unlabeled)
        table.add_row(name, *map(str, numbers), share)
    return table
