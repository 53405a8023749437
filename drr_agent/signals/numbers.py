"""Numbers of the question, of the rationale and in the answer, and whether the calculations add up.

What is asked of a rationale is missing where none is logged, what is asked of a numeric answer where it is not one.
"""

import math
import re
from collections.abc import Mapping
from functools import lru_cache

from drr_agent.arithmetic import Numbers, count_errors, judge_calculations, read_numbers
from drr_agent.grading import parse_number
from drr_agent.prompts import split_confidence
from drr_agent.signals.given import Signal, SignalInput
from drr_agent.state import Draft

_LONGEST_ANSWER = 100
_STATEMENT = re.compile(
    r"<(?:final_?)?ans(?:wer)?>|####|\\boxed\b|(?:final answer|answer)\W{0,4}(?:is\b|[:=])", re.IGNORECASE
)
"""Where an answer is stated, in the forms that Reasoners are asked for."""
_STATEMENT_CHARS = 200
"""A statement of the answer that stands further from the end closes nothing."""
_MIXED = re.compile(r"(?<=\d)(?=\\[dt]?frac)")
_FRACTION = re.compile(r"\\[dt]?frac\{\s*(-?\d+)\s*\}\{\s*(\d+)\s*\}")
_DRESS = re.compile(r"\\(?:boxed|text|mathrm|left|right|circ|[%,;!() ])|[{}^]")
"""LaTeX around a number that does not change it."""
_IN_NAME = re.compile(r"[^\W\d_]-?\d")
_POWER = re.compile(r"\^(?!\{?\\?circ)")
_DECIMALS = re.compile(r"\.(\d+)")


def arithmetic_errors(given: SignalInput) -> float | None:
    """How many of the calculations in the rationale do not add up; missing where there is none."""
    errors = count_errors(given.draft["rationale"])
    return None if errors is None else float(errors)


def arithmetic_right_share(given: SignalInput) -> float | None:
    """Share of the calculations in the rationale that add up; missing where there is none."""
    right, wrong = judge_calculations(given.draft["rationale"])
    return right / (right + wrong) if right + wrong else None


def calculations(given: SignalInput) -> float | None:
    """How many calculations of the rationale could be checked."""
    return float(sum(judge_calculations(given.draft["rationale"]))) if _is_written(given.draft) else None


def equals_signs(given: SignalInput) -> float | None:
    """How often the rationale says `=`."""
    return float(given.draft["rationale"].count("=")) if _is_written(given.draft) else None


def question_numbers(given: SignalInput) -> float:
    """Distinct numbers of the question, those in words from two on included."""
    return float(len(asked_numbers(given.question)))


def rationale_numbers(given: SignalInput) -> float | None:
    """Distinct numbers in the digits of the rationale."""
    numbers = _read_rationale(given.draft)
    return None if numbers is None else float(len(numbers.digits))


def unused_numbers(given: SignalInput) -> float | None:
    """How many distinct numbers of the question the rationale never names; `0.2` names `20 %`. Missing without any."""
    numbers, asked = _read_rationale(given.draft), asked_numbers(given.question)
    if numbers is None or not asked:
        return None
    said = _all(numbers)
    return float(sum(value not in said and value / 100 not in said for value in asked))


def unused_number_share(given: SignalInput) -> float | None:
    """The same, as a share of the question's numbers."""
    unused = unused_numbers(given)
    return None if unused is None else unused / question_numbers(given)


def new_numbers(given: SignalInput) -> float | None:
    """Distinct numbers in the digits of the rationale that the question does not hold."""
    numbers = _read_rationale(given.draft)
    return None if numbers is None else float(len(numbers.digits - asked_numbers(given.question)))


def answer_numeric(given: SignalInput) -> float | None:
    """1 when the answer is a number; missing where there is no answer."""
    answer = given.draft["answer"]
    return None if answer is None else float(read_answer(answer) is not None)


def answer_in_question(given: SignalInput) -> float | None:
    """1 when the answer is a number that stands in the question."""
    value = read_answer(given.draft["answer"])
    return None if value is None else float(abs(value) in asked_numbers(given.question))


def answer_in_rationale(given: SignalInput) -> float | None:
    """1 when the answer is a number that stands in the rationale before it is given as the answer."""
    value, numbers = read_answer(given.draft["answer"]), read_working(given.draft)
    if value is None or numbers is None:
        return None
    return float(abs(value) in _all(numbers) | numbers.quotients)


