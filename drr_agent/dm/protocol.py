"""The seam between the loop and whatever judges an attempt.

A DM, the paper's discriminative model (elsewhere a *verifier* or *outcome reward model*), reads one attempt and gives a
calibrated probability that its answer is right. Anything with these two members is one.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from drr_agent.state import Usage


class ScoreRequest(NamedTuple):
    """What a DM may know about one attempt."""

    question: str
    rationale: str
    answer: str
    context: str = ""
    """The conversation before the question."""
    signals: Mapping[str, float | None] = {}
    """Named numbers about the attempt (`drr_agent.signals`); `None` is missing, not zero."""
    reasoner: str | None = None
    """Who made the attempt, by the name that runs are logged with."""
    logprobs: Sequence[float] | None = None
    """Natural-log probability of each generated token, where the Reasoner gives them."""
    spans: Sequence[int | None] | None = None
    """For each of `logprobs` where its token begins in `rationale`, `None` for one outside of it."""


class Score(NamedTuple):
    """What a DM says of one attempt."""

    score: float
    """Calibrated P(the answer is right), in [0, 1]."""
    logit: float | None = None
    """Its log odds before calibration, text and signals together, where the DM has such."""
    usage: Usage | None = None
    """What a DM that itself asks a Reasoner paid for."""
    text_logit: float | None = None
    """The text classifier's part alone, where there is one."""


@runtime_checkable
class DiscriminativeModel(Protocol):
    """Judges attempts. `score` is called from one thread at a time per graph and may take any batch size."""

    @property
    def digest(self) -> str:
        """Twelve hex digits that change when the scores would."""
        ...

    def score(self, requests: Sequence[ScoreRequest]) -> Sequence[Score]:
        """One score per request, in order."""
        ...
