"""Certify: a threshold at which, with a stated confidence, at most a stated share of the accepted answers is wrong.

Learn-then-Test (Angelopoulos et al. 2021, arXiv 2110.01052). For each cutoff of a grid that is fixed in advance, the
null hypothesis is P(wrong | accepted) > target. One row a question makes rows independent, so given how many are
accepted, the wrong ones are binomial, and Binom.cdf(wrong; accepted, target) is an exact p-value.

That many cutoffs are tried is accounted for by testing them in an order, with a budget of 1 - confidence for any false
rejection among all (the fallback procedure, Wiens and Dmitrienko 2005; section 5 of Learn-then-Test in its plainer
form). A rejection passes its level on to the next in order, and a failure ends the pass. From the strictest cutoff
down, the budget is shared by evenly spaced starts, since at the strictest too little is accepted to prove anything. An
order that other data suggested needs one start, and proves about twice as much from the same labels.

Abstentions, attempts without a score and replies without an answer are no accepts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from drr_agent.errors import ConfigError
from drr_agent.training.refusal import Counts, Refusal, check_target, refuse

_STARTS = 12
"""Places at which the pass from the strictest cutoff down begins anew, where no other data say where to begin."""

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class Certified(NamedTuple):
    """The certified cutoff that accepts the most."""

    cutoff: float
    coverage: float
    """Share of the questions that end in an accept."""
    coverage_ci: tuple[float, float]
    """Clopper and Pearson's interval (1934) at the confidence, whatever the unfinished runs would have come to."""
    accepted: int
    wrong: int
    unfinished: int
    """Tested as accepted and wrong beside these, though nobody knows; no part of the coverage."""
    questions: int
    error_bound: float
    """Clopper and Pearson's upper bound of the error at the confidence, of this cutoff alone, at the worst."""
    tried: int
    """Cutoffs on the grid."""


def certify(
    accepted: Bools,
    right: Bools,
    cutoffs: Sequence[float],
    *,
    target_error: float,
    confidence: float,
    order: Sequence[int] | None = None,
    share: float = 1.0,
    unfinished: Bools | None = None,
    other: tuple[Bools, Bools] | None = None,
) -> Certified | Refusal:
    """The cutoff of the largest coverage among those certified, or why there is none.

    A run that nobody knows the end of is tested as accepted and wrong. That is the worst for the promise: whatever it
    would have come to, the p-value would have been at most this one, since an accept that is right, or none, leaves
    Binom.cdf no larger. As coverage it would be the best, so it is no part of that.

    Args:
        accepted: whether a question's run ends in an accept; shape (questions, cutoffs), independent rows.
        right: whether the answer accepted there is right; same shape, read only where it is accepted.
        cutoffs: the grid, fixed without these data.
        target_error: the largest share of wrong answers among those accepted.
        confidence: the probability that the promise holds, over the choice of the cutoff too.
        order: places in `cutoffs` in the order to test them, fixed without these data; those left out are not tested.
        share: the share of all labelled questions that these are; what a refusal says is needed is of all.
        unfinished: which of the accepts only stand for that; same shape. By default none.
        other: accepted and right on other questions. They prove nothing; what a refusal says is needed rests on them
            too, and the order of the tests for what it says is attainable.

    Raises:
        ConfigError: a share that is no probability, or shapes that differ.
    """
    check_target(target_error, confidence)
    _check(accepted, right, cutoffs, order)
    counts = _count(accepted, right)
    known = counts.accepted if unfinished is None else (accepted & ~unfinished).sum(axis=0)
    passed, budget = _certified(counts, cutoffs, target_error, confidence, order)
    if not passed:
        seen = counts if other is None else counts.with_those_of(_count(*other))
        refusal = refuse(counts, seen, cutoffs, budget, target_error, share)
        return refusal._replace(attainable=_attainable(counts, cutoffs, target_error, confidence, other))
    best = max(passed, key=lambda place: int(known[place]))
    return _describe(counts, int(known[best]), best, cutoffs, confidence)


def best_first(accepted: Bools, right: Bools, cutoffs: Sequence[float], *, target_error: float) -> list[int]:
    """An order for `certify` on other questions: from the cutoff that is proved best here, ever less strict.

    Stricter ones are left out: they would prove no more.
    """
    counts = _count(accepted, right)
    downward = np.argsort(np.asarray(cutoffs), kind="stable")[::-1]
    values = _p_values(counts, target_error)[downward]
    return [int(place) for place in downward[int(np.argmin(values)) :]]


