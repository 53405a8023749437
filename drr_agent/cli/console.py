"""Where commands print, and how text of others is made safe to print."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from drr_agent.evaluation.table import doubt_ranking

_CONTROLS = re.compile(
    # C0 but tab and line feed, DEL and C1; marks that turn the direction of text; lone surrogates
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)


class PlainConsole(Console):
    """Prints text as it is: a path or a model's reply is neither markup nor a command to the terminal."""

    def print(self, *objects: Any, **options: Any) -> None:
        """`Console.print` of printable texts; markup and emoji names only where a caller asks for them."""
        shown = (printable(thing) if isinstance(thing, str) else thing for thing in objects)
        super().print(*shown, **{"markup": False, "emoji": False, **options})


out = PlainConsole()
"""Results."""
errors = PlainConsole(stderr=True)
"""Progress, warnings and errors."""


def printable(text: str) -> str:
    """The text with a mark for each character that steers a terminal or reverses what is read."""
    return _CONTROLS.sub("\ufffd", text.replace("\r\n", "\n"))


def print_json(value: Any) -> None:
    """One JSON value for machines; nothing else goes to standard output beside it."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    print(_CONTROLS.sub(lambda found: f"\\u{ord(found.group()):04x}", text))  # noqa: T201


def show_metrics(metrics: Mapping[str, float | None], folder: Path, *, json: bool) -> None:
    """Numbers by name, and where the rest is; or the numbers as JSON."""
    if json:
        print_json(metrics)
        return
    table = Table("metric", "value", box=None, pad_edge=False)
    for name, value in metrics.items():
        shown = "–" if value is None else str(value) if isinstance(value, int) else f"{value:.4g}"
        table.add_row(name.replace("_", " "), shown)
    out.print(table)
    out.print(f"→ {folder}", highlight=False)


def warn_of_ranking(within_question_auroc: float | None, auroc: float | None) -> None:
    """Say so where a DM does not tell right attempts from wrong ones."""
    doubt = doubt_ranking(within_question_auroc, auroc)
    if doubt is not None:
        errors.print(doubt, style="yellow", highlight=False)
