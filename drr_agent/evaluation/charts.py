"""The pictures of a report, as SVG text that takes its colors and fonts from the page around it.

Every picture is told apart by shape, hatching and labels, and only then by color: it can be printed in black and white.
matplotlib draws with placeholder colors, which become the page's CSS variables, so a dark page has dark pictures.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from drr_agent.errors import require_extra
from drr_agent.evaluation.labels import Label, place_labels
from drr_agent.evaluation.report import Bin, DMResult, Report, StrategyResult, letters, title_of
from drr_agent.evaluation.table import interval, number, percent

INK, MUTED, PAPER, MAIN, OTHER = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {INK: "--ink", MUTED: "--muted", PAPER: "--paper", MAIN: "--main", OTHER: "--other"}
_INCHES = (4.4, 3.7)
_MARKERS = "osD^vP<>XhpH"
_HATCHES = ("", "////", "----")
_MOST_TURN_SERIES = 3
_LEAST_LINE = 3
"""Settings of one strategy that a line is drawn through."""
_LEAST_SPAN = 36.0
"""Percentage points the accuracy axis shows at least, so that noise does not fill it."""
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


def draw_pictures(report: Report) -> list[Picture]:
    """Every picture the report has the data for.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    pictures = [_accuracy_against_calls(report), _turns_used(report)]
    if report.dm is not None and report.dm.n:
        pictures[1:1] = [_reliability(report.dm), _score_histogram(report.dm)]
    return pictures


def _accuracy_against_calls(report: Report) -> Picture:
    known = {letter: row for letter, row in letters(report).items() if row.accuracy is not None}
    alt = "; ".join(
        f"{row.label}: {percent(row.accuracy)} right ({interval(row.accuracy_ci)}) at {row.mean_calls:.2f} calls"
        for row in known.values()
    )
    markers = dict(zip(dict.fromkeys(row.strategy for row in known.values()), cycle(_MARKERS)))

    def draw(axes: Any) -> None:
        _draw_lines(axes, list(known.values()))
        for row in known.values():
            _draw_point(axes, row, marker=markers[row.strategy], main=row.label == report.subject)
        axes.set(xlabel="Reasoner calls a question", ylabel="right answers, %")
        axes.margins(x=0.14, y=0.12)
        axes.set_ylim(*_at_least(_LEAST_SPAN, *axes.get_ylim()))
        axes.grid(axis="y", color=MUTED, alpha=0.25, linewidth=0.6)
        place_labels(axes, [_point_label(key, row, main=row.label == report.subject) for key, row in known.items()])

    return Picture(
        title="Accuracy against cost",
        svg=_to_svg(draw, name="accuracy"),
        alt=alt,
        caption="Higher is better, further left is cheaper. Bars are 95 % intervals; "
        "a dashed line joins the settings of one strategy.",
        key={letter: row.label for letter, row in known.items()},
    )


def _at_least(span: float, low: float, high: float) -> tuple[float, float]:
    """Limits as wide as that, about the same middle."""
    missing = max(0.0, span - (high - low))
    return low - missing / 2, high + missing / 2


def _line_of(row: StrategyResult, results: Sequence[StrategyResult]) -> list[StrategyResult]:
    """The settings of a strategy from cheap to dear, where there are enough to be a line; else the row alone."""
    settings = [other for other in results if other.strategy == row.strategy]
    return sorted(settings, key=lambda other: other.mean_calls) if len(settings) >= _LEAST_LINE else [row]


def _draw_lines(axes: Any, results: Sequence[StrategyResult]) -> None:
    for line in {row.strategy: _line_of(row, results) for row in results}.values():
        xs, ys = [row.mean_calls for row in line], [100 * (row.accuracy or 0.0) for row in line]
        axes.plot(xs, ys, color=MUTED, linestyle="--", linewidth=1, zorder=1)


def _draw_point(axes: Any, row: StrategyResult, *, marker: str, main: bool) -> None:
    y = 100 * (row.accuracy or 0.0)
    low, high = (100 * bound for bound in row.accuracy_ci or (y / 100, y / 100))
    axes.errorbar(
        [row.mean_calls],
        [y],
        yerr=[[max(0.0, y - low)], [max(0.0, high - y)]],
        fmt="*" if main else marker,
        markersize=13 if main else 6,
        color=MAIN if main else INK,
        markerfacecolor=MAIN if main else PAPER,
        ecolor=MAIN if main else MUTED,
        elinewidth=1.6 if main else 0.9,
        capsize=2.5,
        zorder=4 if main else 3,
    )


def _point_label(letter: str, row: StrategyResult, *, main: bool) -> Label:
    y = row.accuracy or 0.0
    low, high = row.accuracy_ci or (y, y)
    text = f"{letter}  {title_of(row.strategy)}" if main else letter
    return Label(text=text, x=row.mean_calls, y=100 * y, low=100 * low, high=100 * high, main=main)


