"""A DM trained on other Reasoners, used on one it never saw, and what 100 of its labelled questions bring back."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.resplits import (
    best_setting,
    calls_ratio,
    frontiers,
    learn,
    questions_of,
    ranking,
    rescore,
    score,
    split,
    stand,
)
from drr_agent.dm.fusion import Inputs
from drr_agent.dm.protocol import Score
from drr_agent.stopping import StoppingModel
from drr_agent.training.behaviors import Behavior
from drr_agent.training.paths import tabulate
from drr_agent.training.worth import recalibrate

if TYPE_CHECKING:
    from benchmarks.real_logs import Log

OTHERS = 1000
"""Questions of the other Reasoners that fusion and policy are fitted on."""
LABELS = 100
"""Questions of the new Reasoner that somebody labelled."""


def print_transfer(
    log: "Log", everything: Mapping[str, list[Behavior]], logits: Mapping[str, dict[str, float]], max_turns: int
) -> None:
    """One row a Reasoner and way."""
    if len(everything) < 2:
        return
    print(
        "\nTrained on the other Reasoners\n\n| used on | DM | within-question AUROC | error of its mean P(right) | "
        "calls to reach adaptive's accuracy ÷ its calls | points more at its calls |\n|---|---|---|---|---|---|"
    )
    for reasoner, rows in everything.items():
        text = dict(logits[reasoner])
        own = split(rows, 0)
        kind: Inputs = "both" if text else "signals"
        others = _some([row for name, found in everything.items() if name != reasoner for row in found], OTHERS)
        if text:
            folder = f"without-{reasoner}"
            log.train(folder, (0.0, 1.0), without=reasoner)
            text = log.logits(folder, [*own["calibration"], *own["test"], *others])
        foreign = split(others, 0)
        fusion, foreign_scores = score(foreign, text, kind)
        model = learn(foreign, foreign_scores)
        if fusion is None:
            raise RuntimeError("a DM with signals has a fusion")
        scores = rescore(fusion, [*own["calibration"], *own["test"]], text)
        few = _some(own["calibration"], LABELS)
        again = model.model_copy(update={"answers": recalibrate(model.answers, tabulate(questions_of(few, scores)))})
        _, native = score(own, logits[reasoner], kind)
        ways = {
            "of the others, as it is": (scores, model),
            f"the same, recalibrated on {LABELS} questions": (scores, again),
            "its own": (native, learn(own, native)),
        }
        for name, (said, learned) in ways.items():
            _print_row(reasoner, name, own, said, learned, max_turns)


def _some(rows: Sequence[Behavior], count: int) -> list[Behavior]:
    """The rows of so many questions."""
    keys = set(sorted({row["question_key"] for row in rows})[:count])
    return [row for row in rows if row["question_key"] in keys]


def _print_row(
    reasoner: str,
    name: str,
    parts: Mapping[str, list[Behavior]],
    scores: Mapping[str, Score],
    model: StoppingModel,
    max_turns: int,
) -> None:
    tuned = frontiers(
        questions_of(parts["fit"] + parts["calibration"], {}), None, orders="shuffled", max_turns=max_turns
    )
    tried = frontiers(questions_of(parts["test"], scores), model, orders="shuffled", max_turns=max_turns)
    setting = tuned["adaptive"].settings[best_setting(tuned["adaptive"])]
    place = int(np.argmin(np.abs(np.array(tried["adaptive"].settings) - setting)))
    standing = stand(tried["stopping"], tried["adaptive"], place)
    auroc, _ = ranking(parts["test"], scores)
    table = tabulate(questions_of(parts["test"], scores))
    said = model.answers.probabilities(table.columns)
    bias = abs(float(said.mean() - table.right.mean()))
    ratio = calls_ratio([standing])
    shown = f"{ratio:.2f}" if np.isfinite(ratio) else "not reached"
    gain = 100 * standing.gain.sum() / tried["adaptive"].weights.sum()
    print(f"| {reasoner} | {name} | {auroc or np.nan:.3f} | {bias:.3f} | {shown} | {gain:+.2f} |", flush=True)
