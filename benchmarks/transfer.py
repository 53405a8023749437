"""A DM trained on other Reasoners, used on one it never saw, and what 100 of its labelled questions bring back."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.resplits import Study, learn, questions_of, ranking, rescore, score, split
from benchmarks.standings import frontiers, stand, summarize
from drr_agent.dm.protocol import Score
from drr_agent.stopping import StoppingModel
from drr_agent.training.behaviors import Behavior
from drr_agent.training.paths import tabulate
from drr_agent.training.worth import recalibrate

OTHERS = 1000
"""Questions of the other Reasoners that fusion and policy are fitted on."""
LABELS = 100
"""Questions of the new Reasoner that somebody labelled."""


def print_transfer(
    everything: Mapping[str, list[Behavior]], studies: Mapping[str, Sequence[Study]], max_turns: int
) -> None:
    """One row a Reasoner and way; settings are chosen on the questions that the way may know."""
    if len(everything) < 2:
        return
    print(
        "\nA DM of signals alone, trained on the other Reasoners\n\n"
        "| used on | DM | within-question AUROC | error of its mean P(right) | "
        "as accurate: calls ÷ adaptive's (points more) | as dear: points more at calls ÷ adaptive's |"
        "\n|---|---|---|---|---|---|"
    )
    for reasoner, (native, *_) in studies.items():
        own = native.parts
        foreign = split(_others(everything, reasoner, own["fit"]), 1)  # a seed of its own: all of them are of one part
        fusion, foreign_scores = score(foreign, {}, "signals")
        model = learn(foreign, foreign_scores)
        if fusion is None:
            raise RuntimeError("a DM with signals has a fusion")
        scores = rescore(fusion, [*own["calibration"], *own["test"]])
        few = _some(own["calibration"], LABELS)
        again = model.model_copy(update={"answers": recalibrate(model.answers, tabulate(questions_of(few, scores)))})
        ways = [
            ("of the others, as it is", foreign["calibration"], foreign_scores | scores, model),
            (f"the same, recalibrated on {LABELS} questions", few, scores, again),
            ("its own, of all its questions", own["calibration"], native.scores["signals"], native.models["signals"]),
        ]
        for name, chosen_on, said, learned in ways:
            parts = {"calibration": chosen_on, "test": own["test"]}
            _print_row(reasoner, name, parts, said, learned, max_turns)


def _others(everything: Mapping[str, list[Behavior]], reasoner: str, fit: Sequence[Behavior]) -> list[Behavior]:
    """Attempts of the other Reasoners at questions that figures are not of."""
    known = {row["question_key"] for row in fit}
    rows = [row for name, found in everything.items() if name != reasoner for row in found]
    return _some([row for row in rows if row["question_key"] in known], OTHERS)


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
    tried = frontiers(parts, scores, model, orders="shuffled", max_turns=max_turns)
    summary = summarize([stand(tried["stopping"], tried["adaptive"])])
    auroc, _ = ranking(parts["test"], scores)
    table = tabulate(questions_of(parts["test"], scores))
    bias = abs(float(model.answers.probabilities(table.columns).mean() - table.right.mean()))
    print(
        f"| {reasoner} | {name} | {auroc or np.nan:.3f} | {bias:.3f} | {summary.calls_ratio:.2f} "
        f"({100 * summary.accuracy_there:+.2f} points) | {100 * summary.gain[0]:+.2f} at {summary.cost_there:.2f} |",
        flush=True,
    )
