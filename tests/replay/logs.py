"""Logged attempts whose truth is known, as a dataset has them."""

import math
import random

from training.synthetic import make_behavior

from drr_agent.dm.protocol import Score


class SignalDM:
    """Says what a signal says."""

    digest = "5" * 12

    def __init__(self, seen=()):
        self.seen = frozenset(seen)

    def score(self, requests):
        return [Score(request.signals["p"]) for request in requests]


def make_log(questions, *, seed=0, draws=5, informative=True, skills=(0.25, 0.55, 0.85), **changes):
    """Independent draws at questions of several difficulties; the signal `p` tells right from wrong where told."""
    generator, rows = random.Random(seed), []
    for number in range(questions):
        skill = generator.choice(skills)
        for draw in range(draws):
            right = generator.random() < skill
            told = (1.5 if right else -1.5) if informative else 0.0
            probability = 1 / (1 + math.exp(-generator.gauss(told, 1.0)))
            row = make_behavior(
                f"Question {number} of {seed}?",
                id=f"{seed}-{number}:{draw}",
                run_id=f"{seed}-{number}-{draw}",
                answer="10" if right else str(generator.randint(11, 16)),
                target="10",
                label="correct" if right else "incorrect",
                draw=draw,
                signals={"p": probability},
                reasoner="openai:gpt-4o-mini",
            )
            rows.append({**row, **changes})
    return rows
