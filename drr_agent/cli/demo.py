"""drr demo: the whole path once, offline."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import errors
from drr_agent.cli.evaluate import show_report
from drr_agent.demo import DemoConfig, run_demo
from drr_agent.dm.quiet import quiet_loading


@app.command()
def demo(
    folder: options.OutFolder = Path("runs/demo"),
    questions: Annotated[int, typer.Option(min=100, help="Questions to distill from.")] = DemoConfig.questions,
    fresh: Annotated[int, typer.Option(min=20, help="Questions to compare on.")] = DemoConfig.fresh,
    seed: options.Seed = DemoConfig.seed,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Distill, harvest, train, calibrate and compare, with the Reasoner that ships; no network, some minutes.

    Leaves the log, the dataset, the DM, `report.json` and `report.html` in the folder.
    """
    config = replace(DemoConfig(), questions=questions, fresh=fresh, seed=seed, progress=not quiet)
    with quiet_loading() if quiet else nullcontext():
        report = run_demo(folder, config=config, say=lambda line: errors.print(line, highlight=False))
    show_report(report, folder, json=json)
