"""What `drr calibrate` prints: the numbers, what to know before they are believed, the promise, and what is next."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import typer

from drr_agent.cli.console import errors, out, show_metrics
from drr_agent.dm.certificate import Certificate, percent
from drr_agent.dm.manifest import Metrics
from drr_agent.evaluation.table import doubt_ranking
from drr_agent.training.behaviors import is_labelled
from drr_agent.training.certification import Promise, Terms
from drr_agent.training.dataset import Dataset
from drr_agent.training.refusal import Refusal
from drr_agent.training.threshold import Operating
from drr_agent.training.weights import Coverage
from drr_agent.training.worth import WorthPoint

_FEWEST = 30
"""Effective questions below which nothing that is fitted to them can be believed."""
_COUNTS = frozenset({"judged_share", *(f"loop_{name}" for name in Coverage._fields)})
"""Numbers that say something only where they are above 0."""


class Fitted(NamedTuple):
    """What a fit says of itself."""

    metrics: Metrics
    consensus: Operating
    stopping: WorthPoint | None
    """`None` for a DM that has not learned when to stop."""


def tell_calibration(
    fitted: Fitted, promise: Promise | None, terms: Terms | None, *, dm: Path, data: Dataset, json: bool
) -> None:
    """Print what a calibration came to; where no certificate could be given, say why and end with status 1.

    Args:
        fitted: what was fitted.
        promise: the certificate or why there is none; `None` where none was asked for.
        terms: what was asked for.
        dm: the DM's folder.
        data: the dataset that it was calibrated on.
        json: whether to print the numbers as JSON.
    """
    numbers = {**fitted.metrics, **_loop(fitted, promise)}
    shown = numbers if json else {name: value for name, value in numbers.items() if value or name not in _COUNTS}
    show_metrics(shown, dm, json=json)
    for doubt in _doubts(fitted):
        errors.print(doubt, style="yellow", highlight=False)
    if isinstance(promise, Refusal) and terms is not None:
        _refuse(promise, terms, data)
    if isinstance(promise, Certificate):
        _promise(promise, json=json)
    if not json:
        out.print(
            f"Next: `drr replay {data.path} --dm {dm} --out replay` tells what it would have saved.", highlight=False
        )


def _promise(certificate: Certificate, *, json: bool) -> None:
    (errors if json else out).print(certificate.sentence, style="bold", highlight=False)
    if certificate.depends_on.is_mixed:
        errors.print(
            "No graph will run certified by it: its labels are of several or unknown Reasoners, prompts or kinds "
            "of feedback, and a graph runs one of each. `drr harvest --where` makes a dataset of one.",
            style="yellow",
            highlight=False,
        )


def _refuse(refusal: Refusal, terms: Terms, data: Dataset) -> None:
    """What was asked, what the data hold, and what to do; and then the status that says so."""
    asked = f"at most {percent(terms.target_error)} of the accepted answers wrong"
    errors.print("not certified:", style="bold red", end=" ")
    errors.print(
        f"asked was {asked}, with {percent(terms.confidence)} confidence; {refusal.reason}",
        highlight=False,
        soft_wrap=True,
    )
    if refusal.needed is not None:
        errors.print(_wanted(refusal.needed, terms, data), highlight=False)
    errors.print("The DM is calibrated on the whole split, as without `--target-error`.", highlight=False)
    raise typer.Exit(1)


def _wanted(needed: int, terms: Terms, data: Dataset) -> str:
    """How many more labels, and how to come by them."""
    counts = data.manifest.splits
    have = len({row["question_key"] for row in data.rows("calibration") if is_labelled(row)})
    more = max(1, needed - have)
    share = counts["calibration"].questions / max(1, sum(split.questions for split in counts.values()))
    return (
        f"To do: label about {more:,} more questions for the calibration split, which gets {share:.0%} of what is "
        f"harvested: {more / max(share, 0.01):,.0f} in all (`drr distill`, `drr label`, `drr harvest`); or ask for "
        f"less, such as `--target-error {min(0.5, 2 * terms.target_error):g}`."
    )


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


def _doubts(fitted: Fitted) -> Iterator[str]:
    """What to know before the numbers are believed."""
    metrics, questions = fitted.metrics, fitted.consensus.effective_questions
    doubt = doubt_ranking(metrics["within_question_auroc"], metrics["auroc"])
    if doubt is not None:
        yield doubt
    if questions < _FEWEST:
        yield (
            f"Only {questions:.0f} effective questions carry this calibration, and {_FEWEST} are the fewest to "
            "believe: neither its probabilities nor where it stops is sure. Log and label more (`drr distill`, "
            "`drr label`)."
        )
    yield from _doubts_of_labels(metrics["judged_share"] or 0.0, fitted.consensus.coverage)


def _doubts_of_labels(judged_share: float, coverage: Coverage | None) -> Iterator[str]:
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
