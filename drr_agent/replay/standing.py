"""Which answer stands after each turn, and how sure that is, for all readings at once: `policy` over arrays."""

from typing import NamedTuple, Self

import numpy as np

from drr_agent.evaluation.metrics import Floats
from drr_agent.odds import beta_lead
from drr_agent.policy import ConsensusPolicy
from drr_agent.replay.readings import Ints, Readings

NOTHING = -1
"""In place of a choice: no answer, or one that is withheld."""


class Support(NamedTuple):
    """What speaks for each distinct answer so far, by the turn it came first; shape (readings, turns)."""

    best: Floats
    """Log odds of its best score; minus infinity without one."""
    place: Ints
    """The attempt with that score."""
    attempts: Ints

    @classmethod
    def blank(cls, readings: Readings) -> Self:
        """Before the first turn."""
        shape = readings.first.shape
        return cls(np.full(shape, -np.inf), np.full(shape, NOTHING), np.zeros(shape, dtype=np.int64))

    def add(self, readings: Readings, turn: int) -> None:
        """Count the attempts of a turn, from 0."""
        rows = np.flatnonzero(readings.first[:, turn] >= 0)
        answer, logit = readings.first[rows, turn], readings.logit[rows, turn]
        better = (logit > self.best[rows, answer]) | (self.attempts[rows, answer] == 0)
        self.place[rows[better], answer[better]] = turn
        self.best[rows[better], answer[better]] = logit[better]
        self.attempts[rows, answer] += 1

    def judge(self, policy: ConsensusPolicy) -> tuple[Ints, Floats]:
        """Choice and confidence of each reading, as `ConsensusPolicy.decide` has them."""
        weights, scored = policy.weights, np.isfinite(self.best)
        logits = weights.score * np.where(scored, self.best, 0.0) + weights.agreement * (self.attempts - 1)
        none = weights.none + weights.none_per_attempt * ((self.attempts * scored).sum(axis=1) - 1)
        every = np.column_stack([np.where(scored, logits, -np.inf), none])
        masses = np.exp(every - every.max(axis=1, keepdims=True))
        probabilities = masses[:, :-1] / masses.sum(axis=1, keepdims=True)
        best, known = probabilities.argmax(axis=1), scored.any(axis=1)
        confidence = np.where(known, probabilities.max(axis=1), np.nan)
        chosen = self.place[np.arange(len(best)), best]
        most = np.where(self.attempts.any(axis=1), self.attempts.argmax(axis=1), NOTHING)
        return np.where(known, chosen, most), confidence


def leads(readings: Readings) -> tuple[Ints, Floats]:
    """The most frequent answer of each prefix, the earliest of equals, and the Beta probability of its lead."""
    turns = readings.first.shape[1]
    table = np.array([[beta_lead(votes, rival) for rival in range(turns + 1)] for votes in range(turns + 1)])
    votes, rows = np.zeros(readings.first.shape, dtype=np.int64), np.arange(len(readings))
    choice, lead = np.full(votes.shape, NOTHING), np.full(votes.shape, np.nan)
    for turn in range(turns):
        answered = readings.first[:, turn] >= 0
        votes[rows[answered], readings.first[answered, turn]] += 1
        top = votes.argmax(axis=1)
        most = votes[rows, top]
        rivals = votes.copy()
        rivals[rows, top] = 0
        choice[:, turn] = np.where(most > 0, top, NOTHING)
        lead[:, turn] = np.where(most > 0, table[most, rivals.max(axis=1)], np.nan)
    return choice, lead


def best_scored(readings: Readings) -> tuple[Ints, Floats]:
    """The answer with the best score of each prefix, the earliest of equals, and that score."""
    rows = np.arange(len(readings))
    best, settled = np.full(len(rows), NOTHING), np.full(readings.first.shape, NOTHING)
    for turn in range(readings.first.shape[1]):
        better = (best == NOTHING) | (readings.logit[:, turn] > readings.logit[rows, best])
        best = np.where(better & (readings.first[:, turn] >= 0), turn, best)
        settled[:, turn] = best
    score = np.take_along_axis(readings.score, np.maximum(settled, 0), axis=1)
    return settled, np.where(settled == NOTHING, np.nan, score)
