"""Refusal: why nothing is certified, how many labels it would take, and what these would do for.

The best of many thresholds looks better than it is, the more so the fewer answers it rests on. So the error there is
estimated by Laplace's rule of succession, (wrong + 1) / (accepted + 2), and the labels told are those that do with a
probability of 0.8 at that error. By the bare share of wrong answers, whoever labels as many is refused again most of
the time.

Where half of the questions certify, which half a question is in is decided by its hash, as if a coin were tossed. Twice
as many labels as must certify would put enough into that half in the mean, and so too few about as often as not. The
number told is the one that does with a probability of 0.9, given how many certify already.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from drr_agent.dm.certificate import percent
from drr_agent.errors import ConfigError

_MOST_LABELS = 20_000
"""Accepted answers; a need beyond this is none that labels will meet."""
_ENOUGH = 0.9
"""P(enough of the labels told certify), over the halves they fall into."""
_LIKELY = 0.8
"""P(those that certify are enough), at the error that is told."""

Floats = npt.NDArray[np.float64]


class Refusal(NamedTuple):
    """Why nothing is certified."""

    reason: str
    """One sentence or two."""
    needed: int | None
    """About how many labelled questions would do, if more of them turn out as these did; `None`: labels are not what
    is missing."""
    more: int | None = None
    """As many of these are missing."""
    at_least: bool = False
    """Whether that is the fewest that could do, since these are too few to tell how many would."""
    attainable: float | None = None
    """The smallest target error, in percent steps, that these labels would have certified. It is chosen by looking at
    them, and so it keeps its confidence on other labels alone."""
    fewest: int | None = None
    """As many more may do, if they turn out just as these."""

    def telling(self, left_out: int, set_aside: int = 0) -> Self:
        """The refusal with a word on labelled questions, and judged runs, that it could not use."""
        known = f" {left_out:,} more are left out: the DM was trained on them, or on questions nearly the same."
        chosen = (
            f" {set_aside:,} judged runs are not used, since they may have been chosen by what is in them; "
            "`drr label --order random` makes them part."
        )
        return self._replace(reason=self.reason + (known if left_out else "") + (chosen if set_aside else ""))


class Counts(NamedTuple):
    """What labelled questions show; arrays are by cutoff, shape (cutoffs,)."""

    accepted: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.int64]
    questions: int

    def with_those_of(self, other: "Counts") -> "Counts":
        """What both show together."""
        return Counts(self.accepted + other.accepted, self.wrong + other.wrong, self.questions + other.questions)


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
    have, needed = round(questions / share), _labels(least, questions, share)
    return Refusal(
        f"{have:,} labelled questions are too few to show it; at least {needed:,} would be needed, with every one "
        "accepted and right.",
        needed,
        needed - have,
        at_least=True,
    )


def refuse(
    counts: Counts, seen: Counts, cutoffs: Sequence[float], budget: float, target_error: float, share: float
) -> Refusal:
    """The refusal for the cutoff with the best outlook: the one whose error would need the fewest labels.

    Args:
        counts: what the questions that certify show.
        seen: what they show with others, from which the outlook is.
        cutoffs: their values.
        budget: P(a false rejection) that a test may spend.
        target_error: as for `certify`.
        share: as for `certify`.
    """
    have = round(counts.questions / share)
    who = f"{have:,} labelled questions" + (f", {counts.questions:,} of them to certify with," if share < 1 else "")
    if not seen.accepted.any():
        return Refusal(f"of {who} none is accepted at any threshold.", None)
    likely = _outlooks(seen, budget, target_error, doubt=1.0, likely=_LIKELY)
    hopeful = _outlooks(seen, budget, target_error, doubt=0.0, likely=0.5)
    unsure = bool(np.isinf(likely).all())
    outlooks = hopeful if unsure else likely
    if np.isinf(outlooks).all():
        return Refusal(
            _hopeless(who, _found(seen, cutoffs, int(np.argmin(_errors(seen, doubt=1.0)))), target_error), None
        )
    best = int(np.argmin(outlooks))
    needed = max(_labels(math.ceil(outlooks[best]), counts.questions, share), have + 1)
    fewest = max(_labels(math.ceil(hopeful.min()), counts.questions, share), have + 1)
    few, many = (
        f"at least {needed:,} would be needed, and how many more these are too few to tell.",
        f"{fewest:,} may do if more turn out just as these, and about {needed:,} are likely to, since so few tell the "
        "share of wrong answers but roughly.",
    )
    reason = f"{who} are too few to show it ({_found(seen, cutoffs, best)}); {few if unsure else many}"
    return Refusal(reason, needed, needed - have, unsure, fewest=fewest - have)


def _hopeless(who: str, found: str, target_error: float) -> str:
    return (
        f"as far as {who} tell, at no threshold is the share of wrong answers so far below {percent(target_error)} "
        f"that labels could show it (best: {found}). More labels would not help with this DM: train a better one, or "
        "ask for less."
    )


def _found(seen: Counts, cutoffs: Sequence[float], place: int) -> str:
    """What is seen at a cutoff."""
    wrong, accepted = int(seen.wrong[place]), int(seen.accepted[place])
    return f"at threshold {cutoffs[place]:g}, {wrong:,} of {accepted:,} accepted answers are wrong"


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


def _errors(seen: Counts, *, doubt: float) -> Floats:
    """Share of the accepted that is wrong, by cutoff, drawn to one half by some doubt; 2 where nothing is accepted."""
    shares = (seen.wrong + doubt) / np.maximum(seen.accepted + 2 * doubt, 1)
    return np.where(seen.accepted > 0, shares, 2.0)


def _outlooks(seen: Counts, budget: float, target_error: float, *, doubt: float, likely: float) -> Floats:
    """By cutoff, about how many questions would do to certify with; infinite where no number of them does."""
    from scipy.special import bdtr

    errors = _errors(seen, doubt=doubt)
    sizes = np.unique(np.geomspace(least_accepted(budget, target_error), _MOST_LABELS, num=150).astype(np.int64))
    allowed = _most_wrong(sizes, budget, target_error)
    hopeful = np.flatnonzero(errors < target_error)
    enough = bdtr(allowed, sizes, errors[hopeful, None]) >= likely
    accepted = np.full(len(errors), np.inf)
    accepted[hopeful] = np.where(enough.any(axis=1), sizes[enough.argmax(axis=1)], np.inf)
    return accepted * seen.questions / np.maximum(seen.accepted, 1)


def _most_wrong(accepted: npt.NDArray[np.int64], budget: float, target_error: float) -> Floats:
    """How many of so many accepted may be wrong and still reject at the budget; with each some number may."""
    from scipy.special import bdtr
    from scipy.stats import binom

    near = np.maximum(binom.ppf(budget, accepted, target_error), 0.0)  # the least that is over it, or just reaches it
    allowed: Floats = np.where(bdtr(near, accepted, target_error) <= budget, near, np.maximum(near - 1.0, 0.0))
    return allowed