def answer_is_last_number(given: SignalInput) -> float | None:
    """1 when the answer is the last number of the rationale before it is given as the answer; missing without one."""
    value, numbers = read_answer(given.draft["answer"]), read_working(given.draft)
    return None if value is None or numbers is None or numbers.last is None else float(abs(value) == numbers.last)


def answer_whole(given: SignalInput) -> float | None:
    """1 when the answer is a whole number."""
    value = read_answer(given.draft["answer"])
    return None if value is None else float(value.is_integer())


def answer_negative(given: SignalInput) -> float | None:
    """1 when the answer is a number below zero."""
    value = read_answer(given.draft["answer"])
    return None if value is None else float(value < 0)


def answer_magnitude(given: SignalInput) -> float | None:
    """Natural log of one plus the numeric answer's absolute value."""
    value = read_answer(given.draft["answer"])
    return None if value is None else math.log1p(abs(value))


def answer_decimals(given: SignalInput) -> float | None:
    """Digits behind the point of the numeric answer, as written."""
    if read_answer(given.draft["answer"]) is None:
        return None
    found = _DECIMALS.search(str(given.draft["answer"]))
    return float(len(found[1])) if found else 0.0


@lru_cache(maxsize=16)
def read_answer(answer: str | None) -> float | None:
    r"""The number that an answer is, such as `41`, `$1,200`, `3/4`, `\frac{3}{4}` or `41 apples`; `None` for others."""
    if answer is None or len(answer) > _LONGEST_ANSWER or _POWER.search(answer):
        return None
    bare = answer.replace("\\$", "").replace("$", "").replace("{,}", ",")
    plain = _DRESS.sub(" ", _FRACTION.sub(r"\1/\2", _MIXED.sub(" ", bare)))
    if "\\" in plain or _IN_NAME.search(plain) or len(plain.split()) > 3:
        return None
    value = parse_number(plain)
    try:
        return None if value is None else float(value)
    except OverflowError:  # 1e999
        return None


def _is_written(draft: Draft) -> bool:
    """Whether there is a rationale."""
    return draft["rationale"] != "" and not draft["rationale"].isspace()


def _read_rationale(draft: Draft) -> Numbers | None:
    """The rationale's numbers but that of a stated confidence; `None` without a rationale."""
    return _numbers(draft["rationale"]) if _is_written(draft) else None


def read_working(draft: Draft) -> Numbers | None:
    """The rationale's numbers up to where it states its answer: an imported reply is often logged with that."""
    working = cut_statement(draft["rationale"])
    return None if not working or working.isspace() else _numbers(working)


@lru_cache(maxsize=16)
def cut_statement(rationale: str) -> str:
    """The rationale without its closing statement of the answer, where it ends with one."""
    start = max(0, len(rationale) - _STATEMENT_CHARS)
    marks = [found.start() for found in _STATEMENT.finditer(rationale, start)]
    return rationale[: marks[-1]] if marks else rationale


@lru_cache(maxsize=16)
def _numbers(rationale: str) -> Numbers:
    return read_numbers(split_confidence(rationale)[0])


def asked_numbers(question: str) -> frozenset[float]:
    """The question's numbers, in digits or, from two on, in words."""
    return _all(read_numbers(question))


def _all(numbers: Numbers) -> frozenset[float]:
    return numbers.digits | numbers.spelled


NUMBER_SIGNALS: Mapping[str, Signal] = {
    "arithmetic_errors": arithmetic_errors,
    "arithmetic_right_share": arithmetic_right_share,
    "calculations": calculations,
    "equals_signs": equals_signs,
    "question_numbers": question_numbers,
    "rationale_numbers": rationale_numbers,
    "unused_numbers": unused_numbers,
    "unused_number_share": unused_number_share,
    "new_numbers": new_numbers,
    "answer_numeric": answer_numeric,
    "answer_in_question": answer_in_question,
    "answer_in_rationale": answer_in_rationale,
    "answer_is_last_number": answer_is_last_number,
    "answer_whole": answer_whole,
    "answer_negative": answer_negative,
    "answer_magnitude": answer_magnitude,
    "answer_decimals": answer_decimals,
}
