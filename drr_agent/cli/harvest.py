"""drr harvest: logs become a dataset."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import errors, out, print_json, printable
from drr_agent.cli.inputs import pairs, parse_fractions
from drr_agent.training.behaviors import Split
from drr_agent.training.dataset import Dataset
from drr_agent.training.dataset.manifest import SourceRecord
from drr_agent.training.dataset.writer import NothingHarvestedError
from drr_agent.training.harvest import REFUSED, count_dropped, harvest_dataset
from drr_agent.training.labels.environment import load_callable
from drr_agent.training.redaction import Redaction
from drr_agent.training.settings import HarvestSettings

_REJECTED = 3


@app.command()
def harvest(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Run logs; checkpoints of LangGraph (SQLite files, postgresql://…); traces (LangSmith, OpenTelemetry, "
            "Langfuse, MLflow, `TraceLog`; langsmith://PROJECT); tables of attempts (JSONL, CSV, Parquet, gz); or "
            "folders of these."
        ),
    ],
    folder: options.OutFolder,
    grader: options.GraderName = "auto",
    mapping: options.Mapping = None,
    where: options.Where = None,
    fractions: Annotated[
        str | None,
        typer.Option(
            help="Shares of the questions, in this order: train, validation, calibration, test; by default those "
            "of the dataset at --out, else 0.6,0.15,0.15,0.1."
        ),
    ] = None,
    targets: Annotated[
        Path | None,
        typer.Option(help="A file of known answers, for questions whose log lacks them; joined by id or by text."),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option(help="MODULE:FUNCTION that says of a run whether it came out right: True, False or None."),
    ] = None,
    ignore_labels: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore-label",
            help="A source of labels that counts for nothing, such as `feedback:toxicity` or `judge:*`.",
        ),
    ] = None,
    format: options.SourceFormat = None,  # noqa: A002
    parser: options.ReplyParser = None,
    unit: options.TraceUnit = "auto",
    redact: options.RedactPatterns = None,
    capture: options.CaptureLevel = "full",
    json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Turn logged attempts into a dataset, split by question; what is left out is counted and named.

    Harvesting the same or a grown log again adds only what is new. Exit status 1 when nothing came in, 3 when all that
    could be read came in and the rest is in `rejects.jsonl`.

        drr harvest runs.jsonl --out data
        drr harvest checkpoints.sqlite traces.jsonl --out data
        drr harvest old.csv.gz --out data --map target=gold --where model=gemma-2-2b-it
    """
    dataset, records = _harvest(
        sources,
        folder,
        None if fractions is None else parse_fractions(fractions),
        {
            "grader": grader,
            "mapping": pairs(mapping),
            "where": where or (),
            "targets": targets,
            "environment": None if environment is None else load_callable(environment),
            "ignore_labels": ignore_labels or (),
            "format": format,
            "parser": parser,
            "unit": unit,
            "redaction": Redaction(patterns=tuple(redact or ()), capture=capture),
            "progress": not quiet,
        },
    )
    dropped = count_dropped(records)
    if json:
        print_json({"added": dataset.added, "dropped": dropped, **dataset.manifest.model_dump(mode="json")})
    else:
        _report(dataset, records)
    raise typer.Exit(_status(records, dropped))


def _harvest(
    sources: list[str], folder: Path, fractions: dict[Split, float] | None, settings: HarvestSettings
) -> tuple[Dataset, list[SourceRecord]]:
    try:
        return harvest_dataset(sources, folder, fractions=fractions, **settings)
    except NothingHarvestedError as error:
        errors.print(str(error), highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _status(records: list[SourceRecord], dropped: dict[str, int]) -> int:
    if not any(record.kept for record in records):
        return 1
    return _REJECTED if dropped.keys() & REFUSED else 0


def _report(dataset: Dataset, records: list[SourceRecord]) -> None:
    out.print(splits_table(dataset))
    for record in records:
        dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(record.dropped.items())) or "none"
        errors.print(
            f"{record.location} ({record.kind}): {record.read} read, {record.filtered} filtered out, "
            f"{record.kept} kept, dropped: {dropped}",
            highlight=False,
        )
    sources = (f"{source} {count}" for source, count in dataset.manifest.label_sources.items())
    errors.print(f"labels by source: {', '.join(sources)}", highlight=False)
    if dataset.manifest.conflicts:
        errors.print(f"labels contradict each other in {dataset.manifest.conflicts} rows", highlight=False)
    out.print(f"{dataset.added} new of {dataset.manifest.count} behaviors → {dataset.path}", highlight=False)


def splits_table(dataset: Dataset) -> Table:
    """Rows and labels by split."""
    return counts_table("split", dict(dataset.manifest.splits))


def counts_table(what: str, parts: dict[Any, Any]) -> Table:
    """Rows and labels by some part of a dataset."""
    table = Table(what, "questions", "rows", "right", "wrong", "no label", "share right", box=None, pad_edge=False)
    for name, counts in parts.items():
        share = "–" if counts.balance is None else f"{counts.balance:.3f}"
        numbers = (counts.questions, counts.rows, counts.correct, counts.incorrect, counts.unlabeled)
        table.add_row(Text(printable(str(name))), *map(str, numbers), share)
    return table
