"""Numbers and calculations in a text, and whether the latter add up.

Nothing is evaluated but numbers and the four operations. Every reader takes linear time, and remembers the last texts:
many signals look at the same one.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

_OPERATIONS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_SPELLINGS = {
    "\\times": "*",
    "\\cdot": "*",
    "\\div": "/",
    "×": "*",
    "·": "*",
    "÷": "/",
    "−": "-",
    "–": "-",
    "\\$": "$",
    "\\%": "%",
    "\\left": "",
    "\\right": "",
    "\\,": " ",
    "\\;": " ",
    "\\!": "",
    "{,}": ",",
    "\\(": " ",
    "\\)": " ",
    "\\[": " ",
    "\\]": " ",
}
"""Of LaTeX and of print, as Python has them."""
_WORDS = re.compile(r"\\(?:text|mathrm|textbf|mathbf|operatorname)\{[^{}]{0,80}\}")
"""Units and names in LaTeX."""
_OVER = re.compile(r"\\[dt]?frac\{([^{}]{1,60})\}\{([^{}]{1,60})\}")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_LETTER_X = re.compile(r"(?<=\d)\s*[xX]\s*(?=\$?\d)")
_BLANKS = re.compile(r"\s+")
_SPACES = re.compile(r"(?:(?<![^\W\d_]{2}) | (?!\())?([-+*/=^()]) ?")
"""Over blanks that were made one: where many may stand, each of them would start a search of the rest. One between a
word and a bracket stays, since the bracket is then no product or call."""
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_OPERAND = re.compile(_NUMBER)
_PERCENT = re.compile(rf"({_NUMBER})%")
_TERM = rf"\(*-?\$?{_NUMBER}%?\)*"
_PART_OF_MORE = (
    r"(?<![\w.,)%$^*/+\-(])(?<!\d:)(?<!\d )"
    r"(?<![%\d] of )(?<!percent of )(?<!half of )(?<!third of )(?<!quarter of )"
)
"""What no calculation stands after: it is the tail of `x+2+3`, `5:30+20`, `1 1/2+1` or `20% of 50+5`."""
_GOES_ON = r"(?![\d%^*/+\-(]|[.,:]\d)"
"""What follows no result: `7+3`, `5:50`."""
_CALCULATION = re.compile(rf"{_PART_OF_MORE}\$*(?P<left>{_TERM}(?:[-+*/]{_TERM})+)=(?P<right>-?\$?{_NUMBER}){_GOES_ON}")
_LONGEST = 200
"""Characters of either side of a calculation; a longer one is not looked at, nor would Python read its number."""


_LONGEST_NUMBER = 30
"""Characters of a number in prose; nobody means a longer one as a number."""
_COUNTED = re.compile(
    r"(?P<number>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:\s?/\s?(?P<under>\d{1,15}(?!\d|\.\d)))?"
)
_FRACTION = re.compile(r"\\[dt]?frac\{(\d{1,15})\}\{(\d{1,15})\}")
_STEP = re.compile(r"^[ \t>*_#-]*(?:step[ \t]+)?\d{1,3}[.):](?=[ \t*])", re.IGNORECASE | re.MULTILINE)
"""The number of a step or of an item in a list, which counts nothing."""
_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: value for value, word in enumerate((*_ONES, *_TEENS), start=1)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_SPELLED = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(_TENS)})(?:[- ](?P<ones>{'|'.join(_ONES)}))?|(?P<small>{'|'.join(_TEENS + _ONES)}))\b"
)


class Verdicts(NamedTuple):
    """How many of a text's calculations add up, and how many do not."""

    right: int
    wrong: int


class Calculation(NamedTuple):
    """One calculation of a text, such as `3*(4+5)=27`, in the signs of Python."""

    left: str
    right: str

    @property
    def operands(self) -> tuple[float, ...]:
        """The numbers that go in; of `20%` the 20."""
        return tuple(float(_plain(number)) for number in _OPERAND.findall(self.left))

    @property
    def result(self) -> float:
        """The number that comes out, as said."""
        return float(_plain(self.right))


