"""The form of a question and a draft: lengths, kinds, repetition, whether the reply is shaped as it was asked for.

What is asked of a rationale is missing where none is logged, what is asked of an answer where there is none.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from drr_agent.prompts import ANSWER_LINE
from drr_agent.signals.given import Signal, SignalInput
from drr_agent.signals.words import count_words

_MARKER = re.compile(rf"{ANSWER_LINE.pattern}|\\boxed\b|^####", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-z][\w-]{0,30})>", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?=[\s\"')*]|\Z)")
_FRACTION = re.compile(r"\d\s?/\s?\d|\\[dt]?frac|\b(?:half|third|quarter)s?\b", re.IGNORECASE)
_CHOICE = re.compile(r"(?<!\w)\(?([A-E])[).:](?=\s)")
_LETTER = re.compile(r"\s{0,9}[(\[]?[A-Za-z][)\].:]?\s{0,9}")
_YES_NO = re.compile(r"\W{0,9}(?:yes|no|true|false)\W{0,9}", re.IGNORECASE)


class Form(NamedTuple):
    """What a rationale's lines show."""

    lines: int
    """Those with something on them."""
    distinct_lines: int
    markers: int
    """Lines that mark a final answer."""


def log_question_length(given: SignalInput) -> float:
    """Natural log of one plus the question's characters."""
    return math.log1p(len(given.question))


def log_length(given: SignalInput) -> float:
    """Natural log of one plus the rationale's characters."""
    return math.log1p(len(given.draft["rationale"]))


def log_length_ratio(given: SignalInput) -> float | None:
    """The rationale's log length less the question's; missing where nothing is written."""
    return log_length(given) - log_question_length(given) if given.draft["rationale"].strip() else None


def log_answer_length(given: SignalInput) -> float | None:
    """Natural log of one plus the answer's characters."""
    answer = given.draft["answer"]
    return None if answer is None else math.log1p(len(answer))


def truncated(given: SignalInput) -> float | None:
    """1 when the reply was cut off at its token limit."""
    cut = given.draft["truncated"]
    return None if cut is None else float(cut)


def answer_found(given: SignalInput) -> float:
    """1 when the reply holds an answer."""
    return float(given.draft["answer"] is not None)


def answer_choice(given: SignalInput) -> float | None:
    """1 when the answer is a single letter, as of a choice."""
    answer = given.draft["answer"]
    return None if answer is None else float(_LETTER.fullmatch(answer) is not None)


def answer_yes_no(given: SignalInput) -> float | None:
    """1 when the answer is yes or no, true or false."""
    answer = given.draft["answer"]
    return None if answer is None else float(_YES_NO.fullmatch(answer) is not None)


def lines(given: SignalInput) -> float | None:
    """Lines of the rationale with something on them."""
    form = read_form(given.draft["rationale"])
    return None if form is None else float(form.lines)


def repeated_line_share(given: SignalInput) -> float | None:
    """Share of the rationale's lines that stood there before."""
    form = read_form(given.draft["rationale"])
    return None if form is None else 1 - form.distinct_lines / form.lines


def sentences(given: SignalInput) -> float | None:
    """Ends of sentences in the rationale."""
    rationale = given.draft["rationale"]
    return None if read_form(rationale) is None else float(sum(1 for _ in _SENTENCE_END.finditer(rationale)))


def words(given: SignalInput) -> float | None:
    """Words of the rationale."""
    rationale = given.draft["rationale"]
    return None if read_form(rationale) is None else float(count_words(rationale).total())


def distinct_word_share(given: SignalInput) -> float | None:
    """Distinct words over all words of the rationale; low where it goes in circles. Missing without words."""
    counts = count_words(given.draft["rationale"])
    return len(counts) / counts.total() if counts else None


def backslashes(given: SignalInput) -> float | None:
    """Backslashes in the rationale, which is to say LaTeX."""
    rationale = given.draft["rationale"]
    return None if read_form(rationale) is None else float(rationale.count("\\"))


def unclosed_tags(given: SignalInput) -> float | None:
    """Tags such as `<step>` that the rationale opens and does not close."""
    rationale = given.draft["rationale"]
    return None if read_form(rationale) is None else float(_count_unclosed(rationale))


def answer_markers(given: SignalInput) -> float | None:
    """Lines of the rationale that mark a final answer; where the parser cut off the last one, those before it."""
    form = read_form(given.draft["rationale"])
    return None if form is None else float(form.markers)


def format_valid(given: SignalInput) -> float | None:
    """1 when the reply has the form it was asked for: an answer, marked at most once more, nothing left open or cut."""
    draft = given.draft
    form = read_form(draft["rationale"])
    if form is None:
        return None
    whole = draft["answer"] is not None and not draft["truncated"]
    return float(whole and form.markers <= 1 and not _count_unclosed(draft["rationale"]))


def question_percent(given: SignalInput) -> float:
    """1 when the question speaks of percents."""
    return float("%" in given.question or "percent" in given.question.casefold())


def question_fraction(given: SignalInput) -> float:
    """1 when the question holds a fraction."""
    return float(_FRACTION.search(given.question) is not None)


def question_choices(given: SignalInput) -> float:
    """1 when the question gives choices by letters."""
    return float({"A", "B"} <= set(_CHOICE.findall(given.question)))


@lru_cache(maxsize=16)
def read_form(rationale: str) -> Form | None:
    """A rationale's lines; `None` for one that is blank."""
    found = [line.strip() for line in rationale.splitlines() if line and not line.isspace()]
    markers = sum(_MARKER.search(line) is not None for line in found)
    return Form(len(found), len(set(found)), markers) if found else None


@lru_cache(maxsize=16)
def _count_unclosed(rationale: str) -> int:
    opened: Counter[str] = Counter()
    for slash, name in _TAG.findall(rationale):
        opened[name.casefold()] += -1 if slash else 1
    return (+opened).total()


FORM_SIGNALS: Mapping[str, Signal] = {
    "log_question_length": log_question_length,
    "log_length": log_length,
    "log_length_ratio": log_length_ratio,
    "log_answer_length": log_answer_length,
    "truncated": truncated,
    "answer_found": answer_found,
    "answer_choice": answer_choice,
    "answer_yes_no": answer_yes_no,
    "lines": lines,
    "repeated_line_share": repeated_line_share,
    "sentences": sentences,
    "words": words,
    "distinct_word_share": distinct_word_share,
    "backslashes": backslashes,
    "unclosed_tags": unclosed_tags,
    "answer_markers": answer_markers,
    "format_valid": format_valid,
    "question_percent": question_percent,
    "question_fraction": question_fraction,
    "question_choices": question_choices,
}
