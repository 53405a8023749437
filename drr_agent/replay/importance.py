"""What each signal is worth to the decision: what is lost when its values are dealt to other attempts.

Permutation importance (Breiman 2001, "Random Forests", section 10) on questions that the DM has not learned from. The
text classifier's logit is one of the signals. Signals that say much the same stand in for each other, so each of them
may look worth little where all of them are not; they are dealt together, too.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from drr_agent.dm.calibration import log_loss
from drr_agent.dm.models import SignalDM, TransformersDM
from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.replay.evidence import Evidence, policy_weights
from drr_agent.replay.policy_losses import accuracies_lost, some_questions
from drr_agent.replay.readings import Readings
from drr_agent.replay.report import SignalValue, Spread
from drr_agent.replay.specs import Candidate

_MOST = 10
"""Signals, or groups of them, for which the policy is replayed."""


def signal_values(
    readings: Readings, dm: DiscriminativeModel | None, policy: Candidate | None, *, seed: int = 0
) -> list[SignalValue]:
    """What each signal that a saved DM reads is worth, the most valuable first.

    Args:
        readings: of questions that the DM has not learned from, with its scores.
        dm: what scored them; what a DM that is not of a folder makes its scores of, nobody knows.
        policy: the DM's own in its own setting, for what the ten most valuable signals bring it.
        seed: of the permutations.
    """
    if not isinstance(dm, SignalDM | TransformersDM):
        return []
    evidence, weights = Evidence.of(readings, dm, seed=seed), policy_weights(dm)
    if evidence is None:
        return []
    valued = (_value(evidence, *group) for group in evidence.groups().items())
    found = sorted(valued, key=lambda value: _rank(value, weights))
    if policy is None:
        return found
    few = some_questions(readings, seed)
    lost = {value.name: _spread(accuracies_lost(value.members, evidence, few, policy)) for value in found[:_MOST]}
    return [value.model_copy(update={"accuracy": lost.get(value.name)}) for value in found]


def _value(evidence: Evidence, name: str, members: list[str]) -> SignalValue:
    """What the scores lose with some signals."""
    scores, right = evidence.scores(evidence.logits), evidence.rows.right
    dealt = [evidence.scores(evidence.dealt(members, order)) for order in evidence.orders]
    mixed = len(evidence.pairs[0]) > 0
    return SignalValue(
        name=name,
        members=members,
        known=float(np.mean(np.any([~np.isnan(evidence.values[member]) for member in members], axis=0))),
        auroc=_spread([evidence.auroc(scores) - evidence.auroc(found) for found in dealt]) if mixed else None,
        log_loss=_spread([log_loss(found, right) - log_loss(scores, right) for found in dealt]),
    )


def _rank(value: SignalValue, weights: Mapping[str, float]) -> tuple[float, float, float]:
    """The least for what is most valuable; a loss of order that not every permutation shows counts as none."""
    auroc = 0.0 if value.auroc is None or value.auroc.low <= 0 else value.auroc.mean
    return -auroc, -value.log_loss.mean, -sum(weights.get(name, 0.0) for name in value.members)


def _spread(values: Sequence[float]) -> Spread:
    return Spread(mean=float(np.mean(values)), low=min(values), high=max(values))
