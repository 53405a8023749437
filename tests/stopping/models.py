"""Models of when to stop, made by hand."""

import numpy as np
from fakes import make_attempt

from drr_agent.dm.fusion import Fusion
from drr_agent.dm.terms import Term
from drr_agent.stopping import StoppingModel
from drr_agent.stopping.beliefs import AnswerModel
from drr_agent.stopping.values import BASIS, TurnValues


def term(name, weight, missing=0.0):
    return Term(name=name, unit=1.0, center=0.0, scale=1.0, weight=weight, missing=missing)


def answer_model(*terms, calibration=None):
    """P(right) = sigmoid of a sum of squashed facts."""
    return AnswerModel(
        fusion=Fusion(text=None, signals=terms, intercept=0.0, regularization=1.0), calibration=calibration
    )


BY_SCORE = answer_model(term("best", 1.0))
"""An answer is as probable as its best logit says, more or less: sigmoid(asinh(logit))."""
BY_VOTES = answer_model(term("share", 4.0, missing=1.0), term("rank", -0.5))
RICH = answer_model(
    term("best", 0.7),
    term("support", 0.4, missing=-0.2),
    term("lead", 0.3, missing=0.4),
    term("unopposed", 0.2, missing=0.1),
    term("rival_best", -0.3, missing=0.2),
    term("best.length", -0.1, missing=-0.6),
)
PRICES = (0.01, 0.1, 0.3)


def turn_values(*advantages, prices=PRICES):
    """One turn for each function of `best`, given as (constant, slope) pairs by price."""
    weights = tuple(
        tuple((constant, slope, *[0.0] * (len(BASIS) - 2)) for constant, slope in turn) for turn in advantages
    )
    return TurnValues(prices=prices, weights=weights)


def doubting(turns=3):
    """One more turn brings 0.2 of what is missing to certainty: the break-even price is 0.2 (1 - best)."""
    return turn_values(*[tuple((0.2 - price, -0.2) for price in PRICES)] * turns)


def stopping_model(answers=BY_SCORE, values=None):
    return StoppingModel(answers=answers, values=doubting() if values is None else values)


def logit_of(probability):
    """The best logit at which `BY_SCORE` says so."""
    return float(np.sinh(np.log(probability / (1 - probability))))


def believed(*probabilities, answer="41"):
    """Attempts that agree, of which `BY_SCORE` thinks so."""
    return [make_attempt(answer, p, logit=logit_of(p), turn=turn) for turn, p in enumerate(probabilities, 1)]
