"""drr dataset: look into datasets, check them, and make others out of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import out, print_json, printable
from drr_agent.cli.harvest import counts_table, splits_table
from drr_agent.training.behaviors import Behavior, Split
from drr_agent.training.dataset import Dataset, load_dataset
from drr_agent.training.dataset.edit import filter_dataset, merge_datasets
from drr_agent.training.dataset.manifest import Manifest
from drr_agent.training.dataset.survey import Survey, take_survey

verbs = typer.Typer(name="dataset", no_args_is_help=True, help="Look into datasets, check, merge and filter them.")
app.add_typer(verbs)

_SHOWN_TEXT = 2_000
"""Characters of a text that are looked at for its line in the terminal."""
_MOST_TURNS = 12
"""Columns that fit beside the names of Reasoners."""

DatasetFolder = Annotated[Path, typer.Argument(help="A dataset made by `drr harvest`.")]
NewFolder = Annotated[Path, typer.Option("--out", "-o", help="The folder to write; new or empty.")]


@verbs.command()
def show(
    dataset: DatasetFolder,
    examples: Annotated[
        int, typer.Option(min=0, help="Show so many right attempts, wrong ones and ones without a label.")
    ] = 1,
    split: Annotated[Split | None, typer.Option(help="Take examples from this split alone.")] = None,
    json: options.AsJson = False,
) -> None:
    """Count a dataset by split, turn, Reasoner and label source, say where it comes from, and show a few attempts.

    drr dataset show data --examples 3 --split train
    """
    data = load_dataset(dataset)
    survey = take_survey(data, examples=examples, splits=() if split is None else (split,))
    if json:
        print_json(_as_json(data, survey))
        return
    _show_counts(data, survey)
    _show_labels(data.manifest)
    _show_sources(data.manifest)
    for row in survey.examples:
        _show_example(row)


@verbs.command()
def verify(dataset: DatasetFolder) -> None:
    """Derive everything that a dataset says of itself anew from its rows. Exit status 2 when something differs."""
    data = load_dataset(dataset)
    data.verify()
    out.print(
        f"{dataset}: files, questions, splits, labels, copies, counts, rejects and card of {data.manifest.count} "
        f"behaviors are as its manifest says (digest {data.digest})",
        highlight=False,
        soft_wrap=True,
    )


@verbs.command()
def merge(
    datasets: Annotated[list[Path], typer.Argument(help="Datasets that are split, redacted and captured alike.")],
    folder: NewFolder,
    json: options.AsJson = False,
) -> None:
    """Write several datasets as one; their order makes no difference.

    A row that several have is one row, with everybody's labels. Records of sources and rejects stay. Run `drr label`
    first where a `labels.jsonl` holds what was not merged yet.

        drr dataset merge mine yours --out ours
    """
    _report(merge_datasets(datasets, folder), json=json)


@verbs.command("filter")
def filter_(
    dataset: DatasetFolder,
    folder: NewFolder,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="Keep rows for which this holds, such as `turn=1`, `label!=` or `reasoner=gemma-2-2b-it`; all must "
            "hold. A name that does not exist lists them all."
        ),
    ] = None,
    drop_copies: Annotated[
        bool, typer.Option("--drop-copies", help="Of attempts that say exactly the same, keep one alone.")
    ] = False,
    json: options.AsJson = False,
) -> None:
    """Write a part of a dataset as a dataset of its own; each question stays in its split.

    drr dataset filter data --out first --where turn=1 --where label!= --drop-copies
    """
    _report(filter_dataset(dataset, folder, where=where or (), drop_copies=drop_copies), json=json)


def _report(dataset: Dataset, *, json: bool) -> None:
    if json:
        print_json(dataset.manifest.model_dump(mode="json"))
        return
    out.print(splits_table(dataset))
    out.print(f"{dataset.manifest.count} behaviors → {dataset.path}", highlight=False, soft_wrap=True)


def _as_json(dataset: Dataset, survey: Survey) -> dict[str, Any]:
    by_reasoner = {
        name: {**counts.model_dump(), "turns": {turn: part.model_dump() for turn, part in survey.turns[name].items()}}
        for name, counts in survey.reasoners.items()
    }
    manifest = dataset.manifest.model_dump(mode="json")
    return {"path": str(dataset.path), **manifest, "by_reasoner": by_reasoner, "examples": survey.examples}


def _show_counts(dataset: Dataset, survey: Survey) -> None:
    manifest = dataset.manifest
    out.print(
        f"{dataset.path}: {manifest.count} behaviors, digest {manifest.digest}; redacted: {manifest.redaction}; "
        f"capture: {manifest.capture}",
        highlight=False,
    )
    _print_table(splits_table(dataset))
    _print_table(counts_table("turn", dict(manifest.turns)))
    _print_table(counts_table("Reasoner", dict(survey.reasoners)))
    if len(survey.reasoners) > 1 and len(manifest.turns) > 1:
        _print_table(_balance_table(survey, list(manifest.turns)[:_MOST_TURNS]))


def _balance_table(survey: Survey, turns: list[int]) -> Table:
    table = _table("share right", *(f"turn {turn}" for turn in turns))
    for name, parts in survey.turns.items():
        balances = [parts[turn].balance if turn in parts else None for turn in turns]
        _add(table, name, *("–" if balance is None else f"{balance:.3f}" for balance in balances))
    return table


def _show_labels(manifest: Manifest) -> None:
    _print_table(_list("label source", manifest.label_sources))
    labelled = manifest.count - manifest.label_sources.get("none", 0)
    weak = f", {manifest.weak / labelled:.1%} of all" if labelled else ""
    out.print(
        f"{manifest.conflicts} rows in conflict; {manifest.weak} weak labels{weak}; {manifest.copies} rows say what "
        "another says",
        highlight=False,
    )
    _print_table(_list("origin", manifest.origins))


def _show_sources(manifest: Manifest) -> None:
    table = _table("source", "kind", "read", "filtered out", "kept", "dropped")
    for source in manifest.sources:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(source.dropped.items())) or "0"
        _add(table, source.location, source.kind, source.read, source.filtered, source.kept, reasons)
    if manifest.sources:
        _print_table(table)


def _list(what: str, counts: Mapping[str, int]) -> Table:
    table = _table(what, "rows")
    for name, count in counts.items():
        _add(table, name, count)
    return table


def _show_example(row: Behavior) -> None:
    """An attempt in five lines, each cut to the terminal."""
    judged = "no label" if row["label"] is None else f"{row['label']} by {row['label_source']}"
    lines = {
        judged: f"turn {row['turn']} of {row['reasoner']} ({row['origin']}), {row['id']}",
        "  question": row["question"],
        "  rationale": row["rationale"],
        "  answer": row["answer"],
        "  target": row["target"],
    }
    out.print()
    for name, text in lines.items():
        shown = "–" if text is None else " ".join(text[:_SHOWN_TEXT].split())
        out.print(f"{name}: {shown}", highlight=False, no_wrap=True, overflow="ellipsis")


def _print_table(table: Table) -> None:
    out.print()
    out.print(table)


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False)


def _add(table: Table, *cells: object) -> None:
    """A row of plain text: what others wrote is neither markup nor a command to the terminal."""
    table.add_row(*(Text(printable(str(cell))) for cell in cells))
