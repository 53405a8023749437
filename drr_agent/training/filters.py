"""Row filters such as `model=gemma-2-2b-it`, read from text and applied to any column of a source."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from drr_agent.columns import is_missing
from drr_agent.errors import ConfigError

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(r"\s*(?P<column>[^!<>=]*[^!<>=\s])\s*(?P<operator>!=|>=|<=|==?|>|<)\s*(?P<value>.*?)\s*", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class RowFilter:
    """One condition on one column. Numbers compare as numbers, all else as text; a missing cell only equals nothing."""

    column: str
    operator: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "RowFilter":
        """Read `column=value`, with any of `=`, `!=`, `>=`, `<=`, `>`, `<`.

        Raises:
            ConfigError: the text has another form.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ConfigError(f"expected a filter such as model=NAME or tokens>=10, got {text!r}; put it in that form")
        sign = match["operator"].replace("==", "=")
        return cls(column=match["column"], operator=sign, value=match["value"])

    def __str__(self) -> str:
        return f"{self.column}{self.operator}{self.value}"

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Whether a row meets the condition; `column=` and `column!=` ask whether the cell is missing or not."""
        cell = row.get(self.column)
        if is_missing(cell) or not self.value:
            both_missing = is_missing(cell) and not self.value
            return both_missing if self.operator == "=" else self.operator == "!=" and not both_missing
        left, right = _comparable(cell, self.value)
        return _OPERATORS[self.operator](left, right)


def parse_filters(where: Iterable[str]) -> tuple[RowFilter, ...]:
    """Read several filters; a row must meet them all."""
    return tuple(RowFilter.parse(text) for text in where)


def _comparable(cell: Any, value: str) -> tuple[Any, Any]:
    """Both as numbers where both are numbers, else both as text; truth values are the words `true` and `false`."""
    if isinstance(cell, bool):
        return str(cell).lower(), value.lower()
    try:
        return float(cell), float(value)
    except (TypeError, ValueError, OverflowError):
        return str(cell), value
