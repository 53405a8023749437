"""What a right answer is taken to be worth, and how sure the answers are: a stopping policy at the live base rate."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from drr_agent.dm.calibration import fit_calibration, gains_surely, log_losses
from drr_agent.dm.folder import load_dm, update_manifest
from drr_agent.grading import AUTO, Grader
from drr_agent.stopping import StoppingModel, StoppingPolicy
from drr_agent.stopping.beliefs import AnswerModel
from drr_agent.training.behaviors import Behavior
from drr_agent.training.logged import label_questions, require_judged
from drr_agent.training.operating import Counts, Walks, try_cutoff
from drr_agent.training.paths import AnswerTable, break_even_prices, follow, scored, tabulate
from drr_agent.training.threshold import adaptive_calls

WORTHS = tuple(float(f"{worth:.3g}") for worth in np.geomspace(2.5, 1500.0, 50))
"""Of a right answer in Reasoner calls, that are tried."""


class WorthPoint(NamedTuple):
    """A setting of the stopping policy with what it gave on the questions it was chosen on."""

    worth: float
    """Of a right answer, in Reasoner calls."""
    accuracy: float
    mean_calls: float
    effective_questions: float
    """See `drr_agent.training.threshold.Operating`."""


def calibrate_stopping(
    path: Path,
    rows: Sequence[Behavior],
    *,
    max_turns: int = 8,
    mean_calls: float | None = None,
    worth: float | None = None,
    grader: Grader = AUTO,
    seed: int = 0,
) -> WorthPoint | None:
    """Fit what was learned about stopping to the base rate of some rows, and choose what a right answer is worth.

    Args:
        path: the DM folder, calibrated.
        rows: the calibration split, at the live base rate.
        max_turns: the most calls a question.
        mean_calls: the most calls on average; the highest worth that keeps to them is chosen.
        worth: of a right answer in Reasoner calls, where the user knows it. With neither, it is the policy's default,
            or as much of it as costs no more calls than adaptive self-consistency would here.
        grader: answer equality.
        seed: of the shuffled readings.

    Returns:
        The setting that is stored; `None` where the DM has not learned when to stop.

    Raises:
        ConfigError: a worth that is not above 0.
        DataError: there is no question whose every answer has a label.
        DMError: there is no DM at `path`.
    """
    dm = load_dm(path)
    stored = dm.manifest.stopping
    if stored is None:
        return None
    questions = require_judged(label_questions(rows, dm).questions, purpose="replay")
    table = tabulate(questions, grader=grader, max_turns=max_turns, seed=seed)
    model = stored.model.model_copy(update={"answers": recalibrate(stored.model.answers, table, seed=seed)})
    counts, walks = Counts.of(questions), walk(model.within(max_turns), table)
    if worth is None and mean_calls is not None:
        worth = _dearest(walks, counts, WORTHS, mean_calls)
    elif worth is None:
        usual = [*(tried for tried in WORTHS if tried < StoppingPolicy.worth), StoppingPolicy.worth]
        worth = _dearest(walks, counts, usual, adaptive_calls(questions, grader, max_turns))
    policy = StoppingPolicy(model=model, worth=worth)
    chosen = try_cutoff(walks, counts, -1 / policy.worth)
    found = WorthPoint(policy.worth, chosen.accuracy, chosen.calls, counts.effective)
    record = stored.model_copy(update={"model": model, "worth": found.worth, "accept_at": None})
    update_manifest(path, stopping=record.model_dump())
    return found


def _dearest(walks: Walks, counts: Counts, worths: Sequence[float], mean_calls: float) -> float:
    """The highest worth whose calls are affordable, else the lowest: nothing is fitted to the luck of who was right."""
    affordable = (worth for worth in reversed(worths) if try_cutoff(walks, counts, -1 / worth).calls <= mean_calls)
    return next(affordable, worths[0])


def walk(model: StoppingModel, table: AnswerTable) -> Walks:
    """What a stopping policy makes of every turn: minus the break-even price reaches minus the price of a turn."""
    paths = follow(table, model.answers)
    return Walks(-break_even_prices(paths, model.values), paths.right, paths.readings.ends)


def recalibrate(model: AnswerModel, table: AnswerTable, *, seed: int = 0) -> AnswerModel:
    """The model with a calibration of its own for these questions, where that is better on questions held out."""
    rows = scored(table)
    rows = rows.where(rows.readings.own[rows.reading])
    right = rows.right.tolist()
    if len(set(right)) < 2:
        return model
    logits = model.fusion.fuse_columns(rows.columns)
    groups = [str(number) for number in rows.readings.questions[rows.reading]]
    weights = rows.readings.weights[rows.reading] / (rows.readings.ends[rows.reading] + 1)  # as the fits count rows
    found = fit_calibration(logits.tolist(), right, groups, weights=weights.tolist(), seed=seed)
    if found.held_out is None:
        return model
    saved = log_losses(model.probabilities(rows.columns), rows.right) - log_losses(found.held_out, rows.right)
    if not gains_surely(weights * saved, rows.readings.questions[rows.reading]):  # a smaller gain may be luck
        return model
    return model.model_copy(update={"calibration": found.calibration})
