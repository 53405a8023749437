"""Whether the option that an answer picks says what the rationale came to.

What is asked of an option is missing unless the question gives options by letters, and the answer is one of them.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from drr_agent.arithmetic import Numbers, read_numbers
from drr_agent.grading import parse_choice
from drr_agent.signals.given import Signal, SignalInput
from drr_agent.signals.numbers import read_working

_OPTION = re.compile(r"(?<!\w)(?P<opening>\()?(?P<letter>[A-J])(?P<closing>\)|[.:](?=\s|\d))")
"""Where an option begins, such as `A)`, `(B)` or `C.`."""
_NAMED = re.compile(r"\W*+(?:(?:or|and)\b\W*+)?")
"""What stands behind a letter that only names its option: `Reply with (A) or (B).`"""


@lru_cache(maxsize=16)
def read_options(question: str) -> Mapping[str, str]:
    """The text of each option by its letter; none unless there are `A` and `B`.

    Options go on from `A` in one style, such as `(A) … (B) …`. The longest list counts, of equals the last: a letter
    within an option, or in what is said about the reply, begins none.
    """
    lists: list[list[re.Match[str]]] = []
    growing: dict[tuple[str | None, ...], list[re.Match[str]]] = {}
    for mark in _OPTION.finditer(question):
        letter, style = mark["letter"], (mark["opening"], mark["closing"])
        marks = growing.pop((*style, chr(ord(letter) - 1)), None)
        if letter == "A":
            marks = []
            lists.append(marks)
        if marks is not None:
            marks.append(mark)
            growing[*style, letter] = marks
    told = [marks for marks in lists if len(marks) > 1 and _tells(question, marks)]
    marks = max(reversed(told), key=len, default=[])
    ends = _ends(question, marks)
    return {mark["letter"]: question[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=False)}


def _tells(question: str, marks: Sequence[re.Match[str]]) -> bool:
    """Whether something stands behind each letter."""
    ends = _ends(question, marks)
    return not any(_NAMED.fullmatch(question, mark.end(), end) for mark, end in zip(marks, ends, strict=True))


def _ends(question: str, marks: Sequence[re.Match[str]]) -> list[int]:
    return [mark.start() for mark in marks[1:]] + [len(question)]


def option_in_working(given: SignalInput) -> float | None:
    """1 when a number of the option picked stands in the rationale before the answer is given; missing without any."""
    option, working = _option(given), read_working(given.draft)
    if option is None or working is None:
        return None
    return float(bool(option & (working.digits | working.spelled | working.quotients)))


def option_is_last_number(given: SignalInput) -> float | None:
    """1 when the option picked holds the last number of the rationale before the answer is given."""
    option, working = _option(given), read_working(given.draft)
    return None if option is None or working is None or working.last is None else float(working.last in option)


def rival_options_in_working(given: SignalInput) -> float | None:
    """How many of the other options have a number in the rationale before the answer is given."""
    option, working = _option(given), read_working(given.draft)
    if option is None or working is None:
        return None
    letter, said = parse_choice(given.draft["answer"] or ""), working.digits | working.spelled | working.quotients
    others = [_numbers(text) for name, text in read_options(given.question).items() if name != letter]
    return float(sum(bool((values - option) & said) for values in others))


def _option(given: SignalInput) -> frozenset[float] | None:
    """The numbers of the option picked; `None` where it has none, or where none is picked."""
    letter = parse_choice(given.draft["answer"] or "")
    return _numbers(read_options(given.question).get(letter or "", "")) or None


def _numbers(text: str) -> frozenset[float]:
    found: Numbers = read_numbers(text)
    return found.digits | found.spelled | found.quotients


CHOICE_SIGNALS: Mapping[str, Signal] = {
    "option_in_working": option_in_working,
    "option_is_last_number": option_is_last_number,
    "rival_options_in_working": rival_options_in_working,
}