def _count(accepted: Bools, right: Bools) -> Counts:
    return Counts(accepted.sum(axis=0), (accepted & ~right).sum(axis=0), len(accepted))


def _certified(
    counts: Counts, cutoffs: Sequence[float], target_error: float, confidence: float, order: Sequence[int] | None
) -> tuple[list[int], float]:
    """Places of the certified cutoffs in their order, and the largest budget that a test had of its own."""
    sequence, budgets = _plan(cutoffs, order, 1.0 - confidence)
    passed = _fallback(_p_values(counts, target_error)[sequence], budgets)
    return [int(sequence[place]) for place in passed], float(budgets.max())


def _attainable(
    counts: Counts,
    cutoffs: Sequence[float],
    target_error: float,
    confidence: float,
    other: tuple[Bools, Bools] | None,
) -> float | None:
    """The smallest target above the one that was asked for which these would have been certified."""
    for target in (percents / 100 for percents in range(1, 51) if percents / 100 > target_error):
        order = None if other is None else best_first(*other, cutoffs, target_error=target)
        if _certified(counts, cutoffs, target, confidence, order)[0]:
            return target
    return None


def _plan(cutoffs: Sequence[float], order: Sequence[int] | None, budget: float) -> tuple[npt.NDArray[np.intp], Floats]:
    """The places to test in their order, and the budget that each brings of its own."""
    if order is not None:
        return np.asarray(order, dtype=np.intp), np.array([budget] + [0.0] * (len(order) - 1))
    sequence = np.argsort(np.asarray(cutoffs), kind="stable")[::-1]
    starts = np.unique(np.linspace(0, len(cutoffs), num=_STARTS, endpoint=False).astype(int))
    budgets = np.zeros(len(cutoffs))
    budgets[starts] = budget / len(starts)
    return sequence, budgets


def _fallback(p_values: Floats, budgets: Floats) -> list[int]:
    """Places of the rejected, by Wiens and Dmitrienko's fallback procedure."""
    rejected, carried = [], 0.0
    for place, (p_value, budget) in enumerate(zip(p_values, budgets, strict=True)):
        level = carried + budget
        passes = level > 0.0 and p_value <= level
        carried = level if passes else 0.0
        if passes:
            rejected.append(place)
    return rejected


def _p_values(counts: Counts, target_error: float) -> Floats:
    """P(at most as many wrong | the error is the target); 1 where nothing is accepted, which proves nothing."""
    from scipy.special import bdtr

    values: Floats = np.where(counts.accepted > 0, bdtr(counts.wrong, np.maximum(counts.accepted, 1), target_error), 1)
    return values


def _describe(counts: Counts, known: int, best: int, cutoffs: Sequence[float], confidence: float) -> Certified:
    tested, wrong, questions = int(counts.accepted[best]), int(counts.wrong[best]), counts.questions
    tail = (1.0 - confidence) / 2
    return Certified(
        cutoff=float(cutoffs[best]),
        coverage=known / questions,
        coverage_ci=(1.0 - _upper(questions - known, questions, tail), _upper(tested, questions, tail)),
        accepted=known,
        wrong=wrong - (tested - known),
        unfinished=tested - known,
        questions=questions,
        error_bound=_upper(wrong, tested, 1.0 - confidence),
        tried=len(cutoffs),
    )


def _upper(successes: int, trials: int, tail: float) -> float:
    """Clopper and Pearson's upper end: the share at which so few successes have the probability `tail`."""
    from scipy.special import betaincinv

    return 1.0 if successes == trials else float(betaincinv(successes + 1, trials - successes, 1.0 - tail))


def _check(accepted: Bools, right: Bools, cutoffs: Sequence[float], order: Sequence[int] | None) -> None:
    if accepted.shape != right.shape or accepted.shape[1:] != (len(cutoffs),) or not len(cutoffs):
        raise ConfigError(
            f"`accepted` and `right` must have a row a question and a column for each of {len(cutoffs)} cutoffs, at "
            f"least one; got {accepted.shape} and {right.shape}"
        )
    if order is not None and (not order or len(set(order)) < len(order) or not set(order) <= set(range(len(cutoffs)))):
        raise ConfigError(f"`order` must name places of the {len(cutoffs)} cutoffs, each once, got {list(order)!r}")
