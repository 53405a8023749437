"""What speaks for each distinct answer of a run so far, as named numbers.

Attempts are judged one by one, but a run ends with an answer: how many attempts give it, how sure the DM is of them,
and what speaks for its rivals. Missing is missing, never zero: an answer without a rival has no best rival score.
"""

from collections.abc import Mapping, Sequence
from math import fsum, log
from typing import NamedTuple

from drr_agent.grading import Grader
from drr_agent.odds import attempt_logit, softplus
from drr_agent.state import Attempt


class Facts(NamedTuple):
    """What speaks for and against one distinct answer. A rival is another answer of the run, the best-supported one."""

    turn: float
    """How many attempts the run has made."""
    votes: float
    """How many of them give the answer."""
    log_votes: float
    share: float
    """Votes over turns."""
    distinct: float
    """How many different answers there are."""
    unanswered: float
    """How many attempts have no answer."""
    support: float | None
    """Sum of log(1 + odds) over the attempts that give it: one that is surely wrong adds nothing. Missing without any
    score."""
    best: float | None
    """Highest logit of an attempt that gives it."""
    mean: float | None
    """Mean logit of those."""
    unopposed: float | None
    """Its votes where it has no rival."""
    rival_votes: float
    rival_support: float | None
    rival_best: float | None
    lead: float | None
    """Its support over its rival's."""
    rank: float
    """Its place among the answers by support, from 0."""


SIGNS: Mapping[str, int] = {
    **dict.fromkeys(("votes", "log_votes", "share", "support", "best", "lead", "unopposed"), 1),
    **dict.fromkeys(("rival_votes", "rival_support", "rival_best", "rank"), -1),
}
"""Facts that only speak for an answer (1) or against it (-1)."""
OF_BEST = "best."
"""Opens the name of a signal of the answer's best-scored attempt, where it stands beside the facts."""


class Candidate(NamedTuple):
    """A distinct answer of a run so far."""

    choice: int
    """Index of its best-scored attempt, the earliest of equals, which stands for it."""
    facts: Facts


class _Side(NamedTuple):
    """The attempts that give one answer."""

    members: list[int]
    logits: list[float]
    """Of those that have a score."""

    @property
    def support(self) -> float | None:
        """Sum of log(1 + odds): an attempt that is surely wrong adds nothing, and a sure one its log odds."""
        return fsum(map(softplus, self.logits)) if self.logits else None

    @property
    def best(self) -> float | None:
        return max(self.logits, default=None)

    @property
    def mean(self) -> float | None:
        return fsum(self.logits) / len(self.logits) if self.logits else None


def read_answers(attempts: Sequence[Attempt], grader: Grader) -> list[Candidate]:
    """The distinct answers, the best-supported first; none while no attempt has an answer."""
    sides: dict[int, _Side] = {}
    logits = [attempt_logit(attempt) for attempt in attempts]
    for index, group in enumerate(grader.group([attempt["answer"] for attempt in attempts])):
        if group is not None:
            members, known = sides.setdefault(group, _Side([], []))
            members.append(index)
            logit = logits[index]
            known += [] if logit is None else [logit]
    ranked = sorted(sides.values(), key=lambda side: (-(side.support or 0.0), -len(side.members), side.members[0]))
    unanswered = len(attempts) - sum(len(side.members) for side in ranked)
    return [
        _candidate(rank, side, _rival(ranked, rank), logits, distinct=len(ranked), unanswered=unanswered)
        for rank, side in enumerate(ranked)
    ]


def _rival(ranked: Sequence[_Side], rank: int) -> _Side | None:
    """The best-supported of the other answers."""
    return next((side for place, side in enumerate(ranked) if place != rank), None)


def _candidate(
    rank: int,
    side: _Side,
    rival: _Side | None,
    logits: Sequence[float | None],
    *,
    distinct: int,
    unanswered: int,
) -> Candidate:
    turn, votes, support = len(logits), len(side.members), side.support
    rival_support = 0.0 if rival is None else rival.support
    facts = Facts(
        turn=turn,
        votes=votes,
        log_votes=log(votes),
        share=votes / turn,
        distinct=distinct,
        unanswered=unanswered,
        support=support,
        best=side.best,
        mean=side.mean,
        unopposed=votes if rival is None else None,
        rival_votes=0 if rival is None else len(rival.members),
        rival_support=rival_support,
        rival_best=None if rival is None else rival.best,
        lead=None if support is None or rival_support is None else support - rival_support,
        rank=rank,
    )
    return Candidate(max(side.members, key=lambda index: (_or_lowest(logits[index]), -index)), facts)


def _or_lowest(logit: float | None) -> float:
    return float("-inf") if logit is None else logit
