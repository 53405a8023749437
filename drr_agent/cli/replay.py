"""drr replay: what a policy would have done on logged attempts, before it is switched on."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import errors, out, print_json
from drr_agent.cli.inputs import open_dm, pairs
from drr_agent.dm.models import TransformersDM
from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.evaluation.table import number, percent, points
from drr_agent.evaluation.verdict import MARGIN
from drr_agent.replay.config import ReplayConfig
from drr_agent.replay.replayer import replay as run
from drr_agent.replay.report import PAGE, REPLAY, Comparison, Point, ReplayReport, write_replay
from drr_agent.replay.scores import SCORES
from drr_agent.replay.specs import ALTERNATIVES, FORMS
from drr_agent.replay.wording import (
    at_equal_cost,
    bounds,
    lost_with,
    p_value,
    point_bounds,
    saved,
    share_bounds,
    signed,
)
from drr_agent.training.behaviors import Behavior, Split
from drr_agent.training.curve_record import read_curve
from drr_agent.training.dataset import load_dataset
from drr_agent.training.dataset.folder import MANIFEST
from drr_agent.training.harvest import harvest_dataset
from drr_agent.training.settings import HarvestSettings

_TOP = 5
"""Signals that are named."""
_SPECS = f"{', '.join(FORMS)}; with a setting after a colon, such as `adaptive:0.95` or `self_consistency:5`"


@app.command()
def replay(
    source: Annotated[str, typer.Argument(help="A dataset made by `drr harvest`, or any log that it reads.")],
    folder: options.OutFolder,
    dm: options.DMPath = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy", help=f"A policy to look at; the verdict is about the first: {_SPECS}.  [default: drr]"
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help=f"What would be used instead.  [default: {', '.join(ALTERNATIVES)}]", show_default=False),
    ] = None,
    max_turns: options.MaxTurns = 8,
    split: Annotated[Split, typer.Option(help="Of a dataset: what the figures are of.")] = "test",
    mean_calls: Annotated[
        float | None,
        typer.Option(
            help="Most Reasoner calls a question on average, for settings that are chosen here; by default what "
            "adaptive self-consistency uses."
        ),
    ] = None,
    margin: Annotated[float, typer.Option(min=0.0, help="The gain in accuracy that is not worth having.")] = MARGIN,
    price_in: Annotated[float | None, typer.Option(help="USD per million input tokens, if not the list price.")] = None,
    price_out: Annotated[float | None, typer.Option(help="The same for output tokens.")] = None,
    order: Annotated[
        Literal["shuffled", "logged"],
        typer.Option(help="Independent draws in several orders, or as logged alone; runs in use always as logged."),
    ] = "shuffled",
    scores: Annotated[
        Path | None,
        typer.Option(help="The file in which scores are kept.  [default: scores.sqlite in --out]", show_default=False),
    ] = None,
    grader: options.GraderName = "auto",
    mapping: options.Mapping = None,
    where: options.Where = None,
    source_format: options.SourceFormat = None,
    parser: options.ReplyParser = None,
    seed: options.Seed = 0,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Tell what policies would have done on logged attempts: right answers, calls, tokens, USD, and whether to use it.

    Of a dataset, settings that you do not give are chosen on the calibration split and reported on another; questions
    that the DM has learned from are left out. Scores are kept, so that nothing is scored twice.

        drr replay data --dm dm --out replay
        drr replay data --dm dm --policy consensus:0.8 --policy threshold --against adaptive --out replay
    """
    config = ReplayConfig(
        policies=policy or ("drr",),
        against=against or ALTERNATIVES,
        max_turns=max_turns,
        orders=order,
        grader=grader,
        mean_calls=mean_calls,
        margin=margin,
        price_in=price_in,
        price_out=price_out,
        seed=seed,
        cache=folder / SCORES if scores is None else scores,
        progress=not quiet,
    )
    settings: HarvestSettings = {
        "grader": grader,
        "mapping": pairs(mapping),
        "where": where or (),
        "format": source_format,
        "parser": parser,
        "progress": not quiet,
    }
    model = None if dm is None else open_dm(dm)
    config = config if dm is None else replace(config, curve=read_curve(dm))
    report = _replay_source(source, split, model, config, settings)
    try:
        write_replay(report, folder)
    finally:  # what was found is told even where the page cannot be made
        show_replay(report, folder, json=json)


