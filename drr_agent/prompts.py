"""How the Reasoner is asked, told of a rejection, and asked to judge itself.

The instruction rides at the end of the question's own message rather than in a system message, since a host may have
its own, and some chat models take none. A `Prompts` value is frozen and has a digest, which every run records: a DM
trained on one wording is not silently used with another.
"""

import hashlib
from dataclasses import asdict, dataclass

from langchain_core.messages import AnyMessage, HumanMessage


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """The wording of every turn. Placeholders: `{answers}` in `contrast`."""

    instruction: str = "Think step by step. Finish with one line: Answer: <answer>"
    """Added to the question on every turn."""
    wrong: str = "That answer is wrong. Think again from the start. Finish with one line: Answer: <answer>"
    """Follows a rejected attempt under `history` feedback."""
    contrast: str = "These answers were tried and rejected: {answers}. Take a different line of thought."
    """Stands between the question and the instruction under `contrast` feedback."""
    no_answer: str = "No answer was found in that reply. Finish with one line: Answer: <answer>"
    """Follows a reply in which no answer was found."""
    critique: str = "Is this answer right? Reply with one word: yes or no."
    """Asks the Reasoner about its own attempt, for the self-critique baseline."""

    @property
    def digest(self) -> str:
        """Twelve hex digits over every wording."""
        text = "\n".join(f"{name}={value}" for name, value in sorted(asdict(self).items()))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def ask(self, question: AnyMessage, *additions: str) -> HumanMessage:
        """The question with the instruction added; other content blocks (images, files) are kept as they are."""
        suffix = "\n\n" + "\n".join([*additions, self.instruction])
        if isinstance(question.content, str):
            return HumanMessage(question.content + suffix)
        return HumanMessage([*question.content, {"type": "text", "text": suffix}])
