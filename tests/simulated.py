"""Logs whose truth is known."""

import math
import random

from fakes import make_attempt

from drr_agent.training.logged import LabelledQuestion


def simulate(count, *, seed, informative=True, sharpness=1.0, draws=8):
    """Questions of three kinds of difficulty; a right attempt scores higher on average when `informative`."""
    generator = random.Random(seed)
    questions = []
    for _ in range(count):
        skill = generator.choice([0.25, 0.55, 0.85])
        attempts, labels = [], []
        for turn in range(1, draws + 1):
            right = generator.random() < skill
            answer = "right" if right else f"wrong {generator.randint(1, 6)}"
            logit = generator.gauss(1.2 if right else -1.2, 1.5) if informative else generator.gauss(0, 1.5)
            attempts.append(make_attempt(answer, 1 / (1 + math.exp(-sharpness * logit)), turn=turn))
            labels.append("correct" if right else "incorrect")
        questions.append(LabelledQuestion(attempts, labels))
    return questions
