"""JSON as people read it: a line for each thing, and no line for each number."""

import json
from typing import Any

_WIDTH = 240
_STEP = 2


def lay_out(value: Any, *, indent: int = 0) -> str:
    """A JSON text, the same for the same value.

    What fits into a line stands on one, and so does a list of plain values of any length. Anything else, and the
    outermost value, is indented with one member a line.

    Args:
        value: what JSON holds: mappings with text as keys, lists, text, finite numbers, booleans and `None`.
        indent: spaces before the line that the value ends on.

    Raises:
        ValueError: a number that JSON lacks.
    """
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not value or not isinstance(value, dict | list) or (indent and _is_line(value, indent + len(line))):
        return line
    inner = indent + _STEP
    if isinstance(value, dict):
        opening, closing = "{}"
        members = [
            f"{json.dumps(key, ensure_ascii=False)}: {lay_out(item, indent=inner)}" for key, item in value.items()
        ]
    else:
        opening, closing = "[]"
        members = [lay_out(item, indent=inner) for item in value]
    separator = f",\n{' ' * inner}"
    return f"{opening}\n{' ' * inner}{separator.join(members)}\n{' ' * indent}{closing}"


def _is_line(value: dict[str, Any] | list[Any], width: int) -> bool:
    return width <= _WIDTH or (isinstance(value, list) and not any(isinstance(item, dict | list) for item in value))
