"""From runs and scores to the parts of a report."""

import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from statistics import fmean
from typing import Literal

import numpy as np
import numpy.typing as npt

from drr_agent.errors import DataError
from drr_agent.evaluation import metrics
from drr_agent.evaluation.outcomes import (
    ScoredAttempts,
    fixed_and_harmed,
    precision_recall_by_turn,
    question_of,
)
from drr_agent.evaluation.report import (
    Bin,
    DMResult,
    Environment,
    Example,
    ExampleAttempt,
    ScoreHistogram,
    StrategyResult,
    TurnResult,
)
from drr_agent.grading import Grader
from drr_agent.state import Attempt, Run

_PACKAGES = ("drr-agent", "torch", "transformers", "langgraph", "langchain-core", "scikit-learn", "numpy")
_HISTOGRAM_BINS = 20
_RATIONALE_CHARS = 1200


def summarize_runs(
    strategy: str, setting: str, runs: Sequence[Run], grader: Grader, *, seed: int = 0
) -> StrategyResult:
    """What a strategy's runs came to.

    Args:
        strategy: its name.
        setting: what tells it from its other settings; may be empty.
        runs: its runs, of any number of draws a question.
        grader: says who is right.
        seed: of the bootstrap, used where questions were asked more than once.

    Raises:
        DataError: no runs.
    """
    if not runs:
        raise DataError(f"expected runs of {strategy!r} {setting!r}, got none; check the filter that chose them")
    changes = fixed_and_harmed(runs, grader)
    accuracy, bounds = _accuracy(runs, grader, seed)
    graded = [run for run in runs if run["target"] is not None]
    accepted = [grader.grade(run["answer"], run["target"]) for run in graded if run["accepted"]]
    metered = [run["usage"] for run in runs if not run["usage"]["unmetered_calls"]]
    return StrategyResult(
        strategy=strategy,
        setting=setting,
        n=len(graded),
        accuracy=accuracy,
        accuracy_ci=bounds,
        mean_turns=fmean(len(run["attempts"]) for run in runs),
        mean_calls=fmean(run["usage"]["calls"] for run in runs),
        mean_tokens=fmean(usage["input_tokens"] + usage["output_tokens"] for usage in metered) if metered else None,
        mean_seconds=fmean(sum(attempt["seconds"] for attempt in run["attempts"]) for run in runs),
        accept_rate=fmean(run["accepted"] for run in runs),
        accepted=len(accepted),
        wrong_of_accepted=fmean(label != "correct" for label in accepted) if accepted else None,
        abstained=sum(run["answer"] is None and run["stop_reason"] != "error" for run in runs),
        failed=sum(run["stop_reason"] == "error" for run in runs),
        ungraded=sum(run["target"] is None for run in runs),
        unmetered=len(runs) - len(metered),
        stop_reasons=dict(Counter(run["stop_reason"] for run in runs).most_common()),
        turns=dict(sorted(Counter(len(run["attempts"]) for run in runs).items())),
        fixed=len(changes.fixed),
        harmed=len(changes.harmed),
        changes_left_out=changes.left_out,
        by_turn=[TurnResult(**row) for row in precision_recall_by_turn(runs, grader)],
    )


def summarize_dm(
    attempts: ScoredAttempts,
    *,
    uncalibrated: npt.ArrayLike | None = None,
    parts: Mapping[str, Sequence[float | None]] | None = None,
) -> DMResult:
    """What the scores of a DM are worth.

    Args:
        attempts: from `scored_attempts`; the scores are calibrated probabilities.
        uncalibrated: what the probabilities were before calibration, for the same attempts.
        parts: other scores of the same attempts by name, such as `text alone`; `None` where one is unknown.

    Raises:
        DataError: lengths differ, or a probability is NaN or outside [0, 1].
    """
    scores, labels, questions, left_out = attempts
    return DMResult(
        auroc=metrics.auroc(scores, labels),
        within_question_auroc=metrics.within_question_auroc(scores, labels, questions),
        ece=metrics.ece(scores, labels),
        brier=metrics.brier(scores, labels),
        n=len(scores),
        left_out=left_out,
        within_question_auroc_of={
            name: _within_question_of(values, attempts) for name, values in (parts or {}).items()
        },
        reliability=_bins(scores, labels),
        reliability_before=None if uncalibrated is None else _bins(uncalibrated, labels),
        scores=ScoreHistogram(right=_histogram(scores[labels]), wrong=_histogram(scores[~labels])),
    )


