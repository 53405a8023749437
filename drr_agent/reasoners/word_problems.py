"""Arithmetic word problems, without end: what the Reasoner that ships was trained on and can be asked.

A problem is a short story of two to five calculations. Every problem depends on its seed and its position alone, so
`generate(10, seed=3)` begins with `generate(5, seed=3)`; numbers and words are many enough that two seeds practically
never share a question.
"""

import random
from dataclasses import dataclass

from drr_agent.reasoners.word_plots import Step, tell_story
from drr_agent.state import Sample


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A question with its worked solution."""

    id: str
    question: str
    steps: tuple[Step, ...]

    @property
    def target(self) -> int:
        """The right answer."""
        return self.steps[-1].result

    @property
    def solution(self) -> str:
        """The calculations, a line each, and the answer line."""
        return "\n".join([*map(str, self.steps), f"Answer: {self.target}"])

    @property
    def sample(self) -> Sample:
        """The question and its gold answer."""
        return {"id": self.id, "question": self.question, "target": str(self.target)}


def generate(n: int, *, seed: int) -> list[Sample]:
    """`n` fresh questions with their answers; the same for the same seed."""
    return [problem.sample for problem in generate_problems(n, seed=seed)]


def generate_problems(n: int, *, seed: int) -> list[Problem]:
    """`n` problems with worked solutions, those whose questions `generate` gives."""
    return [_problem(f"word-{seed}-{index}") for index in range(n)]


def normalize_question(question: str) -> str:
    """A question up to case and spacing, to tell whether two are the same."""
    return " ".join(question.lower().split())


def _problem(problem_id: str) -> Problem:
    story = tell_story(random.Random(problem_id))
    return Problem(id=problem_id, question=" ".join(story.sentences), steps=tuple(story.steps))
