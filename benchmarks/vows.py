"""Certificates on real logs: how often the promise is broken, and how much is accepted."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from benchmarks.resplits import Study, questions_of
from drr_agent.stopping import StoppingPolicy
from drr_agent.training.certification import CUTOFFS
from drr_agent.training.certify import Bools, Certified, best_first, certify
from drr_agent.training.independence import one_run_each
from drr_agent.training.outcomes import outcomes
from drr_agent.training.refusal import Refusal

RESPLITS = 200
TARGETS = (0.05, 0.10)
CONFIDENCE = 0.95
WORTH = 50.0
FEW = 30
"""Labels with which it must refuse."""


def print_certificates(studies: Mapping[str, Sequence[Study]], max_turns: int) -> None:
    """A policy is fitted once, in the first resplit; its certificate is made on questions drawn from all others.

    What is tried is the test itself; the promise of `drr calibrate`, with its fits and its sample, is tried in the
    tests. Questions are drawn with replacement. The truth is the error over all of those others, which no sample of
    them knows. The promise may be broken in 5 %.
    """
    print(
        f"\n{RESPLITS} certificates each, {100 * CONFIDENCE:g} % confidence, worth of a right answer {WORTH:g} calls\n"
        "\n| Reasoner | at most wrong | certified | promise broken (allowed) | coverage | of the best | "
        f" with {FEW} labels |\n|---|---|---|---|---|---|---|"
    )
    for reasoner, (study, *_) in studies.items():
        policy = StoppingPolicy(model=study.models[study.best], worth=WORTH)
        tables = []
        for part in ("fit", "test"):
            runs = one_run_each(questions_of(study.parts[part], study.scores[study.best]))
            turns = min(max_turns, max(len(run.attempts) for run in runs))
            tables.append(outcomes(runs, partial(_at, policy), CUTOFFS, turns))
        for target in TARGETS:
            _print_row(reasoner, target, *tables)


def _at(policy: StoppingPolicy, cutoff: float) -> StoppingPolicy:
    return StoppingPolicy(model=policy.model, worth=policy.worth, accept_at=cutoff)


def _print_row(reasoner: str, target: float, other: tuple[Bools, Bools], every: tuple[Bools, Bools]) -> None:
    accepted, right = every
    order = best_first(*other, CUTOFFS, target_error=target)
    truth = (accepted & ~right).sum(axis=0) / np.maximum(accepted.sum(axis=0), 1)
    generator = np.random.default_rng(0)
    found = [_draw(accepted, right, target, order, generator, len(accepted)) for _ in range(RESPLITS)]
    made = [one for one in found if isinstance(one, Certified)]
    broken = sum(truth[CUTOFFS.index(one.cutoff)] > target for one in made)
    allowed = 0.05 + 3 * np.sqrt(0.05 * 0.95 / RESPLITS)
    few = _draw(accepted, right, target, order, generator, FEW)
    best = max((accepted[:, place].mean() for place in np.flatnonzero(truth <= target)), default=0.0)
    coverage = np.mean([accepted[:, CUTOFFS.index(one.cutoff)].mean() for one in made]) if made else float("nan")
    said = f"refused, asks for {few.needed}" if isinstance(few, Refusal) else "certified"
    promise = f"{100 * broken / RESPLITS:.1f} % ({100 * allowed:.1f} %)"
    print(
        f"| {reasoner} | {100 * target:g} % | {len(made)} of {RESPLITS} on {len(accepted)} labels | {promise} | "
        f"{100 * coverage:.0f} % | {100 * best:.0f} % | {said} |".replace("nan %", "–"),
        flush=True,
    )


def _draw(
    accepted: Bools, right: Bools, target: float, order: Sequence[int], generator: np.random.Generator, size: int
) -> Certified | Refusal:
    drawn = generator.integers(len(accepted), size=size)
    return certify(accepted[drawn], right[drawn], CUTOFFS, target_error=target, confidence=CONFIDENCE, order=order)
