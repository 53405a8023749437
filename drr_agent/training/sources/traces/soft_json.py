"""JSON inside of other people's records, which may stand there as a value or as text, and may be none at all."""

import json
from typing import Any

from drr_agent.parsing import clean_text


def decoded(value: Any) -> Any:
    """Text that is a JSON object or array as that; anything else as it is.

    Raises:
        RecursionError: it is nested too deeply.
    """
    return decoded_fully(value) if isinstance(value, str) and value.lstrip().startswith(("{", "[")) else value


def decoded_fully(value: Any) -> Any:
    """Text that is JSON of any kind, also a text in quotes, as what it is the JSON of; anything else as it is.

    Raises:
        RecursionError: it is nested too deeply.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def decoded_softly(value: Any) -> Any:
    """As `decoded`; what is nested too deeply stays text."""
    try:
        return decoded(value)
    except RecursionError:
        return value


def read_object(value: Any) -> dict[str, Any]:
    """An object, given as one, as its JSON text, or as the list of pairs that Parquet gives; else an empty one."""
    found = decoded_softly(value)
    if isinstance(found, list) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in found):
        found = {str(name): inner for name, inner in found}
    return found if isinstance(found, dict) else {}


def read_list(value: Any) -> list[Any]:
    """A list, given as one or as its JSON text; else an empty one."""
    found = decoded_softly(value)
    return found if isinstance(found, list) else []


def read_text(value: Any) -> str | None:
    """Text that says something."""
    return clean_text(value).strip() or None if isinstance(value, str) else None