class Numbers(NamedTuple):
    """The numbers of a text by their absolute values: a dash before one may be a minus, a hyphen or a range."""

    digits: frozenset[float]
    """Those written in digits; of `3/4` both."""
    spelled: frozenset[float]
    """Those in words, from two on: `one` is mostly a pronoun."""
    quotients: frozenset[float]
    """The values of fractions such as `3/4`."""
    last: float | None
    """The last one in digits; `3/4` is one number here."""


def count_errors(text: str) -> int | None:
    """How many calculations of the form `3 * (4 + 5) = 27` do not add up; `None` where the text has none.

    A result that is rounded to the digits it shows adds up. What stands around a calculation is not understood: units
    between the numbers, unknowns and fractions as results are passed over.
    """
    verdicts = judge_calculations(text)
    return verdicts.wrong if any(verdicts) else None


@lru_cache(maxsize=16)
def judge_calculations(text: str) -> Verdicts:
    """The same, with those that do add up."""
    verdicts = [_adds_up(*calculation) for calculation in read_calculations(text)]
    return Verdicts(verdicts.count(True), verdicts.count(False))


@lru_cache(maxsize=16)
def read_numbers(text: str) -> Numbers:
    """Every number of a text but those that count steps or list items."""
    digits, quotients, last = set[float](), set[float](), None
    for found in _COUNTED.finditer(_STEP.sub("", _FRACTION.sub(r"\1/\2", text.replace("{,}", ",")))):
        if len(found["number"]) > _LONGEST_NUMBER:
            continue
        last = float(_plain(found["number"]))
        digits.add(last)
        if found["under"]:
            under = float(found["under"])
            digits.add(under)
            last = last / under if under else last
            quotients.add(last)
    return Numbers(frozenset(digits), frozenset(_spelled(text)), frozenset(quotients), last)


def _spelled(text: str) -> Iterator[float]:
    for found in _SPELLED.finditer(text.casefold()):
        value = sum(_VALUES[word] for word in found.groups() if word)
        if value > 1:
            yield value


@lru_cache(maxsize=16)
def read_calculations(text: str) -> tuple[Calculation, ...]:
    """The calculations of a text in their order; of `2+3=5*4=20` the last, since the first goes on."""
    found = _calculations(text)
    return tuple(each for each in found if max(len(each.left), len(each.right)) <= _LONGEST)


def _calculations(text: str) -> Iterator[Calculation]:
    text = _OVER.sub(r"(\1)/(\2)", _WORDS.sub(" ", text))
    for spelling, sign in _SPELLINGS.items():
        text = text.replace(spelling, sign)
    for line in text.splitlines():
        spaced = _BLANKS.sub(" ", _LETTER_X.sub("*", _BULLET.sub("", line)))
        plain = _SPACES.sub(r"\1", spaced)
        yield from (Calculation(found["left"], found["right"]) for found in _CALCULATION.finditer(plain))


def _adds_up(left: str, right: str) -> bool | None:
    """Whether the sides are equal; `None` where one cannot be read."""
    if (value := _evaluate(left)) is None:
        return None
    shown = Fraction(_plain(right))
    digits = len(right.partition(".")[2])
    exact = "/" not in left and "%" not in left and "." not in left
    tolerance = Fraction(0) if exact else Fraction(1, 2 * 10**digits)
    return abs(value - shown) <= tolerance


def _evaluate(expression: str) -> Fraction | None:
    try:
        return _value(ast.parse(_plain(_PERCENT.sub(r"(\1/100)", expression)), mode="eval").body)
    except (SyntaxError, ZeroDivisionError):
        return None


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number):
            return Fraction(str(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(left), _value(right))
    raise SyntaxError(f"not arithmetic: {ast.dump(node)[:80]}")


def _plain(text: str) -> str:
    return text.replace("$", "").replace(",", "")
