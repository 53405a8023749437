"""Which conversations are seen at which step, the same for the same recipe wherever training is taken up again."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from drr_agent.reasoners.word_problems import Problem, generate_problems, normalize_question
from pocket.attempts import Attempt
from pocket.conversations import (
    Conversation,
    Encoded,
    contrasted,
    corrupt,
    drilled,
    drop_answer,
    encode,
    judged,
    nudged,
    preface,
    retried,
    solved,
)
from pocket.recipe import Recipe

Batch = Sequence[Encoded]
Attempted = tuple[Problem, Sequence[Attempt]]
"""A problem and the model's own attempts at it."""


@dataclass(frozen=True, kw_only=True)
class Curriculum:
    """Draws the conversations of both stages."""

    recipe: Recipe
    tokenizer: PreTrainedTokenizerFast
    held_out: frozenset[str]
    """Normalized questions that are never trained on."""

    def lessons(self, chunk: int) -> list[Conversation]:
        """Stage 1: drills, worked solutions, and verdicts on right and on corrupted ones."""
        rng = random.Random(f"lessons-{self.recipe.seed}-{chunk}")
        problems = self._problems("lessons", chunk)
        return [_maybe_prefaced(_lesson(problem, problems, rng), problems, rng) for problem in problems]

    def practice(self, chunk: int, *, attempted: Sequence[Attempted]) -> list[Conversation]:
        """Stage 2: a third fresh lessons, the rest turns around the model's own attempts."""
        rng = random.Random(f"practice-{self.recipe.seed}-{chunk}")
        fresh = self._problems("lessons", 1_000_000 + chunk)
        third = len(fresh) // 3
        exercises = [_exercise(*rng.choice(attempted), self.recipe, rng) for _ in fresh[third:]]
        conversations = [_lesson(problem, fresh, rng) for problem in fresh[:third]] + exercises
        return [_maybe_prefaced(conversation, fresh, rng) for conversation in conversations]

    def batches(self, conversations: Sequence[Conversation], chunk: int) -> Iterator[Batch]:
        """The conversations in batches of like length, in random order."""
        encoded = [encode(conversation, self.tokenizer) for conversation in conversations]
        encoded.sort(key=lambda item: len(item.ids))
        size = self.recipe.batch
        starts = list(range(0, len(encoded), size))
        random.Random(f"order-{self.recipe.seed}-{chunk}").shuffle(starts)
        yield from (encoded[start : start + size] for start in starts)

    def _problems(self, part: str, chunk: int) -> list[Problem]:
        """A pool of problems; one that is held out gives its place to its neighbor."""
        drawn = generate_problems(self.recipe.batch * self.recipe.pool, seed=self.recipe.problem_seed(part, chunk))
        kept = [problem for problem in drawn if normalize_question(problem.question) not in self.held_out]
        return (kept + kept)[: len(drawn)]


def _lesson(problem: Problem, others: Sequence[Problem], rng: random.Random) -> Conversation:
    draw = rng.random()
    if draw < 0.3:
        return drilled([rng.choice(other.steps) for other in rng.sample(others, 8)])
    if draw < 0.4:
        return judged(problem, corrupt(problem.solution, rng), right=False)
    if draw < 0.5:
        return solved(problem) + judged(problem, problem.solution, right=True)[2:]
    return solved(problem)


def _exercise(problem: Problem, attempts: Sequence[Attempt], recipe: Recipe, rng: random.Random) -> Conversation:
    """One turn of a graph around own attempts; what needs a wrong one falls back to a verdict."""
    wrong = [attempt for attempt in attempts if not attempt.right and attempt.answer is not None]
    draw = rng.random()
    if draw < recipe.nudged:
        return nudged(problem, drop_answer(rng.choice(attempts).text, rng))
    if wrong and draw < recipe.nudged + recipe.retried:
        return retried(problem, [attempt.text for attempt in rng.sample(wrong, rng.randint(1, min(3, len(wrong))))])
    if wrong and draw < recipe.nudged + recipe.retried + recipe.contrasted:
        return contrasted(problem, [str(attempt.answer) for attempt in rng.sample(wrong, rng.randint(1, len(wrong)))])
    judgable = [rng.choice(kind) for kind in (wrong, [a for a in attempts if a.right]) if kind]
    attempt = rng.choice(judgable or attempts)
    return judged(problem, attempt.text, right=attempt.right)


def _maybe_prefaced(conversation: Conversation, problems: Sequence[Problem], rng: random.Random) -> Conversation:
    return preface(conversation, rng.choice(problems), rng) if rng.random() < 0.06 else conversation
