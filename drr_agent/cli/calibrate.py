"""drr calibrate: from logits to probabilities, and to where the loop stops."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.console import errors, out, show_metrics
from drr_agent.dm.certificate import Certificate
from drr_agent.dm.folder import read_manifest, update_manifest
from drr_agent.dm.manifest import Metrics
from drr_agent.dm.staging import changing
from drr_agent.errors import ConfigError
from drr_agent.grading import get_grader
from drr_agent.replay.units import worth_in_calls
from drr_agent.training.behaviors import Behavior, is_labelled
from drr_agent.training.calibrate import calibrate_dm
from drr_agent.training.certification import Promise, Terms, certify_half
from drr_agent.training.dataset import Dataset, load_dataset
from drr_agent.training.refusal import Refusal
from drr_agent.training.threshold import Operating, calibrate_consensus
from drr_agent.training.weights import Coverage
from drr_agent.training.worth import WorthPoint, calibrate_stopping


class Fitted(NamedTuple):
    """What a fit says of itself."""

    metrics: Metrics
    consensus: Operating
    stopping: WorthPoint | None
    """`None` for a DM that has not learned when to stop."""


@app.command()
def calibrate(
    dm: Annotated[Path, typer.Argument(help="A DM made by `drr train`.")],
    dataset: options.DatasetFolder,
    max_turns: options.MaxTurns = 8,
    mean_calls: Annotated[
        float | None,
        typer.Option(
            min=1.0, help="Most Reasoner calls a question on average; by default what adaptive self-consistency uses."
        ),
    ] = None,
    worth: Annotated[
        str | None,
        typer.Option(
            help="What a right answer is worth to you: `50` or `50 calls`, `20000 tokens`, `0.5 usd`. By default "
            "50 calls, or what --mean-calls, or adaptive self-consistency's calls, allow.",
        ),
    ] = None,
    target_error: Annotated[
        float | None,
        typer.Option(
            help="Certify: at most this share of the accepted answers is wrong, such as 0.05. Half of the questions "
            "then fit, and the other half certifies."
        ),
    ] = None,
    confidence: Annotated[float, typer.Option(help="With what confidence it is certified.")] = 0.95,
    grader: options.GraderName = "auto",
    seed: options.Seed = 0,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Turn a DM's logits into probabilities on the calibration split, and choose there when the loop stops.

    Runs that explored (`create_drr_graph(…, explore=0.05)`) stand for those that an accept cut off. What has an answer
    without a label is left out of the loop's part.

    What it prints of the loop is on the very questions the threshold was chosen on, and so a little too good: use
    `drr evaluate` with fresh questions before you believe it.

    With `--target-error`, the threshold is one for which a share of wrong answers among the accepted is certified, and
    how much is accepted is told. Where the labels cannot support that, it says how many would be needed.

        drr calibrate dm data --target-error 0.05 --confidence 0.95
    """
    if worth is not None and mean_calls is not None:
        raise ConfigError(
            f"`--worth` and `--mean-calls` each say how long to think, got {worth!r} and {mean_calls!r}; give one"
        )
    data, equality = load_dataset(dataset), get_grader(grader)
    terms = None
    if target_error is not None:
        terms = Terms(target_error=target_error, confidence=confidence, max_turns=max_turns, grader=equality)
    calls = None if worth is None else worth_in_calls(worth, data.rows("calibration"))
    if read_manifest(dm).text is not None:
        data.require_texts(instead="train on signals alone (`--inputs signals`), or ")

    def fit(rows: Sequence[Behavior]) -> Fitted:
        metrics = calibrate_dm(folder, [row for row in rows if is_labelled(row)], seed=seed, progress=not quiet)
        consensus = calibrate_consensus(
            folder, rows, max_turns=max_turns, mean_calls=mean_calls, grader=equality, seed=seed
        )
        stopping = calibrate_stopping(
            folder, rows, max_turns=max_turns, mean_calls=mean_calls, worth=calls, grader=equality, seed=seed
        )
        return Fitted(metrics, consensus, stopping)

    with changing(dm) as folder:  # the old calibration goes with its threshold and certificate, or none of them does
        promise, fitted = _calibrate(folder, data, fit, terms)
    show_metrics({**fitted.metrics, **_loop(fitted, promise)}, dm, json=json)
    for doubt in _doubts(fitted.metrics["judged_share"] or 0.0, fitted.consensus.coverage):
        errors.print(doubt, style="yellow", highlight=False)
    if promise is not None:
        _tell(promise, json=json)


def _calibrate(
    folder: Path, data: Dataset, fit: Callable[[Sequence[Behavior]], Fitted], terms: Terms | None
) -> tuple[Promise | None, Fitted]:
    """Fit, and certify where terms are given; what is not certified costs the calibration no question."""
    rows = data.rows("calibration")
    update_manifest(folder, certificates=())
    if terms is None:
        return None, fit(rows)
    promise, fitted = certify_half(folder, rows, fit, terms, dataset=data.digest)
    return promise, fit(rows) if fitted is None or isinstance(promise, Refusal) else fitted


def _loop(fitted: Fitted, promise: Promise | None) -> Metrics:
    """The loop's numbers: of the certified threshold where there is one, else of the setting that was chosen."""
    chosen, stopping = fitted.consensus, fitted.stopping
    if isinstance(promise, Certificate):
        low, high = promise.coverage_ci
        numbers = promise.model_dump(exclude={"schema_version", "coverage_ci", "depends_on"})
        return {
            f"certified_{name}": value
            for name, value in (numbers | {"coverage_low": low, "coverage_high": high}).items()
        }
    setting = {"threshold": chosen.policy.threshold} if stopping is None else {"worth_in_calls": stopping.worth}
    point = chosen if stopping is None else stopping
    loop: Metrics = {
        **setting,
        "accuracy_in_sample": point.accuracy,
        "mean_calls_in_sample": point.mean_calls,
        "effective_questions": point.effective_questions,
        **({} if chosen.coverage is None else chosen.coverage._asdict()),
    }
    needed: Metrics = {"needed_questions": promise.needed} if isinstance(promise, Refusal) else {}
    return {f"loop_{name}": value for name, value in loop.items()} | needed


def _tell(promise: Promise, *, json: bool) -> None:
    """The promise, or why there is none, and then the status that says so."""
    if isinstance(promise, Certificate):
        (errors if json else out).print(promise.sentence, style="bold", highlight=False)
        if promise.depends_on.is_mixed:
            errors.print(
                "No graph will run certified by it: its labels are of several or unknown Reasoners, prompts or kinds "
                "of feedback, and a graph runs one of each. `drr harvest --where` makes a dataset of one.",
                style="yellow",
                highlight=False,
            )
        return
    errors.print("not certified:", style="bold red", end=" ")
    errors.print(promise.reason, highlight=False, soft_wrap=True)
    errors.print("The DM is calibrated on the whole split, as without `--target-error`.", highlight=False)
    raise typer.Exit(1)


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
