"""One strategy against another over the same questions, at the same Reasoner calls, and what that says in words.

"Voting at equal cost" is exact: two settings of a baseline can be mixed, one answering some of the questions and the
other the rest, so every point on the line between them can be had. A comparison takes the best such mix that costs no
more than the strategy under test. It is picked on the very questions it is judged on, which favors the baseline.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from drr_agent.errors import DataError
from drr_agent.evaluation.metrics import paired_difference
from drr_agent.evaluation.outcomes import question_of
from drr_agent.evaluation.report import Against, Comparison, label
from drr_agent.evaluation.table import points
from drr_agent.evaluation.verdict import MARGIN, judge_comparisons
from drr_agent.grading import Grader
from drr_agent.state import Run


class Arm(NamedTuple):
    """The runs of one strategy in one setting."""

    strategy: str
    setting: str
    runs: Sequence[Run]

    @property
    def label(self) -> str:
        """How it is called in the report."""
        return label(self.strategy, self.setting)


class Point(NamedTuple):
    """What a strategy costs, and how often it is right."""

    calls: float
    accuracy: float


Mix = dict[int, float]
"""The share of the questions that each baseline, by its index, answers."""


def compare(arm: Arm, baselines: Sequence[Arm], grader: Grader, *, against: Against, seed: int) -> Comparison:
    """Set a strategy against the best mix of baselines that costs no more Reasoner calls.

    Where every baseline costs more, the cheapest one is taken. Draws of the same question are averaged first.

    Args:
        arm: the strategy under test.
        baselines: what to use instead; a single one is compared as it is.
        grader: says who is right; an abstention is not.
        against: what the baselines are, for the verdict.
        seed: of the bootstrap.

    Raises:
        DataError: no baseline, or no question with a target that all were asked.
    """
    tables = [_question_points(side.runs, grader) for side in (arm, *baselines)]
    shared = sorted(set.intersection(*(set(table) for table in tables))) if baselines else []
    if not shared:
        labels = [side.label for side in (arm, *baselines)]
        raise DataError(
            f"expected questions with targets that all sides were asked, got none for {labels!r}; "
            "run them over the same samples"
        )
    own, *others = (np.array([table[key] for key in shared]) for table in tables)
    rivals = [Point(*rows.mean(axis=0)) for rows in others]
    subject = Point(*own.mean(axis=0))
    mix = equal_cost_mix(rivals, subject.calls)
    mixed = np.average([others[index] for index in mix], axis=0, weights=list(mix.values()))
    gain = paired_difference(own[:, 1], mixed[:, 1], seed=seed)
    assert gain is not None  # there is at least one shared question
    return Comparison(
        strategy=arm.strategy,
        setting=arm.setting,
        against=against,
        baseline=_describe(mix, baselines),
        n=len(shared),
        left_out=len(set().union(*tables)) - len(shared),
        accuracy=subject.accuracy,
        baseline_accuracy=min(1.0, float(mixed[:, 1].mean())),
        calls=subject.calls,
        baseline_calls=float(mixed[:, 0].mean()),
        difference=gain.mean,
        difference_ci=(gain.low, gain.high),
        calls_to_match=calls_to_match(rivals, subject.accuracy),
    )


def equal_cost_mix(points: Sequence[Point], calls: float) -> Mix:
    """The most accurate mix of at most two points that costs at most `calls`; else the cheapest point alone."""
    affordable = [index for index, point in enumerate(points) if point.calls <= calls]
    dearer = [index for index, point in enumerate(points) if point.calls > calls]
    if not affordable:
        return {min(dearer, key=lambda index: points[index].calls): 1.0}
    mixes: list[Mix] = [{index: 1.0} for index in affordable]
    for low, high in product(affordable, dearer):
        share = (calls - points[low].calls) / (points[high].calls - points[low].calls)
        mixes.append({low: 1.0 - share, high: share})
    return max(mixes, key=lambda mix: sum(share * points[index].accuracy for index, share in mix.items()))


def calls_to_match(points: Sequence[Point], accuracy: float) -> float | None:
    """The fewest calls at which a mix of at most two points reaches the accuracy; `None` when none does."""
    reaching = [point for point in points if point.accuracy >= accuracy]
    below = [point for point in points if point.accuracy < accuracy]
    costs = [point.calls for point in reaching]
    for low, high in product(below, reaching):
        share = (accuracy - low.accuracy) / (high.accuracy - low.accuracy)
        costs.append(low.calls + share * (high.calls - low.calls))
    return min(costs, default=None)


def verdict(comparisons: Iterable[Comparison], *, margin: float = MARGIN) -> str:
    """Whether looping helps, in one sentence, from the intervals of the paired differences; or why nobody can tell yet.

    Args:
        comparisons: of one strategy, the first one's: against `single_pass`, and against `voting` where it was tried.
        margin: the gain in accuracy that is not worth having; a gain that is surely below it is called none.
    """
    rows = list(comparisons)
    found = judge_comparisons(rows, margin=margin)
    if found is not None and found.unknown:
        return str(found)
    by_kind = {row.against: row for row in rows if (row.strategy, row.setting) == (rows[0].strategy, rows[0].setting)}
    single, voting = by_kind.get("single_pass"), by_kind.get("voting")
    if single is None:
        return "No verdict: nothing was compared with a single pass."
    low, high = single.difference_ci
    if high < 0:
        return f"Looping hurts here: {_standing(single)}, {_gap(single)} than a {single.baseline}."
    if low <= 0:
        finding = "One attempt is enough here" if high < margin else "No gain over one attempt could be shown"
        return f"{finding}: {_standing(single)}, {_gap(single)} than a {single.baseline}."
    gain = f"{_standing(single)}, {_gap(single)} than a {single.baseline}"
    if voting is not None and voting.baseline == single.baseline:
        return f"The loop helps: {gain}, and no voting at as many calls does better than that one{_price(voting)}."
    return _against_voting(gain, voting, margin)


def _against_voting(gain: str, voting: Comparison | None, margin: float) -> str:
    if voting is None:
        return f"Thinking again helps: {gain}; voting was not tried."
    low, high = voting.difference_ci
    rival = f"{_gap(voting)} than voting at {_cost(voting)}"
    if low > 0:
        return f"The loop helps: {gain}, and {rival}{_price(voting)}."
    if high < 0:
        return f"Thinking again helps, but voting does it better: {gain}, yet {rival}."
    if high < margin:
        return f"Thinking again helps, but plain voting does as well: {gain}, but {rival}."
    return f"Thinking again helps, but no gain over voting could be shown: {gain}, but {rival}."


def _standing(comparison: Comparison) -> str:
    name = label(comparison.strategy, comparison.setting)
    share = f"{100 * comparison.accuracy:.1f} % of {comparison.n:,} questions"
    return f"{name} is right on {share} with {comparison.calls:.2f} Reasoner calls each"


def _gap(comparison: Comparison) -> str:
    low, high = comparison.difference_ci
    word = "more" if comparison.difference >= 0 else "less"
    size = f"{abs(100 * comparison.difference):.1f} points {word}"
    return f"{size} (95 % interval {points(low)} to {points(high)})"


def _cost(comparison: Comparison) -> str:
    """The baseline's cost beside the strategy's own; the same to 5 % is called the same."""
    ratio = comparison.baseline_calls / comparison.calls if comparison.calls else 1.0
    return "as many calls" if 0.95 <= ratio <= 1.05 else f"{comparison.baseline_calls:.2f} calls"


def _price(voting: Comparison) -> str:
    if voting.calls_to_match is None:
        return "; no voting setting tried reaches that"
    return f"; voting needs {voting.calls_to_match:.2f} calls for that"


def _describe(mix: Mix, baselines: Sequence[Arm]) -> str:
    if len(mix) == 1:
        return baselines[next(iter(mix))].label
    return ", ".join(f"{100 * share:.0f} % {baselines[index].label}" for index, share in mix.items())


def _question_points(runs: Iterable[Run], grader: Grader) -> dict[str, Point]:
    """Mean calls and accuracy of each question that has a target."""
    rows: dict[str, list[Point]] = {}
    for run in runs:
        if run["target"] is not None:
            right = grader.grade(run["answer"], run["target"]) == "correct"
            rows.setdefault(question_of(run), []).append(Point(run["usage"]["calls"], float(right)))
    return {question: Point(*np.mean(draws, axis=0)) for question, draws in rows.items()}