def pick_examples(strategy: str, runs: Iterable[Run], grader: Grader, *, each: int = 3) -> list[Example]:
    """The first fixed and the first harmed runs, to read; first as logged, not as liked."""
    fixed, harmed, _ = fixed_and_harmed(runs, grader)
    chosen = [*(("fixed", run) for run in fixed[:each]), *(("harmed", run) for run in harmed[:each])]
    return [_example("fixed" if change == "fixed" else "harmed", strategy, run, grader) for change, run in chosen]


def describe_environment(
    *, reasoner: str, dm: str | None, dataset: str | None, seeds: Mapping[str, int]
) -> Environment:
    """This process: versions, cores and what was given. No host name and no path."""
    versions = {name: _version(name) for name in _PACKAGES}
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        versions={name: found for name, found in versions.items() if found is not None},
        seeds=dict(seeds),
        reasoner=reasoner,
        dm=dm,
        dataset=dataset,
    )


def _accuracy(runs: Sequence[Run], grader: Grader, seed: int) -> tuple[float | None, tuple[float, float] | None]:
    """Share of right runs with its interval; draws of one question are not independent, so they share a vote there."""
    questions: dict[str, list[bool]] = {}
    for run in runs:
        if run["target"] is not None:
            right = grader.grade(run["answer"], run["target"]) == "correct"
            questions.setdefault(question_of(run), []).append(right)
    outcomes = [right for draws in questions.values() for right in draws]
    if not outcomes:
        return None, None
    if len(questions) == len(outcomes):
        return fmean(outcomes), metrics.accuracy_ci(outcomes)
    found = metrics.bootstrap_ci([fmean(draws) for draws in questions.values()], seed=seed)
    return (found.mean, (found.low, found.high)) if found else (None, None)


def _within_question_of(values: Sequence[float | None], attempts: ScoredAttempts) -> float | None:
    if len(values) != len(attempts.scores):
        raise DataError(f"expected a value for each of {len(attempts.scores)} attempts, got {len(values)}")
    rows = zip(values, attempts.labels, attempts.questions, strict=True)
    known = [(value, label, question) for value, label, question in rows if value is not None]
    scores, labels, questions = zip(*known, strict=True) if known else ((), (), ())
    return metrics.within_question_auroc(scores, labels, questions)


def _bins(probabilities: npt.ArrayLike, labels: metrics.Bools) -> list[Bin]:
    return [Bin(**row) for row in metrics.reliability(probabilities, labels)]


def _histogram(scores: metrics.Floats) -> list[int]:
    return [int(count) for count in np.histogram(scores, bins=_HISTOGRAM_BINS, range=(0.0, 1.0))[0]]


def _example(change: Literal["fixed", "harmed"], strategy: str, run: Run, grader: Grader) -> Example:
    return Example(
        change=change,
        strategy=strategy,
        question=run["question"],
        target=run["target"] or "",
        attempts=[
            _example_attempt(attempt, grader, run["target"], chosen=index == run["choice"])
            for index, attempt in enumerate(run["attempts"])
        ],
    )


def _example_attempt(attempt: Attempt, grader: Grader, target: str | None, *, chosen: bool) -> ExampleAttempt:
    label = grader.grade(attempt["answer"], target)
    rationale = attempt["rationale"]
    return ExampleAttempt(
        turn=attempt["turn"],
        rationale=rationale if len(rationale) <= _RATIONALE_CHARS else rationale[:_RATIONALE_CHARS] + " …",
        answer=attempt["answer"],
        score=attempt["score"],
        verdict=attempt["verdict"],
        right=None if label is None else label == "correct",
        chosen=chosen,
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
