"""What a DM's classifier is trained to lower."""

from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A weighted sum of three losses over the margins logit(accept) - logit(reject).

    Cross-entropy alone learns which questions are hard; the loop needs to tell attempts at one question apart, which
    is what the pairwise and the listwise loss ask for.
    """

    bce_weight: float
    pair_weight: float
    list_weight: float = 0.0
    reject_weight: float = 1.0
    """Weight of a wrong row in the cross-entropy."""
    accept_weight: float = 1.0
    """Weight of a right row in the cross-entropy."""

    def __call__(
        self, margins: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """The loss of a batch, a scalar.

        Args:
            margins: float, shape (n,).
            labels: 1 for right, 0 for wrong; shape (n,).
            groups: integer, the same for attempts that are to be compared; shape (n,).
            weights: what each attempt counts in a comparison, above 0; shape (n,).
        """
        loss = self.pair_weight * pairwise_loss(margins, labels, groups, weights)
        if self.list_weight:
            loss = loss + self.list_weight * listwise_loss(margins, labels, groups, weights)
        if self.bce_weight:
            counts = torch.where(labels == 1, self.accept_weight, self.reject_weight)
            entropy = functional.binary_cross_entropy_with_logits(margins, labels.to(margins.dtype), weight=counts)
            loss = loss + self.bce_weight * entropy
        return loss


def pairwise_loss(
    margins: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Mean of -log sigmoid(right - wrong) over the right/wrong pairs of each group; 0 for a batch without one.

    The logistic ranking loss of RankNet (Burges et al. 2005), each pair times the mean weight of its two attempts.
    Shapes as for `Objective`.
    """
    pairs = (groups[:, None] == groups[None, :]) & (labels[:, None] == 1) & (labels[None, :] == 0)
    if not pairs.any():
        return margins.sum() * 0.0
    differences = margins[:, None] - margins[None, :]
    shares = (weights[:, None] + weights[None, :]) / 2
    return (shares[pairs] * functional.softplus(-differences[pairs])).mean()


def listwise_loss(
    margins: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Mean of -log(the softmax mass on the right attempts) over the groups with right and wrong ones; 0 without one.

    The softmax over a list is ListNet's top-one probability (Cao et al. 2007, "Learning to Rank: From Pairwise Approach
    to Listwise Approach"); the mass of all that are right under one logarithm is MIL-NCE (Miech et al. 2020, arXiv
    1912.06430). It asks that some right attempt stands first, which is what a choice among attempts needs,
    and not that each does. A group counts as its heaviest attempt. Shapes as for `Objective`.
    """
    losses = []
    for group in sorted(set(groups.tolist())):
        listed = groups == group
        right = listed & (labels == 1)
        if right.any() and not torch.equal(right, listed):
            mass = margins[right].logsumexp(0) - margins[listed].logsumexp(0)
            losses.append(-mass * weights[listed].max())
    return torch.stack(losses).mean() if losses else margins.sum() * 0.0
