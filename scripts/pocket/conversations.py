"""What the pocket Reasoner learns from: conversations, some turns of which are learned.

Prompts are built by `Prompts`, so the model knows the very words it will be asked with.
"""

import random
import re
from collections.abc import Sequence
from typing import NamedTuple

from langchain_core.messages import HumanMessage
from transformers import PreTrainedTokenizerFast

from drr_agent.prompts import Prompts
from drr_agent.reasoners.word_plots import Step
from drr_agent.reasoners.word_problems import Problem
from pocket.tokens import ROLES

PROMPTS = Prompts()
VERDICT_WEIGHT = 4.0
"""A verdict is one token against the forty of a solution, and matters more than one of them."""
_SYSTEM_TEXTS = ("You are a helpful assistant.", "Be brief.", "You solve word problems.", "Answer the question.")


class Turn(NamedTuple):
    """One message; its tokens count `weight` in the loss."""

    role: str
    text: str
    weight: float = 0.0


Conversation = list[Turn]


class Encoded(NamedTuple):
    """A conversation in tokens, each with its weight as a prediction."""

    ids: list[int]
    weights: list[float]


def ask(problem: Problem, *additions: str) -> Turn:
    """The question, as a graph asks it."""
    return Turn("user", str(PROMPTS.ask(HumanMessage(problem.question), *additions).content))


def drilled(steps: Sequence[Step]) -> Conversation:
    """Calculations without a story, which teach arithmetic in a quarter of the tokens."""
    asked = ", ".join(f"{step.left} {step.operator} {step.right}" for step in steps)
    return [Turn("user", f"Work out: {asked}"), Turn("assistant", "\n".join(map(str, steps)), 1.0)]


def solved(problem: Problem) -> Conversation:
    """A question and its solution."""
    return [ask(problem), _solution(problem)]


def retried(problem: Problem, rejected: Sequence[str]) -> Conversation:
    """The solution after attempts that were called wrong."""
    turns = [turn for text in rejected for turn in (Turn("assistant", text), Turn("user", PROMPTS.wrong))]
    return [ask(problem), *turns, _solution(problem)]


def contrasted(problem: Problem, answers: Sequence[str]) -> Conversation:
    """The solution where answers are ruled out."""
    return [ask(problem, PROMPTS.contrast.format(answers=", ".join(dict.fromkeys(answers)))), _solution(problem)]


def nudged(problem: Problem, reply: str) -> Conversation:
    """The solution after a reply without an answer."""
    return [ask(problem), Turn("assistant", reply), Turn("user", PROMPTS.no_answer), _solution(problem)]


def judged(problem: Problem, attempt: str, *, right: bool) -> Conversation:
    """A verdict on an attempt."""
    verdict = Turn("assistant", "yes" if right else "no", VERDICT_WEIGHT)
    return [ask(problem), Turn("assistant", attempt), Turn("user", PROMPTS.critique), verdict]


def drop_answer(reply: str, rng: random.Random) -> str:
    """The reply without its answer line, sometimes without its last calculations too."""
    lines = reply.split("\n")[:-1] or [reply[:5]]
    return "\n".join(lines[: rng.randint(1, len(lines))])


def corrupt(solution: str, rng: random.Random) -> str:
    """The solution with one of its digits changed."""
    place = rng.choice([match.start() for match in re.finditer(r"\d", solution)])
    digit = rng.choice([d for d in "0123456789" if d != solution[place]])
    return solution[:place] + digit + solution[place + 1 :]


def preface(conversation: Conversation, earlier: Problem, rng: random.Random) -> Conversation:
    """The conversation with a system message or an earlier question before it."""
    if rng.random() < 0.5:
        return [Turn("system", rng.choice(_SYSTEM_TEXTS)), *conversation]
    return [*solved(earlier), *conversation]


def encode(conversation: Conversation, tokenizer: PreTrainedTokenizerFast) -> Encoded:
    """What the chat template gives for the conversation, in tokens."""
    ids, weights = [tokenizer.bos_token_id], [0.0]
    for turn in conversation:
        text = tokenizer.encode(turn.text, add_special_tokens=False)
        ids += [tokenizer.convert_tokens_to_ids(ROLES[turn.role]), *text, tokenizer.eos_token_id]
        weights += [0.0] + [turn.weight] * (len(text) + 1)
    return Encoded(ids, weights)


def _solution(problem: Problem) -> Turn:
    return Turn("assistant", problem.solution, 1.0)
