"""Which column of somebody else's table plays which part, and what its cells say.

A role is a name of ours (`question`, `target`); a mapping gives the column that plays it. Roles that nobody mapped are
found by the usual names; an empty column name says that nothing plays the role.
"""

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from drr_agent.errors import ConfigError, DataError

Synonyms = Mapping[str, tuple[str, ...]]
"""The usual column names of each role, the likeliest first."""


_LARGEST = 2**63
"""Whole numbers are stored in 64 bits, sign included."""


class CellError(ValueError):
    """A cell cannot be what its role needs."""


def resolve_columns(
    columns: Collection[str],
    mapping: Mapping[str, str] | None,
    *,
    synonyms: Synonyms,
    required: Collection[str],
    source: str,
) -> dict[str, str]:
    """The column that plays each role, for the roles that have one.

    Args:
        columns: the columns the table has.
        mapping: role to column, as the caller says; an empty column leaves the role out.
        synonyms: all roles, with the column names to look for (in any case) where `mapping` is silent.
        required: roles that must have a column.
        source: names the table in errors.

    Raises:
        ConfigError: `mapping` names a role that does not exist.
        DataError: the table has no such column, or none for a required role.
    """
    chosen = dict(mapping or {})
    for role, column in chosen.items():
        if role not in synonyms:
            raise ConfigError(f"a column can be mapped to {', '.join(synonyms)}; got {role!r}")
        if column and column not in columns:
            raise DataError(f"expected a column {column!r} for `{role}` in {source!r}, found {sorted(columns)!r}")
    taken = set(chosen.values())
    by_name = {_fold(column): column for column in columns if column not in taken}
    for role, names in synonyms.items():
        name = next((name for name in names if name in by_name), None)
        if role not in chosen and name is not None:
            chosen[role] = by_name.pop(name)
    missing = [role for role in required if not chosen.get(role)]
    if missing:
        raise DataError(
            f"expected a column for `{missing[0]}` in {source!r}, found {sorted(columns)!r}; "
            f"name it with a mapping such as {missing[0]}=COLUMN"
        )
    return {role: column for role, column in chosen.items() if column}


def _fold(column: str) -> str:
    return column.strip().casefold().replace(" ", "_").replace("-", "_")


def is_missing(value: Any) -> bool:
    """Whether a cell says nothing: null, not a number, or blank."""
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def to_text(value: Any) -> str | None:
    """A cell as text, `None` when it is missing.

    Raises:
        CellError: it is a list or a record, or holds what is not Unicode text.
    """
    if is_missing(value):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple, dict, bytes)):
        raise CellError(f"{type(value).__name__} where text was expected: {_start(value)}")
    return valid_text(str(value))


def valid_text(text: str) -> str:
    """The text itself.

    Raises:
        CellError: it holds half a character (a lone surrogate), which no file can store.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CellError(f"text with half a character at position {error.start}") from error
    return text


def _start(value: Any) -> str:
    """How a cell begins, for errors; of one that is nested too deeply to be shown, its type."""
    try:
        return repr(str(value)[:60])
    except (ValueError, RecursionError):
        return type(value).__name__


def to_int(value: Any) -> int | None:
    """A cell as a whole number, `None` when it is missing.

    Raises:
        CellError: it is something else, or needs more than 64 bits.
    """
    if is_missing(value):
        return None
    try:
        number = float(value)
        if number.is_integer() and -_LARGEST <= number < _LARGEST:
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise CellError(f"{_start(value)} where a whole number was expected")


def to_floats(value: Any) -> list[float] | None:
    """A cell as a list of finite numbers, given as a list or as its JSON text; `None` when it is missing.

    Raises:
        CellError: it is something else.
    """
    if is_missing(value):
        return None
    try:
        items = json.loads(value) if isinstance(value, str) else list(value)
        numbers = [float(item) for item in items]
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CellError(f"{_start(value)} where a list of numbers was expected") from error
    if not all(map(math.isfinite, numbers)):
        raise CellError(f"a list with numbers that are not finite: {str(numbers)[:60]!r}")
    return numbers
