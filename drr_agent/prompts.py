"""How the Reasoner is asked, told of a rejection, and asked to judge itself.

The instruction rides at the end of the question's own message rather than in a system message, since a host may have
its own, and some chat models take none. A `Prompts` value is frozen and has a digest, which every run records: a DM
trained on one wording is not silently used with another. The lines that are asked for are recognized here as well.
"""

import hashlib
import re
from dataclasses import asdict, dataclass

from langchain_core.messages import AnyMessage, HumanMessage

ANSWER_LINE = re.compile(
    r"^[ \t>*_#`-]*(?:(?:the|my|final|so|therefore|thus),?[ \t]+)*answer[ \t*_]*(?::|\bis\b:?)(.*)$",
    re.IGNORECASE | re.MULTILINE,
)
"""The line that gives the answer, in the ways Reasoners write it."""

CONFIDENCE = "After it, one last line: Confidence: <how sure you are that the answer is right, 0 to 100> %"
"""A wording for `Prompts.confidence`."""

_SAID = r"confidence(?:[ \t]+(?:level|score))?[ \t*_`]*[:=][ \t*_`]*"
_NUMBER = r"(?P<number>\d{1,3}(?:\.\d{1,9})?|\.\d{1,9})(?!\.?\d)[ \t]*(?P<unit>\\?%|percent\b|/[ \t]*100?\b)?"
_CONFIDENCE_LINE = re.compile(
    rf"^[ \t>*_#`-]*(?:my[ \t]+)?{_SAID}(?:[~≈.\d]|(?:about|very|high|medium|moderate|low)\b).*$",
    re.IGNORECASE | re.MULTILINE,
)
_CONFIDENCE_AT_END = re.compile(rf"\b{_SAID}{_NUMBER}[ \t*_`)\].]*$", re.IGNORECASE)
_STATED = re.compile(rf"\b{_SAID}[~≈]?[ \t]*{_NUMBER}", re.IGNORECASE)


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
    confidence: str = ""
    """Added after the instruction, for a Reasoner that is to say how sure it is: `CONFIDENCE`, or other words that ask
    for a line `Confidence: N %`. What it says is the signal `stated_confidence`; nothing asks for it by default."""

    @property
    def digest(self) -> str:
        """Twelve hex digits over every wording; one that asks for no confidence has the digest it always had."""
        wordings = {name: value for name, value in asdict(self).items() if value or name != "confidence"}
        text = "\n".join(f"{name}={value}" for name, value in sorted(wordings.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def ask(self, question: AnyMessage, *additions: str) -> HumanMessage:
        """The question with the instruction added; other content blocks (images, files) are kept as they are."""
        suffix = "\n\n" + "\n".join([*additions, self.instruction, *filter(None, [self.confidence])])
        if isinstance(question.content, str):
            return HumanMessage(question.content + suffix)
        return HumanMessage([*question.content, {"type": "text", "text": suffix}])


def split_confidence(text: str) -> tuple[str, str]:
    """A text without its lines of the form `Confidence: …`, and those lines."""
    said = "\n".join(found.group().strip() for found in _CONFIDENCE_LINE.finditer(text))
    return (_CONFIDENCE_LINE.sub("", text), said) if said else (text, "")


def split_answer(answer: str) -> tuple[str, str]:
    """An answer without the confidence at its end, on a line of its own or as in `4 (Confidence: 80 %)`, and that."""
    before, line_break, last = answer.rstrip().rpartition("\n")
    found = _CONFIDENCE_LINE.match(last) or _CONFIDENCE_AT_END.search(last)
    if found is None:
        return answer, ""
    return (before + line_break + last[: found.start()]).rstrip("\r\n \t,;.([*_`"), found.group().strip()


def read_confidence(text: str) -> float | None:
    """The last confidence that a text states, as a share in [0, 1]; `None` where there is none, or it is unclear.

    `85 %`, `85`, `85/100`, `8.5/10` and `0.85` are read. A bare `1` may be one percent or all.
    """
    shares = [_share(found["number"], found["unit"] or "") for found in _STATED.finditer(text)]
    known = [share for share in shares if share is not None]
    return known[-1] if known else None


def _share(number: str, unit: str) -> float | None:
    value = float(number)
    if unit.startswith("/"):
        value /= 100 if unit.endswith("100") else 10
    elif unit or value > 1:
        value /= 100
    elif number == "1":
        return None
    return value if value <= 1 else None
