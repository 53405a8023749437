"""The measured figures of a pocket Reasoner, on questions it has never seen."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from drr_agent.reasoners.word_problems import Problem, generate_problems
from pocket.attempts import Attempt, attempt_all, draw_attempts, yes_margins
from pocket.conversations import Conversation, contrasted, judged, nudged, retried
from pocket.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Shares of right answers unless said otherwise."""

    questions: int
    draws: int
    greedy: float
    sampled: float
    majority: float
    any_of_draws: float
    answered: float
    """Share of sampled replies with an answer line."""
    slips: float
    """Share of wrong attempts in which a calculation does not add up; the others misread the question."""
    logprob_auroc_within: float
    """How well the mean token log probability ranks right over wrong attempts at one question."""
    fresh_after_wrong: float
    """A second draw, on questions whose first was wrong; the three below are asked on the same questions."""
    retried_after_wrong: float
    contrasted_after_wrong: float
    nudged_after_wrong: float
    critique_accuracy: float
    critique_balanced: float
    """Mean of the accuracies on right and on wrong attempts."""
    critique_auroc: float
    critique_auroc_within: float

    def as_dict(self) -> dict[str, float]:
        """The figures to three digits."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class Examiner:
    """Puts a model to the test."""

    recipe: Recipe
    model: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast

    def examine(self) -> Metrics:
        """Every figure."""
        recipe = self.recipe
        problems = generate_problems(recipe.evaluation_questions, seed=recipe.problem_seed("evaluation"))
        draws, seed = recipe.evaluation_draws, recipe.seed + 1
        drawn = draw_attempts(self.model, self.tokenizer, problems, draws=draws, temperature=1.0, seed=seed)
        return Metrics(
            questions=len(problems),
            draws=draws,
            greedy=self._right(problems, temperature=0.0),
            **_summarize(drawn),
            **self._second_tries(problems, drawn),
            **self._critique(problems, drawn),
        )

    def _right(
        self, problems: Sequence[Problem], prompts: Sequence[Conversation] | None = None, *, temperature: float
    ) -> float:
        seed = self.recipe.seed + 2
        attempts = attempt_all(self.model, self.tokenizer, problems, prompts, temperature=temperature, seed=seed)
        return fmean(attempt.right for attempt in attempts)

    def _second_tries(self, problems: Sequence[Problem], drawn: Sequence[Sequence[Attempt]]) -> dict[str, float]:
        missed = [(p, a) for p, a in zip(problems, drawn, strict=True) if not a[0].right and a[0].answer]
        first = [(problem, attempts[0]) for problem, attempts in missed]
        lessons = {
            "retried_after_wrong": [retried(problem, [attempt.text]) for problem, attempt in first],
            "contrasted_after_wrong": [contrasted(problem, [str(attempt.answer)]) for problem, attempt in first],
            "nudged_after_wrong": [nudged(problem, attempt.text.rpartition("\n")[0]) for problem, attempt in first],
        }
        asked = [problem for problem, _ in first]
        rates = {"fresh_after_wrong": fmean(attempt.right for _, row in missed for attempt in row[1:])}
        for name, conversations in lessons.items():
            prompts = [conversation[:-1] for conversation in conversations]
            rates[name] = self._right(asked, prompts, temperature=1.0)
        return rates

    def _critique(self, problems: Sequence[Problem], drawn: Sequence[Sequence[Attempt]]) -> dict[str, float]:
        shown = [attempts[: self.recipe.judged_draws] for attempts in drawn]
        prompts = [
            judged(problem, attempt.text, right=attempt.right)[:-1]
            for problem, attempts in zip(problems, shown, strict=True)
            for attempt in attempts
        ]
        margins = iter(yes_margins(self.model, self.tokenizer, prompts))
        groups = [[(next(margins), attempt.right) for attempt in attempts] for attempts in shown]
        rows = [row for group in groups for row in group]
        hits = {kind: [(margin > 0) == right for margin, right in rows if right == kind] for kind in (True, False)}
        return {
            "critique_accuracy": fmean((margin > 0) == right for margin, right in rows),
            "critique_balanced": fmean(fmean(values) for values in hits.values()),
            "critique_auroc": auroc(rows),
            "critique_auroc_within": _auroc_within(groups),
        }


def auroc(rows: Iterable[tuple[float, bool]]) -> float:
    """The chance that a right attempt scores above a wrong one; ties count half."""
    scored = list(rows)
    right = [score for score, is_right in scored if is_right]
    wrong = [score for score, is_right in scored if not is_right]
    return fmean((r > w) + 0.5 * (r == w) for r in right for w in wrong)


def _summarize(drawn: Sequence[Sequence[Attempt]]) -> dict[str, float]:
    attempts = [attempt for row in drawn for attempt in row]
    return {
        "sampled": fmean(attempt.right for attempt in attempts),
        "majority": fmean(_majority_right(row) for row in drawn),
        "any_of_draws": fmean(any(attempt.right for attempt in row) for row in drawn),
        "answered": fmean(attempt.answer is not None for attempt in attempts),
        "slips": fmean(attempt.slipped for attempt in attempts if not attempt.right),
        "logprob_auroc_within": _auroc_within([[(a.logprob, a.right) for a in row] for row in drawn]),
    }


def _majority_right(attempts: Sequence[Attempt]) -> bool:
    """Whether the most frequent answer is right; the earliest wins a tie."""
    votes = Counter(attempt.answer for attempt in attempts if attempt.answer is not None)
    if not votes:
        return False
    winner = votes.most_common(1)[0][0]
    return any(attempt.right for attempt in attempts if attempt.answer == winner)


def _auroc_within(groups: Iterable[Sequence[tuple[float, bool]]]) -> float:
    """Mean AUROC over the questions that have both right and wrong attempts."""
    return fmean(auroc(rows) for rows in groups if len({right for _, right in rows}) == 2)
