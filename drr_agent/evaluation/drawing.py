"""What the pictures of all pages share: SVG text that takes its colors and fonts from the page around it.

Every picture is told apart by shape, hatching and labels, and only then by color: it can be printed in black and white.
matplotlib draws with placeholder colors, which become the page's CSS variables, so a dark page has dark pictures.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from drr_agent.errors import require_extra

INK, MUTED, PAPER, MAIN, OTHER = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {INK: "--ink", MUTED: "--muted", PAPER: "--paper", MAIN: "--main", OTHER: "--other"}
INCHES = (4.4, 3.7)
MARKERS = "osD^vP<>XhpH"
HATCHES = ("", "////", "----", "....")
_STYLE = {
    "svg.fonttype": "none",
    "font.size": 9.5,
    "font.family": "sans-serif",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "patch.edgecolor": INK,
    "hatch.color": PAPER,
    "hatch.linewidth": 1.0,
    "legend.frameon": False,
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One chart with what says the same to somebody who does not see it."""

    title: str
    svg: str
    alt: str
    caption: str
    key: dict[str, str] = field(default_factory=dict)
    """What the letters in it stand for."""


def to_svg(draw: Callable[[Any], None], *, name: str, inches: tuple[float, float] = INCHES) -> str:
    """Draw on fresh axes; `name` keeps the ids of pictures on one page apart and the output reproducible."""
    purpose = "drawing the report's pictures"
    matplotlib = require_extra("matplotlib", extra="report", purpose=purpose)
    figures = require_extra("matplotlib.figure", extra="report", purpose=purpose)
    stream = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = figures.Figure(figsize=inches, layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _embed(stream.getvalue(), name)


def _embed(svg: str, name: str) -> str:
    """The bare element: no prolog, no fixed size, ids of its own, and the page's colors and font."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(
        r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", body, count=1), count=1
    )
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", body)
    for color, variable in _VARIABLES.items():
        body = body.replace(color, f"var({variable})")
    return body.replace("<svg ", '<svg aria-hidden="true" ', 1)
