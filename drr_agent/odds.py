"""Odds that an answer is right: of a score, of an attempt, and of a lead in votes."""

import math

from drr_agent.state import Attempt


def score_logit(score: float) -> float:
    """The log odds of a score, kept finite."""
    score = min(max(score, 1e-6), 1 - 1e-6)
    return math.log(score / (1 - score))


def attempt_logit(attempt: Attempt) -> float | None:
    """What the DM made of an attempt before calibration, else the log odds of its score; `None` without either."""
    if attempt["logit"] is not None:
        return attempt["logit"]
    return None if attempt["score"] is None else score_logit(attempt["score"])


def softplus(logit: float) -> float:
    """log(1 + odds), from log odds."""
    return max(logit, 0.0) + math.log1p(math.exp(-abs(logit)))


def beta_lead(votes: int, rival_votes: int) -> float:
    """P(Beta(votes + 1, rival_votes + 1) > 1/2), exact for whole votes by the binomial form of the Beta integral."""
    draws = votes + rival_votes + 1
    return sum(math.comb(draws, k) for k in range(votes + 1)) / float(2**draws)
