"""Where commands print."""

import json
from typing import Any

from rich.console import Console

out = Console()
"""Results."""
errors = Console(stderr=True)
"""Progress, warnings and errors."""


def print_json(value: Any) -> None:
    """One JSON value for machines; nothing else goes to standard output beside it."""
    print(json.dumps(value, ensure_ascii=False, indent=2))  # noqa: T201
