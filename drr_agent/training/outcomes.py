"""What a family of policies comes to on logged runs, cutoff by cutoff, and what that proves."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from drr_agent.policy import Decision, Policy, play
from drr_agent.stopping import StoppingPolicy
from drr_agent.training.certify import Bools, Certified, best_first, certify
from drr_agent.training.independence import one_run_each
from drr_agent.training.logged import LabelledQuestion, require_judged
from drr_agent.training.refusal import Refusal


def certify_policy(
    questions: Sequence[LabelledQuestion],
    at: Callable[[float], Policy],
    cutoffs: Sequence[float],
    *,
    max_turns: int,
    target_error: float,
    confidence: float,
    other: Sequence[LabelledQuestion] = (),
    share: float = 1.0,
) -> Certified | Refusal:
    """Certify a cutoff of a family of policies.

    Args:
        questions: scored, labelled attempts that no part of the policy was fitted to.
        at: the policy at a cutoff.
        cutoffs: as for `certify`.
        max_turns: the most calls a question, fixed without these data. A run that is logged shorter, and would go on,
            is tested as accepted and wrong: the worst it could have come to.
        target_error: as for `certify`.
        confidence: as for `certify`.
        other: other questions, from which the order of the tests is learned; without them it is from the strictest.
        share: as for `certify`.

    Raises:
        DataError: there is no question whose every answer has a label.
    """
    runs = one_run_each(require_judged(questions, purpose="certify"))
    order, seen = None, None
    if other:
        seen = outcomes(one_run_each(require_judged(other, purpose="order the tests")), at, cutoffs, max_turns)
        order = best_first(*seen, cutoffs, target_error=target_error)
    accepted, right, unfinished = play_out(runs, at, cutoffs, max_turns)
    found = certify(
        accepted,
        right,
        cutoffs,
        target_error=target_error,
        confidence=confidence,
        order=order,
        share=share,
        unfinished=unfinished,
        other=seen,
    )
    short = sum(len(run.attempts) < max_turns for run in runs)
    if isinstance(found, Refusal) and short:
        told = (
            f" {short} of {len(runs)} runs have fewer than {max_turns} attempts and count as wrong where they would go "
        )
        return found._replace(reason=found.reason + told + "on: certify for fewer turns (`--max-turns`), or log more.")
    return found


class Outcomes(NamedTuple):
    """How each run ends at each cutoff; arrays of shape (runs, cutoffs)."""

    accepted: Bools
    right: Bools
    """Of the accepted, those that are right."""
    unfinished: Bools
    """Of the accepted, the runs that would go on after their log ends. They count as accepted and wrong, which is the
    worst that they could have come to, and nobody knows."""


def outcomes(
    runs: Sequence[LabelledQuestion], at: Callable[[float], Policy], cutoffs: Sequence[float], max_turns: int
) -> tuple[Bools, Bools]:
    """Whether each run ends in an accept at each cutoff, at the worst, and whether it is right; see `play_out`."""
    accepted, right, _ = play_out(runs, at, cutoffs, max_turns)
    return accepted, right


def play_out(
    runs: Sequence[LabelledQuestion], at: Callable[[float], Policy], cutoffs: Sequence[float], max_turns: int
) -> Outcomes:
    """Play every run at every cutoff.

    Args:
        runs: scored and labelled.
        at: the policy at a cutoff.
        cutoffs: any.
        max_turns: the most calls a run.
    """
    policies = [at(cutoff) for cutoff in cutoffs]
    if isinstance(policies[0], StoppingPolicy):
        cells = [_stopping_outcomes(run, policies[0], cutoffs, max_turns) for run in runs]
    else:
        cells = [[_outcome(run, policy, max_turns) for policy in policies] for run in runs]
    table = np.array(cells, dtype=bool).reshape(len(runs), len(cutoffs), 3)
    return Outcomes(table[..., 0], table[..., 1], table[..., 2])


def _stopping_outcomes(
    run: LabelledQuestion, policy: StoppingPolicy, cutoffs: Sequence[float], max_turns: int
) -> list[tuple[bool, bool, bool]]:
    """Those of a policy that ends at the same turn whatever its cutoff: the run is played once."""
    decision = _end(run, replace(policy, accept_at=0.0, review_below=0.0), max_turns)
    if decision is None:
        return [_UNFINISHED] * len(cutoffs)
    right = decision.choice is not None and run.labels[decision.choice] == "correct"
    accepts = [decision.outcome == "accept" and (decision.confidence or 0.0) >= cutoff for cutoff in cutoffs]
    return [(accept, accept and right, False) for accept in accepts]


def _outcome(run: LabelledQuestion, policy: Policy, max_turns: int) -> tuple[bool, bool, bool]:
    decision = _end(run, policy, max_turns)
    if decision is None:
        return _UNFINISHED
    if decision.outcome != "accept" or decision.choice is None or run.attempts[decision.choice]["answer"] is None:
        return False, False, False
    return True, run.labels[decision.choice] == "correct", False


def _end(run: LabelledQuestion, policy: Policy, max_turns: int) -> Decision | None:
    """How a run ends; `None` where the log ends before the policy does."""
    decision, turns = play(policy, run.attempts, max_turns=max_turns)
    at_its_end = turns == len(run.attempts) < max_turns
    return None if at_its_end and policy.decide(run.attempts).outcome == "continue" else decision


_UNFINISHED = (True, False, True)
