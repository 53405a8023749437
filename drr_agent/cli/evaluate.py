"""drr evaluate: every strategy on the same fresh questions."""

from pathlib import Path
from typing import Annotated

import typer

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import out, print_json, warn_of_ranking
from drr_agent.cli.inputs import open_dm, open_reasoner, pairs, read_questions, turns_of, wordings
from drr_agent.errors import ConfigError
from drr_agent.evaluation.evaluate import EvaluateConfig
from drr_agent.evaluation.evaluate import evaluate as run
from drr_agent.evaluation.report import Report, write_report
from drr_agent.evaluation.table import describe_dm, render_table

_FEWEST_TURNS = 2


@app.command()
def evaluate(
    samples: Annotated[
        str, typer.Argument(help="Fresh questions with targets: a JSONL, CSV or Parquet file, or `pocket:N`.")
    ],
    folder: options.OutFolder,
    reasoner: options.ReasonerSpec = "pocket",
    dm: options.DMPath = None,
    max_turns: options.MaxTurnsOrCertified = None,
    threshold: Annotated[float | None, typer.Option(help="Of the paper's rule; by default the DM's own.")] = None,
    greedy: Annotated[bool, typer.Option("--greedy/--no-greedy", help="Also try one attempt at temperature 0.")] = True,
    grader: options.GraderName = "auto",
    mapping: options.Mapping = None,
    concurrency: options.Concurrency = 64,
    base_url: options.BaseUrl = None,
    temperature: options.Temperature = None,
    max_tokens: options.MaxTokens = None,
    timeout: options.Timeout = None,
    logprobs: options.Logprobs = None,
    ask_confidence: options.AskConfidence = False,
    seed: options.Seed = 1,  # not the one `distill` draws its questions by
    json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare DRR with what one would use instead, on the same questions and the same draws.

    Questions that the DM was trained or calibrated on are left out, as far as its folder knows them. Draws are kept,
    so an interrupted evaluation goes on where it stopped.

        drr evaluate fresh.jsonl --out report --reasoner openai:gpt-4o-mini --dm dm
    """
    model = None if dm is None else open_dm(dm)
    turns = turns_of(max_turns, model)
    if turns < _FEWEST_TURNS:
        raise ConfigError(
            f"expected `--max-turns` of at least {_FEWEST_TURNS}, got {turns}: with one attempt a question "
            "nobody can tell what thinking again would bring; allow more"
        )
    report = run(
        open_reasoner(
            reasoner,
            base_url=base_url,
            temperature=temperature,
            max_tokens=max_tokens,
            timeout=timeout,
            logprobs=logprobs,
            quiet=quiet,
        ),
        model,
        read_questions(samples, mapping=pairs(mapping), seed=seed),
        folder,
        config=EvaluateConfig(
            max_turns=turns,
            threshold=threshold,
            greedy=greedy,
            grader=grader,
            prompts=wordings(ask_confidence=ask_confidence),
            concurrency=concurrency,
            seed=seed,
            progress=not quiet,
        ),
    )
    write_report(report, folder)
    show_report(report, folder, json=json)


def show_report(report: Report, folder: Path, *, json: bool) -> None:
    """The table, the DM and the verdict, or the whole report as JSON."""
    if report.dm is not None:
        warn_of_ranking(report.dm.within_question_auroc, report.dm.auroc)
    if json:
        print_json(report.model_dump(mode="json"))
        return
    out.print(render_table(report, width=out.width))
    if report.seen:
        out.print(f"{report.seen} questions were left out: the DM had learned from them.", highlight=False)
    if report.dm is not None:
        out.print(describe_dm(report.dm), highlight=False)
    if report.certification is not None:
        out.print(report.certification.told, highlight=False)
    out.print(report.verdict, highlight=False)
    out.print(f"→ {folder / 'report.html'}", highlight=False)
