"""Every number the pocket Reasoner depends on."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The whole training."""

    seed: int = 0
    vocabulary: int = 1024
    hidden: int = 192
    layers: int = 4
    heads: int = 6
    key_value_heads: int = 2
    intermediate: int = 512
    positions: int = 2048
    """Longest conversation, in tokens."""

    batch: int = 48
    """Conversations a step."""
    pool: int = 16
    """Batches that are drawn together and sorted by length, so that little is padded."""
    lesson_steps: int = 880
    """Steps of stage 1; like those of stage 2, a multiple of `pool`. With more of them the model is seldom wrong, which
    leaves nothing to accept or reject."""
    warmup_steps: int = 60
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    practice_steps: int = 320
    """Steps of stage 2, over which the learning rate falls to zero."""
    practice_questions: int = 1800
    practice_draws: int = 4
    """Own attempts a question, drawn once before stage 2."""
    nudged: float = 0.1
    """Share of replies without an answer among the turns around own attempts."""
    retried: float = 0.3
    """Share of rejections."""
    contrasted: float = 0.15
    """Share of turns with answers ruled out; what the three leave are verdicts."""

    max_new_tokens: int = 160

    evaluation_questions: int = 400
    evaluation_draws: int = 8
    judged_draws: int = 3
    """Attempts a question that the model is asked to judge."""

    @property
    def steps(self) -> int:
        """Steps of both stages."""
        return self.lesson_steps + self.practice_steps

    def learning_rate_at(self, step: int) -> float:
        """Rises over the warm-up, stays through stage 1, falls through stage 2."""
        rising, falling = (step + 1) / self.warmup_steps, (self.steps - step) / self.practice_steps
        return self.learning_rate * min(1.0, rising, falling)

    def problem_seed(self, part: str, chunk: int = 0) -> int:
        """The seed of the problems of one part: no two parts and no two chunks share one."""
        parts = ("lessons", "practice", "tokenizer", "evaluation")
        return 1_000_000_000 * (self.seed + 1) + 100_000_000 * parts.index(part) + chunk


QUICK = Recipe(lesson_steps=160, practice_steps=64, practice_questions=200, evaluation_questions=100)
"""Nothing a user could want: a model in a quarter of the time, to see whether everything works."""
