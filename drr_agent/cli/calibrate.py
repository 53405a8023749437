"""drr calibrate: from logits to probabilities, and to where the loop stops."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import errors, show_metrics
from drr_agent.dm.folder import read_manifest
from drr_agent.dm.staging import changing
from drr_agent.grading import get_grader
from drr_agent.training.calibrate import calibrate_dm
from drr_agent.training.dataset import load_dataset
from drr_agent.training.threshold import calibrate_consensus
from drr_agent.training.weights import Coverage


@app.command()
def calibrate(
    dm: Annotated[Path, typer.Argument(help="A DM made by `drr train`.")],
    dataset: options.DatasetFolder,
    max_turns: options.MaxTurns = 8,
    mean_calls: Annotated[
        float | None,
        typer.Option(help="Most Reasoner calls a question on average; by default what adaptive self-consistency uses."),
    ] = None,
    grader: options.GraderName = "auto",
    seed: options.Seed = 0,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Turn a DM's logits into probabilities on the calibration split, and choose the loop's threshold there.

    Runs that explored (`create_drr_graph(…, explore=0.05)`) stand for those that an accept cut off. What has an answer
    without a label is left out of the loop's part.

    What it prints of the loop is on the very questions the threshold was chosen on, and so a little too good: use
    `drr evaluate` with fresh questions before you believe it.
    """
    data, equality = load_dataset(dataset), get_grader(grader)
    if read_manifest(dm).text is not None:
        data.require_texts(instead="train on signals alone (`--inputs signals`), or ")
    with changing(dm) as folder:  # the old calibration goes with its threshold, or neither does
        metrics = calibrate_dm(folder, data.labelled("calibration"), seed=seed, progress=not quiet)
        chosen = calibrate_consensus(
            folder,
            data.rows("calibration"),
            max_turns=max_turns,
            mean_calls=mean_calls,
            grader=equality,
            seed=seed,
        )
    coverage = chosen.coverage
    loop = {
        "threshold": chosen.policy.threshold,
        "accuracy_in_sample": chosen.accuracy,
        "mean_calls_in_sample": chosen.mean_calls,
        "effective_questions": chosen.effective_questions,
        **({} if coverage is None else coverage._asdict()),
    }
    show_metrics({**metrics, **{f"loop_{name}": value for name, value in loop.items()}}, dm, json=json)
    for doubt in _doubts(metrics["judged_share"] or 0.0, coverage):
        errors.print(doubt, style="yellow", highlight=False)


def _doubts(judged_share: float, coverage: Coverage | None) -> Iterator[str]:
    """What to know before the numbers are believed."""
    if judged_share > 0:
        yield (
            f"{judged_share:.1%} of the calibration labels are a judge's: its errors become the DM's. "
            "`drr label` says how far it agrees with humans."
        )
    if coverage is not None and coverage.left_out:
        yield (
            f"{coverage.left_out} questions or runs are left out of the loop's numbers: nobody judged all of their "
            "answers. Those as long as they stand for them. `drr label` asks for the rest."
        )
    if coverage is not None and coverage.unlike:
        yield (
            f"Of {coverage.unlike} of these none is judged that is as long, and nothing stands for them: the loop's "
            "numbers are of the others, and biased towards short runs. Do not trust the threshold before you have "
            "labelled some of them."
        )
    if coverage is not None and coverage.unexplored:
        yield (
            f"{coverage.unexplored} runs ended at an accept, and no run of their Reasoner explored: what later turns "
            "would have brought, this log cannot tell. `create_drr_graph(…, explore=0.05)` makes one that can."
        )