def show_replay(report: ReplayReport, folder: Path, *, json: bool) -> None:
    """The table, what the log cannot tell and the verdict, or the whole record as JSON."""
    if json:
        print_json(report.model_dump(mode="json"))
        return
    out.print(_table(report, width=out.width))
    for line in _lines(report):
        out.print(line, highlight=False)
    if report.limits:
        out.print("What this log cannot tell:", highlight=False)
    for limit in report.limits:
        out.print(f"- {limit.text}", highlight=False)
    out.print(str(report.verdict), style="bold", highlight=False)
    if report.verdict.saves is not None:
        out.print(saved(report.verdict.saves), highlight=False)
    made = next((folder / name for name in (PAGE, REPLAY) if (folder / name).is_file()), None)
    if made is not None:
        out.print(f"→ {made}", highlight=False)


def _replay_source(
    source: str, split: Split, dm: DiscriminativeModel | None, config: ReplayConfig, settings: HarvestSettings
) -> ReplayReport:
    """A split of a dataset with its settings from calibration; or all of a log, in sample."""
    if (Path(source) / MANIFEST).is_file():
        data = load_dataset(Path(source))
        if isinstance(dm, TransformersDM):
            data.require_texts(instead="replay a DM of signals alone, or policies that need none, or ")
        named = replace(config, split=split, dataset=data.digest)
        learn = data.rows("calibration") if split != "calibration" else None
        return run(data.rows(split), dm, choose_on=learn or None, config=named)
    with _harvested(source, settings) as rows:
        return run(rows, dm, config=config)


@contextmanager
def _harvested(source: str, settings: HarvestSettings) -> Iterator[Sequence[Behavior]]:
    """The rows of a log, by way of a dataset that is not kept."""
    with tempfile.TemporaryDirectory(prefix="drr-replay-") as folder:
        data, records = harvest_dataset([source], Path(folder) / "data", **settings)
        dropped = sum(sum(record.dropped.values()) for record in records)
        if dropped:
            errors.print(
                f"{dropped} entries of {source} could not be used; `drr harvest` names them",
                style="yellow",
                highlight=False,
            )
        yield data.all()


def _table(report: ReplayReport, *, width: int) -> Table:
    """The policies side by side, the subject bold; a narrow terminal gets fewer columns and whole words."""
    columns = {name: cell for name, cell in _COLUMNS.items() if width >= _WIDE or name not in _FOR_WIDE}
    table = Table(title=f"{report.questions:,} questions ({report.split}), at most {report.max_turns} turns")
    table.add_column("policy", overflow="fold")
    for name in ("right", "95 % interval", *columns):
        table.add_column(name, justify="right", no_wrap=True)
    for result in report.policies:
        right = percent(result.chosen.point.accuracy), share_bounds(result.chosen.intervals["accuracy"])
        cells = [cell(result.chosen.point) for cell in columns.values()]
        table.add_row(Text(result.label), *right, *cells, style="bold" if result is report.policies[0] else None)
    for name, found in (("first attempt", report.first), ("any attempt right (oracle)", report.oracle)):
        table.add_row(name, percent(found.mean), share_bounds(found), *["–"] * len(columns), style="dim")
    return table


_COLUMNS: Mapping[str, Callable[[Point], str]] = {
    "calls": lambda point: number(point.calls, 2),
    "tokens": lambda point: number(point.tokens, 0),
    "USD per 1,000": lambda point: number(None if point.usd is None else 1000 * point.usd, 3),
    "accepted": lambda point: percent(point.accepted),
    "abstained": lambda point: percent(point.abstained),
    "review": lambda point: percent(point.reviewed),
}
_FOR_WIDE = frozenset({"USD per 1,000", "abstained", "review"})
"""Columns that a narrow terminal does without."""
_WIDE = 118
"""Characters."""


def _lines(report: ReplayReport) -> Iterator[str]:
    """How settings were chosen, and each comparison in a line."""
    if any(result.chosen.chosen_on != "given" for result in report.policies):
        yield f"Settings that were not given were chosen on: {report.chosen_on}."
    for comparison in report.comparisons:
        yield _compared(report.subject, comparison)
    voting = at_equal_cost(report)
    if voting is not None:
        yield voting
    if report.signals:
        found = "; ".join(map(lost_with, report.signals[:_TOP]))
        yield f"Signals worth most, by the within-question AUROC lost without: {found}."


def _compared(subject: str, found: Comparison) -> str:
    line = (
        f"{subject} against {found.against}: {points(found.accuracy.mean)} points ({point_bounds(found.accuracy)}; "
        f"{p_value(found.p)}), {signed(found.calls.mean)} calls ({bounds(found.calls, '+.2f')})"
    )
    if found.calls_ratio is None:
        return f"{line}; it is as accurate at no setting."
    return f"{line}; as accurate with {found.calls_ratio.mean:.2f} of its calls."