def _reliability(dm: DMResult) -> Picture:
    def draw(axes: Any) -> None:
        axes.plot([0, 100], [0, 100], color=MUTED, linestyle=":", linewidth=1)
        if dm.reliability_before:
            _draw_bins(axes, dm.reliability_before, label="before calibration", marker="s", linestyle="--", color=OTHER)
        _draw_bins(axes, dm.reliability, label="after calibration", marker="o", linestyle="-", color=MAIN)
        axes.set(xlabel="score, %", ylabel="right attempts, %", xlim=(-3, 103), ylim=(-3, 103))
        axes.legend(loc="upper left")

    pairs = ", ".join(f"{100 * b.mean_probability:.0f} % said, {100 * b.accuracy:.0f} % right" for b in dm.reliability)
    return Picture(
        title="Does a score mean what it says?",
        svg=_to_svg(draw, name="reliability"),
        alt=f"Reliability after calibration, by bin: {pairs}. Expected calibration error {number(dm.ece, 3)}.",
        caption="On the dotted diagonal, of the attempts scored 80 %, 80 % are right. Larger marks hold more attempts.",
    )


def _draw_bins(axes: Any, bins: Sequence[Bin], *, label: str, marker: str, linestyle: str, color: str) -> None:
    xs, ys = [100 * b.mean_probability for b in bins], [100 * b.accuracy for b in bins]
    most = max(b.count for b in bins)
    hollow = PAPER if linestyle == "--" else color
    axes.plot(xs, ys, linestyle=linestyle, color=color, linewidth=1.2)
    axes.scatter(
        xs, ys, s=[12 + 60 * b.count / most for b in bins], marker=marker, c=hollow, edgecolors=color, zorder=3
    )
    axes.plot([], [], linestyle=linestyle, marker=marker, color=color, markerfacecolor=hollow, label=label)


def _score_histogram(dm: DMResult) -> Picture:
    def draw(axes: Any) -> None:
        width = 100 / len(dm.scores.right)
        lefts = [width * index for index in range(len(dm.scores.right))]
        axes.bar(lefts, dm.scores.right, width=width, align="edge", color=MAIN, edgecolor=PAPER, label="right")
        down = [-count for count in dm.scores.wrong]
        axes.bar(lefts, down, width=width, align="edge", color=OTHER, edgecolor=PAPER, hatch="////", label="wrong")
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
        axes.set(xlabel="score, %", ylabel="attempts", xlim=(0, 100))
        axes.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.12))

    right, wrong = (_mean_of(counts) for counts in (dm.scores.right, dm.scores.wrong))
    return Picture(
        title="Scores of right and wrong attempts",
        svg=_to_svg(draw, name="scores"),
        alt=f"{sum(dm.scores.right)} right attempts score {right} on average, "
        f"{sum(dm.scores.wrong)} wrong ones {wrong}.",
        caption="Right attempts stand above the line, wrong ones, hatched, hang below it. "
        "The further apart, the better.",
    )


def _mean_of(counts: Sequence[int]) -> str:
    """The mean score of a histogram, to the middle of its bins."""
    total = sum(counts)
    return percent(sum((i + 0.5) * c for i, c in enumerate(counts)) / len(counts) / total) if total else "–"


def _turns_used(report: Report) -> Picture:
    varied = sorted(report.results, key=lambda row: (row.label != report.subject, -len(row.turns)))[:_MOST_TURN_SERIES]
    shown = [row for row in varied if len(row.turns) > 1] or varied[:1]

    def draw(axes: Any) -> None:
        turns = sorted({turn for row in shown for turn in row.turns})
        width = 0.8 / len(shown)
        for index, row in enumerate(shown):
            color, hatch = (MAIN, OTHER, MUTED)[index], _HATCHES[index]
            shares = [100 * row.turns.get(turn, 0) / sum(row.turns.values()) for turn in turns]
            places = [place + width * (index - (len(shown) - 1) / 2) for place in range(len(turns))]
            axes.bar(places, shares, width=width, color=color, edgecolor=PAPER, hatch=hatch, label=row.label)
        axes.set_xticks(range(len(turns)), [str(turn) for turn in turns])
        axes.set(xlabel="turns", ylabel="questions, %")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))

    sentences = (
        f"{row.label}: " + ", ".join(f"{runs} runs of {turn}" for turn, runs in row.turns.items()) for row in shown
    )
    return Picture(
        title="Turns used",
        svg=_to_svg(draw, name="turns"),
        alt="Turns. " + "; ".join(sentences) + ".",
        caption="How many attempts a question got before the strategy stopped.",
    )


def _to_svg(draw: Callable[[Any], None], *, name: str) -> str:
    """Draw on fresh axes; `name` keeps the ids of pictures on one page apart and the output reproducible."""
    purpose = "drawing the report's pictures"
    matplotlib = require_extra("matplotlib", extra="report", purpose=purpose)
    figures = require_extra("matplotlib.figure", extra="report", purpose=purpose)
    stream = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = figures.Figure(figsize=_INCHES, layout="constrained")
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
