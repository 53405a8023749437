"""Behaviors whose right and wrong attempts differ in ways that a test chooses."""

import random
from typing import Any

from drr_agent.encoding import encode
from drr_agent.questions import question_key
from drr_agent.training.behaviors import Behavior, to_request, with_labels
from drr_agent.training.labels import LabelRecord

_WORDS = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "red",
    "blue",
    "green",
    "apples",
    "pears",
    "boxes",
    "then",
    "so",
    "now",
    "we",
    "add",
]


def make_behavior(question: str = "How many apples?", **changes: Any) -> Behavior:
    """A labelled attempt with plain values."""
    row: Behavior = {
        "id": "run:1",
        "run_id": "run",
        "question_key": question_key(question),
        "question": question,
        "context": "",
        "rationale": "one and one",
        "answer": "two",
        "target": "two",
        "label": "correct",
        "label_source": "grader:exact",
        "labelled_at": None,
        "labels": [],
        "turn": 1,
        "draw": 0,
        "copies": 1,
        "feedback": "first",
        "truncated": False,
        "signals": {},
        "logprobs": None,
        "spans": None,
        "input_tokens": 10,
        "output_tokens": 10,
        "reasoner": "tiny",
        "prompts": "0123456789ab",
        "dm": None,
        "score": None,
        "verdict": None,
        "origin": "distilled",
        "propensity": 1.0,
        "dataset": None,
        "started_at": None,
    }
    row = {**row, **changes}  # type: ignore[typeddict-item]
    said: list[LabelRecord] = (
        [] if row["label"] is None else [{"value": row["label"], "source": "grader:exact", "at": None}]
    )
    return with_labels(row, changes.get("labels", said))


def make_behaviors(
    questions: int, *, attempts: int = 4, seed: int = 0, text: bool = True, signal: float = 0.0
) -> list[Behavior]:
    """Attempts at questions of different difficulty.

    Args:
        questions: how many.
        attempts: at each.
        seed: of everything.
        text: whether a wrong rationale holds the word "hence" where a right one holds "thus".
        signal: standard deviations by which `confidence` differs between right and wrong; 0 tells nothing.
    """
    generator = random.Random(seed)
    rows = []
    for number in range(questions):
        difficulty = generator.random()
        question = f"{seed} {number} " + " ".join(generator.choices(_WORDS, k=6))
        for draw in range(attempts):
            right = generator.random() > difficulty
            words = generator.choices(_WORDS, k=generator.randint(6, 20))
            mark = ("thus" if right else "hence") if text else "so"
            words.insert(generator.randrange(len(words)), mark)
            confidence = generator.gauss(signal if right else 0.0, 1.0)
            row = make_behavior(
                question,
                id=f"{seed}-{number}:{draw}",
                run_id=f"{seed}-{number}",
                rationale=" ".join(words),
                answer=generator.choice(_WORDS),
                label="correct" if right else "incorrect",
                draw=draw,
                signals={"confidence": confidence, "noise": generator.random(), "constant": 1.0},
            )
            rows.append(row)
    return rows


def texts_of(rows: list[Behavior]) -> list[str]:
    """What a classifier reads of the rows, for a vocabulary."""
    return [encode(to_request(row), max_chars=10_000) for row in rows] + ["thus hence so"]
