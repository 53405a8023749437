"""Pure rules: after each attempt, accept, go on, stop or ask for a review; and which answer stands.

A policy sees the attempts so far and nothing else, so the graph, the replay of logs and the search for a threshold
call the same code. Cut-offs are inclusive, and a missing score is never treated as a number.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from drr_agent.errors import ConfigError
from drr_agent.grading import AUTO, Grader
from drr_agent.odds import beta_lead, score_logit
from drr_agent.state import Attempt, StopReason, Verdict

Outcome = Literal["accept", "continue", "stop", "review"]
Exhausted = Literal["continue", "accept", "review"]
ENDS: dict[StopReason, Verdict] = {"accepted": "accept", "stopped": "stop", "no_progress": "stop", "review": "review"}
"""The verdict on the attempt at which a policy ended a run, by the run's `stop_reason`."""


class Decision(NamedTuple):
    """What a policy says after an attempt."""

    outcome: Outcome
    choice: int | None
    """Index of the attempt whose answer is best supported so far; `None` while there is no answer."""
    confidence: float | None
    """P(the chosen answer is right), where the policy can tell."""
    exhausted: Exhausted = "continue"
    """What becomes of `continue` where turns or budget end: nothing more, an accept after all, or a review."""
    reason: Literal["no_progress"] | None = None
    """Why it is to stop, where the run's `stop_reason` is to say more than `stopped`."""


@runtime_checkable
class Policy(Protocol):
    """Decides after each attempt. Frozen: the same attempts always give the same decision."""

    @property
    def abstain_below(self) -> float:
        """When turns or budget end, an answer with less confidence than this is withheld; 0 never abstains."""
        ...

    def decide(self, attempts: Sequence[Attempt]) -> Decision:
        """Judge the attempts so far; the last one is new."""
        ...


@runtime_checkable
class Foresighted(Protocol):
    """A policy whose rule depends on how many turns a run may have."""

    def within(self, max_turns: int) -> Policy:
        """The policy for runs of at most so many turns."""
        ...


def within(policy: Policy, max_turns: int) -> Policy:
    """A policy for runs of at most so many turns: the same, unless it looks ahead."""
    return policy.within(max_turns) if isinstance(policy, Foresighted) else policy


def settle(policy: Policy, decision: Decision) -> Decision:
    """The decision once nothing more may be tried: an accept, a review, an abstention, or the answer as it stands."""
    if decision.outcome == "continue":
        decision = decision._replace(outcome=decision.exhausted)
    unsure = decision.confidence is None or decision.confidence < policy.abstain_below
    withhold = decision.outcome != "accept" and policy.abstain_below > 0 and unsure
    return decision._replace(choice=None) if withhold else decision


def first_ended(attempts: Sequence[Attempt]) -> int | None:
    """Index of the attempt at which a policy ended the run; those after it were made to explore. `None` while none."""
    return next((index for index, attempt in enumerate(attempts) if attempt["verdict"] in ENDS.values()), None)


class Played(NamedTuple):
    """What a policy does with logged attempts."""

    decision: Decision
    turns: int
    """How many of the attempts it would have asked for."""


def play(policy: Policy, attempts: Sequence[Attempt], *, max_turns: int) -> Played:
    """The loop without a Reasoner: the policy over attempts already made, in their order."""
    available = min(max_turns, len(attempts))
    for turns in range(1, available + 1):
        decision = policy.decide(attempts[:turns])
        if decision.outcome != "continue" or turns == available:
            return Played(settle(policy, decision), turns)
    raise ConfigError("`attempts` must hold at least one attempt, got none")


@dataclass(frozen=True, kw_only=True)
class ThresholdPolicy:
    """The paper's rule: accept the first attempt whose score reaches the threshold (inclusive)."""

    threshold: float = 0.5
    abstain_below: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        require_probabilities(threshold=self.threshold, abstain_below=self.abstain_below)

    def decide(self, attempts: Sequence[Attempt]) -> Decision:
        """Accept the newest attempt by its score; otherwise the highest score stands."""
        newest = attempts[-1]["score"]
        if newest is not None and newest >= self.threshold:
            return Decision("accept", len(attempts) - 1, newest)
        return _best_scored(attempts)


@dataclass(frozen=True, kw_only=True)
class BestScorePolicy:
    """Best-of-n: never stops early, and the highest score stands."""

    abstain_below: float = 0.0

    def decide(self, attempts: Sequence[Attempt]) -> Decision:
        """Go on; the highest score stands."""
        return _best_scored(attempts)


