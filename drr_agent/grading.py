"""Answer equality, and nothing else: who is right, and which attempts agree.

A grader compares two answers. The same one labels attempts against targets, groups attempts that agree, and joins
replayed logs, so "equal" means one thing everywhere. The raw answer is never changed.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from drr_agent.errors import ConfigError, require_extra
from drr_agent.state import Label

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = re.compile(r"""[.,](?!\d)|(?<!\d)\.(?!\d)|[;:!?'"()\[\]{}`~@#$&_|\\]|(?<=[^\W\d])-(?=[^\W\d])""")
"""What carries no meaning in a short answer; signs, operators and decimal points do and stay."""
NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?(?:\s*/\s*\d+)?")
_LONGEST_NUMBER = 300
"""Characters of a number. Python refuses to read thousands of digits, and nobody means them as a number."""
_WORD = re.compile(r"[^\W\d_]+")
_IN_NAME = re.compile(r"(?<!\d)[^\W\d_]-?\d")
"""A digit on a letter, but that of an exponent such as `1e6`."""
_PLURAL = re.compile(r"(?<=\w{3})s$")
_CHOICE = re.compile(r"(?:(?:option|choice|answer)\s*(?::\s*)?)?[(\[]?([A-Z])(?:[)\].:]|$)(?=\s|$|\w)", re.IGNORECASE)


def normalize_text(text: str) -> str:
    """Lower case, without articles, spare spaces and the punctuation of prose; a hyphen separates words."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    plain = _PUNCTUATION.sub(" ", folded)
    return " ".join(_ARTICLES.sub(" ", plain).split()) or " ".join(plain.split()) or folded.strip()


def parse_number(text: str) -> Fraction | None:
    """The number in an answer such as `1,234`, `$41.50`, `3/4`, `41 apples`; `None` unless there is exactly one.

    What is longer than a few hundred digits is text.
    """
    found = [match.group().replace(",", "").replace(" ", "") for match in NUMBER.finditer(text)]
    if len(found) != 1 or len(found[0]) > _LONGEST_NUMBER:
        return None
    numerator, _, denominator = found[0].partition("/")
    if denominator and not int(denominator):
        return None
    return Fraction(numerator) / (int(denominator) if denominator else 1)


def parse_choice(text: str) -> str | None:
    """The letter of a choice such as `B`, `(b)`, `B) because`; `None` when the answer does not open with one."""
    match = _CHOICE.match(text.strip())
    return match.group(1).upper() if match else None


def same_text(answer: str, other: str) -> bool:
    """Equal after normalization."""
    return normalize_text(answer) == normalize_text(other)


def same_number(answer: str, other: str) -> bool:
    """Equal as numbers, to one part in a million; an answer without exactly one number equals none."""
    left, right = parse_number(answer), parse_number(other)
    if left is None or right is None:
        return False
    return abs(left - right) * 1_000_000 <= max(abs(left), abs(right))


def same_choice(answer: str, other: str) -> bool:
    """The same choice letter."""
    letter = parse_choice(answer)
    return letter is not None and letter == parse_choice(other)


def same_math(answer: str, other: str) -> bool:
    """Equal as mathematical expressions, by the math-verify package.

    Raises:
        MissingExtraError: math-verify is not installed.
    """
    library = require_extra("math_verify", extra="math", purpose="the `math` grader")
    # its default time-outs use signals, which only the main thread may set
    parsed = [library.parse(f"${text}$", parsing_timeout=None) for text in (other, answer)]
    return bool(library.verify(*parsed, timeout_seconds=None))


def same_auto(answer: str, other: str) -> bool:
    """Equal numbers where both are little more than a number (`41`, `$41.00`, `41 apples`), else equal text.

    Units have to agree where both are there: `5 km` equals `5` and not `5 m`. A digit in a name, as in `H2O`, is text.
    """
    if not (_is_quantity(answer) and _is_quantity(other)):
        return same_text(answer, other)
    units = _unit(answer), _unit(other)
    return same_number(answer, other) and (units[0] == units[1] or not all(units))


def _is_quantity(text: str) -> bool:
    return len(text.split()) <= 3 and not _IN_NAME.search(text) and parse_number(text) is not None


def _unit(text: str) -> str:
    """The words around the number, without a plural's ending."""
    return " ".join(_PLURAL.sub("", word) for word in _WORD.findall(normalize_text(NUMBER.sub(" ", text))))


@dataclass(frozen=True, kw_only=True)
class Grader:
    """One notion of answer equality."""

    name: str
    same: Callable[[str, str], bool] = field(repr=False)

    def grade(self, answer: str | None, target: str | None) -> Label | None:
        """Compare an answer with its target; without either there is no label."""
        if answer is None or target is None:
            return None
        return "correct" if self.same(answer, target) else "incorrect"

    def group(self, answers: Sequence[str | None]) -> list[int | None]:
        """A group number per answer, in order of first appearance; `None` stays `None`."""
        representatives: list[str] = []
        return [None if answer is None else self._place(answer, representatives) for answer in answers]

    def _place(self, answer: str, representatives: list[str]) -> int:
        for index, representative in enumerate(representatives):
            if answer == representative or self.same(answer, representative):
                return index
        representatives.append(answer)
        return len(representatives) - 1


AUTO = Grader(name="auto", same=same_auto)
GRADERS = {
    grader.name: grader
    for grader in (
        AUTO,
        Grader(name="exact", same=same_text),
        Grader(name="number", same=same_number),
        Grader(name="choice", same=same_choice),
        Grader(name="math", same=same_math),
    )
}


def get_grader(grader: str | Grader | Callable[[str, str], bool]) -> Grader:
    """A grader by name, or around any function that says whether two answers are equal.

    Raises:
        ConfigError: no grader has that name.
    """
    if isinstance(grader, Grader):
        return grader
    if callable(grader):
        return Grader(name=getattr(grader, "__name__", "custom"), same=grader)
    if grader not in GRADERS:
        raise ConfigError(f"`grader` must be one of {', '.join(GRADERS)} or a callable, got {grader!r}")
    return GRADERS[grader]
