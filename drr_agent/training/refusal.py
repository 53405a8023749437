"""Refusal: why nothing is certified, and how many labels it would take.

Where half of the questions certify, which half a question is in is decided by its hash, as if a coin were tossed. Twice
as many labels as must certify would put enough into that half in the mean, and so too few about as often as not. The
number told is the one that does with a probability of 0.9, given how many certify already.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from drr_agent.dm.certificate import percent
from drr_agent.errors import ConfigError

_MOST_LABELS = 1_000_000
"""A need beyond this is none that labels will meet."""
_ENOUGH = 0.9
"""P(the labels told will do), over the halves they fall into."""

Floats = npt.NDArray[np.float64]


class Refusal(NamedTuple):
    """Why nothing is certified."""

    reason: str
    """One sentence or two."""
    needed: int | None
    """About how many labelled questions would do, if more of them turn out as these did; `None`: labels are not what
    is missing."""

    def telling(self, left_out: int) -> Self:
        """The refusal with a word on labelled questions that it could not use."""
        told = f" {left_out:,} more are left out: the DM was trained on them, or on questions nearly the same."
        return self._replace(reason=self.reason + told) if left_out else self


class Counts(NamedTuple):
    """What labelled questions show; arrays are by cutoff, shape (cutoffs,)."""

    accepted: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.int64]
    questions: int


def check_target(target_error: float, confidence: float) -> None:
    """Refuse what is no share.

    Raises:
        ConfigError: one is not between 0 and 1.
    """
    for name, value in (("target_error", target_error), ("confidence", confidence)):
        if not 0.0 < value < 1.0:
            raise ConfigError(f"`{name}` must be between 0 and 1, got {value!r}; write 0.05 for 5 %")


def least_accepted(budget: float, target_error: float) -> int:
    """How many accepted answers it takes to reject at `budget` with none of them wrong."""
    return math.ceil(math.log(budget) / math.log1p(-target_error) - 1e-9)


def too_few(questions: int, *, target_error: float, confidence: float, share: float = 1.0) -> Refusal | None:
    """The refusal where so few labelled questions can prove nothing, however they turn out; `None` where they can.

    Args:
        questions: those that certify.
        target_error: as for `certify`.
        confidence: as for `certify`.
        share: as for `certify`; below 1, each further question certifies or fits, one as likely as the other.
    """
    least = least_accepted(1.0 - confidence, target_error)
    if questions >= least:
        return None
    needed = _labels(least, questions, share)
    return Refusal(
        f"{round(questions / share):,} labelled questions are too few to show it; at least {needed:,} would be needed, "
        "with every one accepted and right.",
        needed,
    )


def refuse(counts: Counts, cutoffs: Sequence[float], budget: float, target_error: float, share: float) -> Refusal:
    """The refusal for the cutoff with the best outlook: the one whose observed error would need the fewest labels.

    Args:
        counts: what was seen.
        cutoffs: their values.
        budget: P(a false rejection) that a test may spend.
        target_error: as for `certify`.
        share: as for `certify`.
    """
    questions = round(counts.questions / share)
    who = f"{questions:,} labelled questions" + (
        f", {counts.questions:,} of them to certify with," if share < 1 else ""
    )
    if not counts.accepted.any():
        return Refusal(f"of {who} none is accepted at any threshold.", None)
    outlooks = _outlooks(counts, budget, target_error)
    best = int(np.argmin(_errors(counts) if np.isinf(outlooks).all() else outlooks))
    found = (
        f"at threshold {cutoffs[best]:g}, {counts.wrong[best]} of {counts.accepted[best]} accepted answers are wrong"
    )
    if np.isinf(outlooks).all():
        return Refusal(
            f"as far as {who} tell, at no threshold are fewer than {percent(target_error)} of the accepted "
            f"answers wrong (best: {found}). More labels would not help with this DM: train a better one, or ask for "
            "less.",
            None,
        )
    accepted, wrong = int(counts.accepted[best]), int(counts.wrong[best])
    least = math.ceil(_least(accepted, wrong, budget, target_error) * counts.questions / accepted)
    needed = max(_labels(least, counts.questions, share), questions + 1)
    return Refusal(
        f"{who} are too few to show it ({found}); about {needed:,} would do, if more turn out alike.",
        needed,
    )


def _labels(certifying: int, have: int, share: float) -> int:
    """How many labelled questions it takes in all, that enough of them certify.

    Args:
        certifying: so many are enough.
        have: those that certify already.
        share: of all labelled questions; 1 where all certify, and else of each further one a coin decides.
    """
    from scipy.special import bdtrc

    missing = max(certifying - have, 0)
    if share == 1.0 or missing == 0:
        return max(certifying, round(have / share))
    further = np.arange(missing, 2 * missing + 4 * math.isqrt(2 * missing) + 8)
    enough = bdtrc(missing - 1, further, 0.5) >= _ENOUGH
    return round(have / share) + int(further[enough.argmax()])


def _errors(counts: Counts) -> Floats:
    """Share of the accepted that is wrong, by cutoff; above 1 where nothing is accepted."""
    shares: Floats = np.where(counts.accepted > 0, counts.wrong / np.maximum(counts.accepted, 1), 2.0)
    return shares


def _outlooks(counts: Counts, budget: float, target_error: float) -> Floats:
    """By cutoff, roughly how many labelled questions would do; infinite where no number of them does."""
    errors = _errors(counts)
    sizes = np.geomspace(least_accepted(budget, target_error), _MOST_LABELS, num=200).astype(np.int64)
    enough = _rejects(sizes, errors[:, None], budget, target_error) & (errors < target_error)[:, None]
    accepted = np.where(enough.any(axis=1), sizes[enough.argmax(axis=1)], np.inf)
    needed: Floats = accepted * counts.questions / np.maximum(counts.accepted, 1)
    return needed


def _least(accepted: int, wrong: int, budget: float, target_error: float) -> int:
    """The fewest accepted that reject at the budget, were the same share of them wrong; some number does."""
    first, error = least_accepted(budget, target_error), wrong / accepted
    sizes = np.geomspace(first, _MOST_LABELS, num=200).astype(np.int64)
    rough = int(sizes[_rejects(sizes, error, budget, target_error).argmax()])
    exact = np.arange(max(first, int(0.8 * rough)), rough + 1)  # rounding makes the way there uneven
    return int(exact[_rejects(exact, error, budget, target_error).argmax()])


def _rejects(accepted: npt.NDArray[Any], error: float | Floats, budget: float, target_error: float) -> npt.NDArray[Any]:
    """Whether so many accepted, with that share of them wrong, reject at the budget."""
    from scipy.special import bdtr

    rejects: npt.NDArray[Any] = bdtr(np.ceil(accepted * error - 1e-9), accepted, target_error) <= budget
    return rejects
