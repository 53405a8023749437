"""drr replay: what a policy would have done on logged attempts, before it is switched on."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import errors
from drr_agent.cli.inputs import open_dm, pairs, turns_of
from drr_agent.cli.replay_text import show_replay
from drr_agent.dm.models import TransformersDM
from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.errors import ConfigError, DataError
from drr_agent.evaluation.verdict import MARGIN
from drr_agent.replay.config import ReplayConfig
from drr_agent.replay.replayer import replay as run
from drr_agent.replay.report import ReplayReport, write_replay
from drr_agent.replay.scores import SCORES
from drr_agent.replay.specs import ALTERNATIVES, FORMS, spell
from drr_agent.training.behaviors import Behavior, Split, is_labelled
from drr_agent.training.curve_record import read_curve
from drr_agent.training.dataset import load_dataset
from drr_agent.training.dataset.folder import MANIFEST
from drr_agent.training.dataset.writer import NothingHarvestedError
from drr_agent.training.harvest import harvest_dataset
from drr_agent.training.settings import HarvestSettings

_SPECS = f"{', '.join(FORMS)}; with a setting after a colon, such as `adaptive:0.95` or `self_consistency:5`"
_UNSCORED = "adaptive"
"""What is looked at where nothing scores."""


@app.command()
def replay(
    source: Annotated[str, typer.Argument(help="A dataset made by `drr harvest`, or any log that it reads.")],
    folder: options.OutFolder,
    dm: options.DMPath = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            help=f"A policy to look at; the verdict is about the first: {_SPECS}. By default drr, and without `--dm` "
            f"{_UNSCORED}.",
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(help=f"What would be used instead; by default {', '.join(ALTERNATIVES)}."),
    ] = None,
    max_turns: options.MaxTurnsOrCertified = None,
    split: Annotated[Split, typer.Option(help="Of a dataset: what the figures are of.")] = "test",
    mean_calls: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            help="Most Reasoner calls a question on average, for settings that are chosen here; by default what "
            "adaptive self-consistency uses.",
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
        typer.Option(help="The file in which scores are kept; by default scores.sqlite in --out."),
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
    that the DM has learned from are left out. Scores are kept, so that nothing is scored twice. Without a DM it is
    about voting: whether asking again would have helped at all.

        drr replay data --dm dm --out replay
        drr replay data --out replay
        drr replay data --dm dm --policy consensus:0.8 --policy threshold --against adaptive --out replay
    """
    model = None if dm is None else open_dm(dm)
    policies, rivals = _sides(policy or [], against or [], scored=dm is not None)
    config = ReplayConfig(
        policies=policies,
        against=rivals,
        max_turns=turns_of(max_turns, model),
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
    config = config if dm is None else replace(config, curve=read_curve(dm))
    report = _replay_source(source, split, model, config, settings)
    try:
        write_replay(report, folder)
    finally:  # what was found is told even where the page cannot be made
        show_replay(report, folder, json=json)


def _sides(policies: Sequence[str], against: Sequence[str], *, scored: bool) -> tuple[Sequence[str], Sequence[str]]:
    """The policies to look at, and what they are set against: the first is never set against itself.

    Raises:
        ConfigError: it was to be.
    """
    if not policies and not scored:
        errors.print(
            f"Without a DM nothing scores: this is about voting ({_UNSCORED}). `drr train` makes a DM of labelled "
            "attempts, and `--dm` replays it.",
            style="yellow",
            highlight=False,
        )
    first, *others = policies or (["drr"] if scored else [_UNSCORED])
    own = spell(first)
    if own == "single" or own in map(spell, against):
        itself = "one attempt, which every policy is set against" if own == "single" else "a policy against itself"
        raise ConfigError(f"expected two policies to compare, got {itself} ({first!r}); name another")
    rivals = against or [name for name in ALTERNATIVES if name != own]
    if own in ALTERNATIVES and policies and not against:
        errors.print(f"{own} is not set against itself.", style="yellow", highlight=False)
    known = {own, "single", *map(spell, rivals)}
    return [first, *(other for other in others if spell(other) not in known)], rivals


def _replay_source(
    source: str, split: Split, dm: DiscriminativeModel | None, config: ReplayConfig, settings: HarvestSettings
) -> ReplayReport:
    """A split of a dataset with its settings from calibration; or all of a log, in sample."""
    if (Path(source) / MANIFEST).is_file():
        data = load_dataset(Path(source))
        if isinstance(dm, TransformersDM):
            data.require_texts(instead="replay a DM of signals alone, or policies that need none, or ")
        _require_labels(data.rows(split), source, dataset=True)
        named = replace(config, split=split, dataset=data.digest)
        learn = data.rows("calibration") if split != "calibration" else None
        return run(data.rows(split), dm, choose_on=learn or None, config=named)
    with _harvested(source, settings) as rows:
        _require_labels(rows, source)
        return run(rows, dm, config=config)


def _require_labels(rows: Sequence[Behavior], source: str, *, dataset: bool = False) -> None:
    if not rows or any(map(is_labelled, rows)):
        return
    way = f"`drr label {source}`" if dataset else f"`drr harvest {source} --out data` and then `drr label data`"
    raise DataError(
        f"expected attempts that somebody judged, got {len(rows)} without a label; label some with {way}, or give the "
        "known answers (`--map target=COLUMN`, or `drr harvest --targets FILE`)"
    )


@contextmanager
def _harvested(source: str, settings: HarvestSettings) -> Iterator[Sequence[Behavior]]:
    """The rows of a log, by way of a dataset that is not kept."""
    with tempfile.TemporaryDirectory(prefix="drr-replay-") as folder:
        try:
            data, records = harvest_dataset([source], Path(folder) / "data", **settings)
        except NothingHarvestedError as error:
            raise DataError(
                f"expected attempts in {source!r}, got none: it holds none, or the filters let none through; check the "
                "file, its columns (`--map`) and the filters (`--where`)"
            ) from error
        dropped = sum(sum(record.dropped.values()) for record in records)
        if dropped:
            errors.print(
                f"{dropped} entries of {source} could not be used; `drr harvest` names them",
                style="yellow",
                highlight=False,
            )
        yield data.all()
