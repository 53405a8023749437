"""drr distill: a Reasoner's own attempts at questions with known answers, logged."""

from pathlib import Path
from typing import Annotated

import typer

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import out, print_json
from drr_agent.cli.inputs import open_reasoner, pairs, read_questions, wordings
from drr_agent.training.distill import distill as run


@app.command()
def distill(
    samples: Annotated[
        str, typer.Argument(help="Questions with targets: a JSONL, CSV or Parquet file, or `pocket:N` for N generated.")
    ],
    log: Annotated[Path, typer.Option("--log", "-l", help="The run log to write or to go on with.")],
    reasoner: options.ReasonerSpec = "pocket",
    attempts: Annotated[int, typer.Option(min=1, help="Runs a question.")] = 8,
    feedback: options.FeedbackName = "fresh",
    max_turns: Annotated[
        int | None, typer.Option(min=1, help="Most think calls a run; by default 1 for `fresh`, else 4.")
    ] = None,
    grader: options.GraderName = "auto",
    parser: options.ParserName = "answer",
    mapping: options.Mapping = None,
    concurrency: options.Concurrency = 64,
    base_url: options.BaseUrl = None,
    temperature: options.Temperature = None,
    max_tokens: options.MaxTokens = None,
    timeout: options.Timeout = None,
    logprobs: options.Logprobs = None,
    ask_confidence: options.AskConfidence = False,
    seed: options.Seed = 0,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Let a Reasoner answer every question several times, and log each run.

    Killed or interrupted, the same command goes on: nothing that is logged is paid for again.

        drr distill questions.jsonl --log runs.jsonl --reasoner openai:gpt-4o-mini --map target=gold
    """
    result = run(
        open_reasoner(
            reasoner,
            base_url=base_url,
            temperature=temperature,
            max_tokens=max_tokens,
            timeout=timeout,
            logprobs=logprobs,
            quiet=quiet,
        ),
        read_questions(samples, mapping=pairs(mapping), seed=seed),
        log=log,
        attempts=attempts,
        feedback=feedback,
        max_turns=max_turns,
        concurrency=concurrency,
        grader=grader,
        parser=parser,
        prompts=wordings(ask_confidence=ask_confidence),
        progress=not quiet,
    )
    if json:
        print_json({name: getattr(result, name) for name in ("wanted", "found", "resumed", "made", "failed", "usage")})
    else:
        out.print(
            f"{result.made} runs made, {result.found} found, {result.failed} failed, of {result.wanted} → {log}",
            highlight=False,
        )
    raise typer.Exit(0 if result.complete else 1)
