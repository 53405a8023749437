"""What `drr calibrate` prints: the numbers, what to know before they are believed, the promise, and what is next."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import typer

from drr_agent.cli.console import errors, out, show_metrics
from drr_agent.dm.certificate import Certificate, percent
from drr_agent.dm.manifest import Metrics
from drr_agent.evaluation.table import doubt_ranking
from drr_agent.training.certification import Promise, Terms
from drr_agent.training.dataset import Dataset
from drr_agent.training.refusal import Refusal
from drr_agent.training.threshold import Operating
from drr_agent.training.weights import Coverage, read_rows
from drr_agent.training.worth import WorthPoint

_FEWEST = 30
"""Effective questions below which nothing that is fitted to them can be believed."""
_COUNTS = frozenset(
    {"judged_share", "certified_unjudged_share", "certified_set_aside", *(f"loop_{name}" for name in Coverage._fields)}
)
"""Numbers that say something only where they are above 0."""


class Fitted(NamedTuple):
    """What a fit says of itself."""

    metrics: Metrics
    consensus: Operating
    stopping: WorthPoint | None
    """`None` for a DM that has not learned when to stop."""


def tell_calibration(
    fitted: Fitted, promise: Promise | None, terms: Terms | None, *, dm: Path, data: Dataset, max_turns: int, json: bool
) -> None:
    """Print what a calibration came to; where no certificate could be given, say why and end with status 1.

    Args:
        fitted: what was fitted.
        promise: the certificate or why there is none; `None` where none was asked for.
        terms: what was asked for.
        dm: the DM's folder.
        data: the dataset that it was calibrated on.
        max_turns: the most turns that it was calibrated for.
        json: whether to print the numbers as JSON.
    """
    numbers = {**fitted.metrics, **_loop(fitted, promise)}
    shown = numbers if json else {name: value for name, value in numbers.items() if value or name not in _COUNTS}
    show_metrics(shown, dm, json=json)
    for doubt in [*_doubts(fitted), *_doubts_of_length(data, max_turns)]:
        errors.print(doubt, style="yellow", highlight=False)
    if isinstance(promise, Refusal) and terms is not None:
        refuse(promise, terms, data)
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


def refuse(refusal: Refusal, terms: Terms, data: Dataset, *, kept: Sequence[Certificate] = ()) -> NoReturn:
    """Print what was asked, what the data hold, and what to do; and end with the status that says so.

    Args:
        refusal: why nothing is certified.
        terms: what was asked for.
        data: the dataset.
        kept: the certificates that the DM had, and keeps with their calibration.
    """
    asked = f"at most {percent(terms.target_error)} of the accepted answers wrong"
    errors.print("not certified:", style="bold red", end=" ")
    errors.print(
        f"asked was {asked}, with {percent(terms.confidence)} confidence; {refusal.reason}",
        highlight=False,
        soft_wrap=True,
    )
    for advice in (_wanted(refusal, data), _attainable(refusal)):
        if advice is not None:
            errors.print(advice, highlight=False)
    left = (
        f"keeps its certificate of at most {percent(kept[-1].target_error)} wrong, and its calibration" if kept else ""
    )
    errors.print(f"The DM {left or 'is calibrated on the whole split, as without `--target-error`'}.", highlight=False)
    raise typer.Exit(1)


def _wanted(refusal: Refusal, data: Dataset) -> str | None:
    """How many more labels, and how to come by them."""
    if refusal.more is None:
        return None
    counts = data.manifest.splits
    share = counts["calibration"].questions / max(1, sum(split.questions for split in counts.values()))
    few = None if refusal.at_least or refusal.fewest == refusal.more else refusal.fewest
    labels, harvested = (
        f"{'' if few is None else f'{few / part:,.0f} to '}{refusal.more / part:,.0f}"
        for part in (1.0, max(share, 0.01))
    )
    return (
        f"To do: label {'at least ' if refusal.at_least else ''}{labels} more questions for the calibration split, "
        f"which gets {share:.0%} of what is harvested: harvest {harvested} questions more (`drr distill`, "
        "`drr harvest`, `drr label --order random`)."
    )


def _attainable(refusal: Refusal) -> str | None:
    """What could be promised instead, and where."""
    if refusal.attainable is None:
        return None
    return (
        f"The least that these labels would have been certified for is `--target-error {refusal.attainable:g}`. Ask "
        "for that, or a little more, on other labels: a target that was chosen by looking at these does not keep its "
        "full confidence on them."
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
    needed: Metrics = {}
    if isinstance(promise, Refusal):
        needed = {"needed_questions": promise.needed, "attainable_target_error": promise.attainable}
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


def _doubts_of_length(data: Dataset, max_turns: int) -> Iterator[str]:
    longest = max((len(reading.rows) for reading in read_rows(data.rows("calibration"))), default=max_turns)
    if longest < max_turns:
        yield (
            f"No question of this log has more than {longest} attempts, so nobody knows what turns {longest + 1} to "
            f"{max_turns} bring: use `max_turns={longest}`, or log more of them (`drr distill --attempts {max_turns}`)."
        )


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
            f"{coverage.unexplored} runs were accepted, stopped or sent to review, and no run of their Reasoner that "
            "ended in the same way explored: what later turns would have brought, this log cannot tell. "
            "`create_drr_graph(…, explore=0.05)` makes one that can."
        )