@dataclass(frozen=True, kw_only=True)
class MajorityPolicy:
    """Self-consistency; with `confidence`, its adaptive form, which stops once the lead is safe.

    The adaptive rule is Beta stopping (Aggarwal et al. 2023, arXiv 2305.11860): with v1 and v2 votes for the two most
    frequent answers, stop when P(p1 > p2) = P(Beta(v1 + 1, v2 + 1) > 1/2) reaches the confidence.
    """

    confidence: float | None = None
    grader: Grader = AUTO
    abstain_below: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        require_probabilities(confidence=self.confidence, abstain_below=self.abstain_below)

    def decide(self, attempts: Sequence[Attempt]) -> Decision:
        """The most frequent answer stands, the earliest of equals, with its lead's Beta probability."""
        groups = _answer_groups(attempts, self.grader)
        if not groups:
            return Decision("continue", None, None)
        ranked = sorted(groups, key=len, reverse=True)
        rival = len(ranked[1]) if len(ranked) > 1 else 0
        lead = beta_lead(len(ranked[0]), rival)
        accepted = self.confidence is not None and lead >= self.confidence
        return Decision("accept" if accepted else "continue", ranked[0][0], lead)


class Support(NamedTuple):
    """What speaks for one distinct answer."""

    logit: float
    """Log odds of the best score among its attempts."""
    attempts: int
    """How many give it."""


@dataclass(frozen=True, kw_only=True)
class ConsensusWeights:
    """How scores and agreement add up; `drr_agent.training.fit_consensus` learns them from logs.

    An answer's support is `score` times the log odds of its best score, plus `agreement` for each attempt after the
    first that gives it. The best and not the sum, since attempts at one question share what makes it hard. "None of
    these" has the support `none` plus `none_per_attempt` for each attempt after the first. The softmax over the answers
    and "none of these" gives the probabilities, so one lone attempt under the defaults keeps its own score.
    """

    score: float = 1.0
    agreement: float = 1.0
    none: float = 0.0
    none_per_attempt: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """The weights as JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ConsensusPolicy:
    """Accepts an answer once its probability, from its attempts' scores and their agreement, reaches the threshold."""

    threshold: float = 0.8
    weights: ConsensusWeights = field(default_factory=ConsensusWeights)
    grader: Grader = AUTO
    abstain_below: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        require_probabilities(threshold=self.threshold, abstain_below=self.abstain_below)

    def decide(self, attempts: Sequence[Attempt]) -> Decision:
        """Accept the best-supported answer by its probability; its best-scored attempt stands for it.

        An answer none of whose attempts has a score is never accepted, and stands only where no other has one.
        """
        groups = _answer_groups(attempts, self.grader)
        scored = [group for group in groups if any(attempts[i]["score"] is not None for i in group)]
        if not scored:
            return Decision("continue", max(groups, key=len)[0] if groups else None, None)
        choices = [max(group, key=lambda i: _logit(attempts[i])) for group in scored]
        supports = [Support(_logit(attempts[i]), len(group)) for i, group in zip(choices, scored, strict=True)]
        probabilities = consensus_probabilities(supports, self.weights)
        best = max(range(len(scored)), key=lambda group: probabilities[group])
        confidence = probabilities[best]
        return Decision("accept" if confidence >= self.threshold else "continue", choices[best], confidence)


def consensus_probabilities(supports: Sequence[Support], weights: ConsensusWeights) -> list[float]:
    """P(right) of each distinct answer."""
    attempts = sum(support.attempts for support in supports)
    logits = [weights.score * support.logit + weights.agreement * (support.attempts - 1) for support in supports]
    logits.append(weights.none + weights.none_per_attempt * (attempts - 1))
    peak = max(logits)
    masses = [math.exp(logit - peak) for logit in logits]
    return [mass / sum(masses) for mass in masses[:-1]]


def _logit(attempt: Attempt) -> float:
    """The log odds of an attempt's score; one without a score comes after all that have one."""
    return -math.inf if attempt["score"] is None else score_logit(attempt["score"])


def _answer_groups(attempts: Sequence[Attempt], grader: Grader) -> list[list[int]]:
    """Indices of the attempts that agree, in order of first appearance; attempts without an answer are left out."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(grader.group([attempt["answer"] for attempt in attempts])):
        if group is not None:
            groups[group].append(index)
    return list(groups.values())


def _best_scored(attempts: Sequence[Attempt]) -> Decision:
    """Go on, with the highest score standing, the earliest of equals; without any score, the first answer."""
    answered = [index for index, attempt in enumerate(attempts) if attempt["answer"] is not None]
    best = max(answered, key=lambda index: _logit(attempts[index]), default=None)
    return Decision("continue", best, None if best is None else attempts[best]["score"])


def require_probabilities(**settings: float | None) -> None:
    """Check settings that are probabilities.

    Raises:
        ConfigError: one is outside [0, 1].
    """
    for name, value in settings.items():
        if value is not None and not 0.0 <= value <= 1.0:
            raise ConfigError(f"`{name}` must be in [0, 1], got {value!r}")
