"""Calculations in a text, and whether they add up. Nothing is evaluated but numbers and the four operations."""

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

_OPERATIONS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_SPELLINGS = {"\\times": "*", "\\cdot": "*", "\\div": "/", "\\$": "$", "×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"}
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_LETTER_X = re.compile(r"(?<=\d)\s*[xX]\s*(?=\$?\d)")
_BLANKS = re.compile(r"\s+")
_SPACES = re.compile(r" ?([-+*/=^()]) ?")
"""Over blanks that were made one: where many may stand, each of them would start a search of the rest."""
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_PERCENT = re.compile(rf"({_NUMBER})%")
_TERM = rf"\(*-?\$?{_NUMBER}%?\)*"
_CALCULATION = re.compile(
    # not the tail of something longer, such as `x+2+3=7`, nor with a result that goes on, such as `12-5=7+3=10`
    rf"(?<![\w.,)%$^*/+\-(])(?P<left>{_TERM}(?:[-+*/]{_TERM})+)=(?P<right>-?\$?{_NUMBER})(?![\d%^*/+\-(]|[.,]\d)"
)
_LONGEST = 200
"""Characters of either side of a calculation; a longer one is not looked at, nor would Python read its number."""


def count_errors(text: str) -> int | None:
    """How many calculations of the form `3 * (4 + 5) = 27` do not add up; `None` where the text has none.

    A result that is rounded to the digits it shows adds up. What stands around a calculation is not understood: units
    between the numbers, unknowns and fractions as results are passed over.
    """
    verdicts = [_adds_up(left, right) for left, right in _calculations(text)]
    known = [verdict for verdict in verdicts if verdict is not None]
    return known.count(False) if known else None


def _calculations(text: str) -> Iterator[tuple[str, str]]:
    for spelling, sign in _SPELLINGS.items():
        text = text.replace(spelling, sign)
    for line in text.splitlines():
        spaced = _BLANKS.sub(" ", _LETTER_X.sub("*", _BULLET.sub("", line)))
        plain = _SPACES.sub(r"\1", spaced)
        yield from ((found["left"], found["right"]) for found in _CALCULATION.finditer(plain))


def _adds_up(left: str, right: str) -> bool | None:
    """Whether the sides are equal; `None` where one cannot be read."""
    if max(len(left), len(right)) > _LONGEST or (value := _evaluate(left)) is None:
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
