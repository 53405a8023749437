"""Every number the pocket Reasoner depends on."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round of stage 2: attempts are drawn, then learned from while the learning rate falls to zero."""

    steps: int
    learning_rate: float
    temperature: float
    """Of the attempts."""
    questions: int
    draws: int = 4
    nudged: float
    """Share of replies without an answer among the turns around own attempts."""
    retried: float
    """Share of rejections."""
    contrasted: float
    """Share of turns with answers ruled out; what the three leave are verdicts."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The whole training."""

    seed: int = 0
    vocabulary: int = 1024
    hidden: int = 192
    layers: int = 4
    heads: int = 6
    intermediate: int = 512
    positions: int = 2048
    """Longest conversation, in tokens."""

    batch: int = 48
    """Conversations a step."""
    pool: int = 16
    """Batches that are drawn together and sorted by length, so that little is padded."""
    lesson_steps: int = 1120
    """Steps of stage 1; like those of a round, a multiple of `pool`."""
    warmup_steps: int = 60
    learning_rate: float = 3e-3
    """Of stage 1."""
    weight_decay: float = 0.05
    rounds: tuple[Round, ...] = (
        Round(
            steps=400, learning_rate=3e-3, temperature=1.0, questions=2400, nudged=0.1, retried=0.25, contrasted=0.15
        ),
        Round(
            steps=320, learning_rate=1e-3, temperature=1.5, questions=1600, nudged=0.15, retried=0.45, contrasted=0.15
        ),
    )
    """Stage 2. In the second round most wrong attempts are slips, as they are in use."""

    temperatures: tuple[float, ...] = (1.0, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7)
    """The one whose sampled accuracy is nearest to `sampled_accuracy` becomes the model's own."""
    sampled_accuracy: float = 0.57
    max_new_tokens: int = 160

    evaluation_questions: int = 400
    evaluation_draws: int = 8
    judged_draws: int = 3
    """Attempts a question that the model is asked to judge."""

    def round_end(self, number: int) -> int:
        """The step at which a round ends."""
        return self.lesson_steps + sum(part.steps for part in self.rounds[: number + 1])

    def learning_rate_at(self, step: int) -> float:
        """Rises over the warm-up, stays through stage 1, falls through each round."""
        if step < self.lesson_steps:
            return self.learning_rate * min(1.0, (step + 1) / self.warmup_steps)
        number = next(number for number in range(len(self.rounds)) if step < self.round_end(number))
        part = self.rounds[number]
        return part.learning_rate * (self.round_end(number) - step) / part.steps

    def problem_seed(self, part: str, chunk: int = 0) -> int:
        """The seed of the problems of one part: no two parts and no two chunks share one."""
        parts = ("lessons", "practice", "tokenizer", "temperature", "evaluation")
        return 1_000_000_000 * (self.seed + 1) + 100_000_000 * parts.index(part) + chunk


QUICK = Recipe(
    lesson_steps=800,
    rounds=(
        Round(
            steps=240, learning_rate=3e-3, temperature=1.0, questions=1000, nudged=0.1, retried=0.35, contrasted=0.15
        ),
    ),
    evaluation_questions=200,
)
"""A weaker model in half the time, to see whether everything works."""
