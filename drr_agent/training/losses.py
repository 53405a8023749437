"""What a DM's classifier is trained to lower."""

from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A weighted sum of two losses over the margins logit(accept) - logit(reject).

    Cross-entropy alone learns which questions are hard; the loop needs to tell attempts at one question apart, which
    is what the pairwise loss asks for.
    """

    bce_weight: float
    pair_weight: float
    reject_weight: float = 1.0
    """Weight of a wrong row in the cross-entropy."""
    accept_weight: float = 1.0
    """Weight of a right row in the cross-entropy."""

    def __call__(self, margins: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
        """The loss of a batch, a scalar.

        Args:
            margins: float, shape (n,).
            labels: 1 for right, 0 for wrong; shape (n,).
            groups: integer, the same for attempts that are to be compared; shape (n,).
        """
        loss = self.pair_weight * pairwise_loss(margins, labels, groups)
        if self.bce_weight:
            weights = torch.where(labels == 1, self.accept_weight, self.reject_weight)
            entropy = functional.binary_cross_entropy_with_logits(margins, labels.to(margins.dtype), weight=weights)
            loss = loss + self.bce_weight * entropy
        return loss


def pairwise_loss(margins: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Mean of -log sigmoid(right - wrong) over the right/wrong pairs of each group; 0 for a batch without one.

    The logistic ranking loss of RankNet (Burges et al. 2005). Shapes as for `Objective`.
    """
    pairs = (groups[:, None] == groups[None, :]) & (labels[:, None] == 1) & (labels[None, :] == 0)
    if not pairs.any():
        return margins.sum() * 0.0
    differences = margins[:, None] - margins[None, :]
    return functional.softplus(-differences[pairs]).mean()
