"""Learn when to stop: the model of answers, and what one more turn is worth, from logged attempts.

First P(right) of each distinct answer after each turn is fitted. Then backward induction over turns, by regression on
what really came of each logged run (Longstaff and Schwartz 2001): at the last turn a run is worth 1 or 0; before it, it
is worth what it would come to under the rule already found for the later turns.
"""

from collections.abc import Sequence

import numpy as np

from drr_agent.dm.folds import Indices
from drr_agent.dm.fusion import fit_columns
from drr_agent.errors import DataError
from drr_agent.grading import AUTO, Grader
from drr_agent.stopping.answers import SIGNS
from drr_agent.stopping.beliefs import AnswerModel
from drr_agent.stopping.policy import StoppingModel
from drr_agent.stopping.values import TurnValues, TurnWeights, basis
from drr_agent.training.logged import LabelledQuestion
from drr_agent.training.paths import AnswerTable, Bools, Floats, Paths, best_two, scored, tabulate

PRICES = tuple(float(f"{price:.3g}") for price in np.geomspace(0.0005, 0.5, 31))
"""Of a turn, in right answers: a right answer is worth 2 to 2,000 calls."""
_LEAST_QUESTIONS = 50
"""With fewer, what is learned is mostly luck."""
_FOLDS = 3
_RIDGE = 3.0
"""As much as so many readings that say another turn makes no difference."""
_DIGITS = 6
_MOST_TURNS = 16
"""Of the shorter horizons that are learned, too: near the end of longer runs little is left to be worth a turn."""


def fit_stopping(questions: Sequence[LabelledQuestion], *, grader: Grader = AUTO, seed: int = 0) -> StoppingModel:
    """Learn a `StoppingModel` from labelled readings whose scores come from a DM that was not trained on them.

    Beliefs that the values are learned from are those of folds that left their question out.

    Raises:
        DataError: fewer than 50 questions have several attempts, or all answers are right or all wrong.
    """
    table = tabulate(questions, grader=grader, seed=seed)
    several = len(np.unique(table.readings.questions[table.readings.ends > 0]))
    if several < _LEAST_QUESTIONS:
        raise DataError(
            f"expected at least {_LEAST_QUESTIONS} questions with several attempts, all judged, to learn when to stop, "
            f"got {several}; log several draws a question (`drr distill`), and label them"
        )
    table = scored(table)
    model = fit_answers(table, seed=seed)
    paths = best_two(table, _held_out(table, model.fusion.regularization, seed))
    return StoppingModel(
        answers=model,
        values=fit_values(paths),
    )


def fit_answers(table: AnswerTable, *, seed: int = 0) -> AnswerModel:
    """The model of answers, by maximum likelihood over every turn of every reading.

    Raises:
        DataError: all answers are right or all wrong.
    """
    own = table.readings.own[table.reading]  # enough to choose the penalty by: the other orders say much the same
    regularization = _fit(table, own, seed).fusion.regularization
    return _fit(table, np.ones_like(own), seed, regularization)


def fit_values(paths: Paths, prices: Sequence[float] = PRICES) -> TurnValues:
    """What one more turn is worth, by backward induction, at each price of a turn and for each number of turns.

    Args:
        paths: along readings whose beliefs come from models that were not fitted to them.
        prices: of a turn, in right answers; rising.
    """
    grid, horizon = np.array(prices), paths.best.shape[1]
    shorter = [_induce(paths, grid, turns) for turns in range(2, min(horizon, _MOST_TURNS + 1))]
    return TurnValues(prices=tuple(prices), weights=_induce(paths, grid, horizon), shorter=tuple(shorter))


def _induce(paths: Paths, grid: Floats, horizon: int) -> TurnWeights:
    """Backward induction from the last of so many turns, where every run ends."""
    ends = np.minimum(paths.readings.ends, horizon - 1)
    weights = paths.readings.weights / paths.readings.weights.mean()
    right_at_end = paths.right[np.arange(len(ends)), ends].astype(np.float64)
    value = np.repeat(right_at_end[:, None], len(grid), axis=1)
    learned = []
    for turn in range(horizon - 2, -1, -1):
        rows = np.flatnonzero(ends > turn)
        now = paths.right[rows, turn].astype(np.float64)[:, None]
        seen = basis(paths.best[rows, turn], paths.second[rows, turn])
        found = _ridge(seen, value[rows] - grid - now, weights[rows])
        value[rows] = np.where(seen @ found > 0, value[rows] - grid, now)
        learned.append(tuple(tuple(round(float(w), _DIGITS) for w in column) for column in found.T))
    return tuple(reversed(learned))


def _ridge(seen: Floats, targets: Floats, weights: Floats) -> Floats:
    """Weighted ridge regression of many targets at once; shape (basis, targets)."""
    weighted: Floats = seen * weights[:, None]
    penalty = _RIDGE * np.eye(seen.shape[1])
    return np.asarray(np.linalg.solve(weighted.T @ seen + penalty, weighted.T @ targets), dtype=np.float64)


def _held_out(table: AnswerTable, regularization: float, seed: int) -> Floats:
    """P(right) of each row, from models that were fitted to other questions."""
    folds: Indices = np.random.default_rng(seed).permutation(table.readings.questions.max() + 1) % _FOLDS
    fold = folds[table.readings.questions[table.reading]]
    probabilities = np.empty(len(fold))
    for number in range(_FOLDS):
        held: Bools = fold == number
        if held.any():
            model = _fit(table, ~held, seed, regularization)
            probabilities[held] = model.probabilities({name: col[held] for name, col in table.columns.items()})
    return probabilities


def _fit(table: AnswerTable, rows: Bools, seed: int, regularization: float | None = None) -> AnswerModel:
    reading = table.reading[rows]
    readings = table.readings
    fitted = fit_columns(
        {name: column[rows] for name, column in table.columns.items()},
        table.right[rows].tolist(),
        [str(number) for number in readings.questions[reading]],
        pair_weight=0.0,
        row_weights=readings.weights[reading] / (readings.ends[reading] + 1),
        signs=SIGNS,
        regularization=regularization,
        seed=seed,
    )
    return AnswerModel(fusion=fitted.fusion)
