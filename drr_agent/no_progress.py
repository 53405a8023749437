"""Runs that go in circles: a rule around any policy that ends them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from drr_agent.errors import ConfigError
from drr_agent.grading import AUTO, Grader, normalize_text
from drr_agent.policy import Decision, Policy, within
from drr_agent.state import Attempt

_SHINGLE = 3
"""Words that are compared together."""


@dataclass(frozen=True, kw_only=True)
class NoProgress:
    """Ends a run where thinking again brings nothing new and the policy it wraps would go on.

    It ends as it would where turns end: with the wrapped policy's answer, best supported so far, accepted or for review
    where that policy says so, and else with the `stop_reason` `no_progress`. What the policy accepts, stops or sends to
    review by itself stays so. Each rule can be switched off by `None`. An attempt without an answer
    breaks a row of equal answers, and of swings. Of independent draws, the same answer again is agreement: let the
    policy see it, by more turns for `same_answer` and `returns` than it needs to accept.
    """

    policy: Policy
    same_answer: int | None = 3
    """Turns in a row with the same answer."""
    same_rationale: float | None = 0.9
    """How alike the newest rationale is to an earlier one: the share of their word triples that are in both."""
    returns: int | None = 2
    """Swings to another answer and straight back, one after the other, that end a run; A-B-A is one, A-B-A-B-A two."""
    plateau: int | None = None
    """Turns in a row in which the policy's confidence has not risen above what it had been."""
    min_gain: float = 0.01
    """The least rise in confidence, as a probability, that counts for `plateau`."""
    grader: Grader = AUTO

    def __post_init__(self) -> None:
        """Check the settings."""
        for name, least in (("same_answer", 2), ("returns", 1), ("plateau", 1)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ConfigError(f"`{name}` must be a whole number of at least {least}, or None, got {value!r}")
        for name in ("same_rationale", "min_gain"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value <= 1.0:
                raise ConfigError(f"`{name}` must be over 0 and at most 1, got {value!r}")

    @property
    def abstain_below(self) -> float:
        """The wrapped policy's."""
        return self.policy.abstain_below

    def within(self, max_turns: int) -> Self:
        """The rule around the policy for runs of at most so many turns."""
        return replace(self, policy=within(self.policy, max_turns))

    def decide(self, attempts: Sequence[Attempt]) -> Decision:
        """The wrapped policy's decision, or the end of a run that would go on in vain."""
        decision = self.policy.decide(attempts)
        if decision.outcome != "continue":
            return decision
        answers = self.grader.group([attempt["answer"] for attempt in attempts])
        circling = self._repeats(answers) or self._swings(answers) or self._echoes(attempts) or self._stalls(attempts)
        return _ended(decision) if circling else decision

    def _repeats(self, answers: Sequence[int | None]) -> bool:
        if self.same_answer is None:
            return False
        last = answers[-self.same_answer :]
        return len(last) == self.same_answer and last[0] is not None and len(set(last)) == 1

    def _swings(self, answers: Sequence[int | None]) -> bool:
        """Whether the answer has gone from one to another and back so often, up to the newest one."""
        if self.returns is None:
            return False
        last = answers[-(2 * self.returns + 1) :]
        back, forth = set(last[::2]), set(last[1::2])
        whole = len(last) == 2 * self.returns + 1 and None not in last
        return whole and len(back) == len(forth) == 1 and back != forth

    def _echoes(self, attempts: Sequence[Attempt]) -> bool:
        if self.same_rationale is None:
            return False
        *earlier, newest = (_shingles(attempt["rationale"]) for attempt in attempts)
        return any(_alike(newest, other) >= self.same_rationale for other in earlier)

    def _stalls(self, attempts: Sequence[Attempt]) -> bool:
        if self.plateau is None or len(attempts) <= self.plateau:
            return False
        before = len(attempts) - self.plateau
        confidences = [self.policy.decide(attempts[:turn]).confidence for turn in range(1, len(attempts) + 1)]
        known = [0.0 if confidence is None else confidence for confidence in confidences]
        return max(known[before:]) < max(known[:before]) + self.min_gain


def _ended(decision: Decision) -> Decision:
    """What becomes of `continue` where it gains nothing: what the policy makes of the end of turns, or a stop."""
    if decision.exhausted != "continue":
        return decision._replace(outcome=decision.exhausted)
    return decision._replace(outcome="stop", reason="no_progress")


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    """The word triples of a text; a shorter one is one of itself, and one without words has none."""
    words = normalize_text(text).split()
    if not words:
        return frozenset()
    return frozenset(tuple(words[at : at + _SHINGLE]) for at in range(max(1, len(words) - _SHINGLE + 1)))


def _alike(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    """Jaccard's index: what both have over what either has; 0 for nothing."""
    return len(one & other) / len(one | other) if one and other else 0.0
