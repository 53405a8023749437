"""What a family of policies comes to on logged runs, cutoff by cutoff: the arrays that a certificate rests on."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from drr_agent.policy import Policy, play
from drr_agent.stopping import StoppingPolicy
from drr_agent.training.certify import Bools
from drr_agent.training.logged import LabelledQuestion


def outcomes(
    runs: Sequence[LabelledQuestion], at: Callable[[float], Policy], cutoffs: Sequence[float], max_turns: int
) -> tuple[Bools, Bools]:
    """Whether each run ends in an accept at each cutoff, and whether it is right; shapes (runs, cutoffs)."""
    policies = [at(cutoff) for cutoff in cutoffs]
    if isinstance(policies[0], StoppingPolicy):
        return _stopping_outcomes(runs, policies[0], cutoffs, max_turns)
    cells = [[_outcome(run, policy, max_turns) for policy in policies] for run in runs]
    table = np.array(cells, dtype=bool).reshape(len(runs), len(cutoffs), 2)
    return table[..., 0], table[..., 1]


def _stopping_outcomes(
    runs: Sequence[LabelledQuestion], policy: StoppingPolicy, cutoffs: Sequence[float], max_turns: int
) -> tuple[Bools, Bools]:
    """`outcomes` of a policy that ends at the same turn whatever its cutoff: each run is played once."""
    loosest = replace(policy, accept_at=0.0, review_below=0.0)
    rows = []
    for run in runs:
        decision, turns = play(loosest, run.attempts, max_turns=max_turns)
        goes_on = decision.outcome == "continue" and turns < max_turns
        accepts = [goes_on or (decision.outcome == "accept" and (decision.confidence or 0.0) >= c) for c in cutoffs]
        right = not goes_on and decision.choice is not None and run.labels[decision.choice] == "correct"
        rows.append([(accept, accept and right) for accept in accepts])
    table = np.array(rows, dtype=bool).reshape(len(runs), len(cutoffs), 2)
    return table[..., 0], table[..., 1]


def _outcome(run: LabelledQuestion, policy: Policy, max_turns: int) -> tuple[bool, bool]:
    decision, turns = play(policy, run.attempts, max_turns=max_turns)
    if decision.outcome != "accept" or decision.choice is None:
        return decision.outcome == "continue" and turns < max_turns, False
    answered = run.attempts[decision.choice]["answer"] is not None
    return answered, answered and run.labels[decision.choice] == "correct"
