"""The pictures of an evaluation's report."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

from drr_agent.evaluation.drawing import HATCHES, INK, MAIN, MARKERS, MUTED, OTHER, PAPER, Picture, to_svg
from drr_agent.evaluation.labels import Label, place_labels
from drr_agent.evaluation.report import Bin, DMResult, Report, ScoreHistogram, StrategyResult, letters, title_of
from drr_agent.evaluation.table import interval, number, percent

_MOST_TURN_SERIES = 3
_LEAST_LINE = 3
"""Settings of one strategy that a line is drawn through."""
LEAST_SPAN = 36.0
"""Percentage points the accuracy axis shows at least, so that noise does not fill it."""


def draw_pictures(report: Report) -> list[Picture]:
    """Every picture the report has the data for.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    pictures = [_accuracy_against_calls(report), _turns_used(report)]
    if report.dm is not None and report.dm.n:
        pictures[1:1] = [
            reliability_picture(report.dm),
            scores_picture(
                report.dm.scores, title="Scores of right and wrong attempts", caption="The further apart, the better."
            ),
        ]
    return pictures


def _accuracy_against_calls(report: Report) -> Picture:
    known = {letter: row for letter, row in letters(report).items() if row.accuracy is not None}
    alt = "; ".join(
        f"{row.label}: {percent(row.accuracy)} right ({interval(row.accuracy_ci)}) at {row.mean_calls:.2f} calls"
        for row in known.values()
    )
    markers = dict(zip(dict.fromkeys(row.strategy for row in known.values()), cycle(MARKERS)))

    def draw(axes: Any) -> None:
        _draw_lines(axes, list(known.values()))
        for row in known.values():
            _draw_point(axes, row, marker=markers[row.strategy], main=row.label == report.subject)
        axes.set(xlabel="Reasoner calls a question", ylabel="right answers, %")
        axes.margins(x=0.14, y=0.12)
        axes.set_ylim(*at_least(LEAST_SPAN, *axes.get_ylim()))
        axes.grid(axis="y", color=MUTED, alpha=0.25, linewidth=0.6)
        place_labels(axes, [_point_label(key, row, main=row.label == report.subject) for key, row in known.items()])

    return Picture(
        title="Accuracy against cost",
        svg=to_svg(draw, name="accuracy"),
        alt=alt,
        caption="Higher is better, further left is cheaper. Bars are 95 % intervals; "
        "a dashed line joins the settings of one strategy.",
        key={letter: row.label for letter, row in known.items()},
    )


def at_least(span: float, low: float, high: float) -> tuple[float, float]:
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


def reliability_picture(dm: DMResult) -> Picture:
    """Whether a score means what it says, before and after calibration."""

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
        svg=to_svg(draw, name="reliability"),
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


def scores_picture(scores: ScoreHistogram, *, title: str, caption: str) -> Picture:
    """Scores of right attempts above those of wrong ones."""

    def draw(axes: Any) -> None:
        width = 100 / len(scores.right)
        lefts = [width * index for index in range(len(scores.right))]
        axes.bar(lefts, scores.right, width=width, align="edge", color=MAIN, edgecolor=PAPER, label="right")
        down = [-count for count in scores.wrong]
        axes.bar(lefts, down, width=width, align="edge", color=OTHER, edgecolor=PAPER, hatch="////", label="wrong")
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
        axes.set(xlabel="score, %", ylabel="attempts", xlim=(0, 100))
        axes.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.12))

    right, wrong = (_mean_of(counts) for counts in (scores.right, scores.wrong))
    return Picture(
        title=title,
        svg=to_svg(draw, name="scores"),
        alt=f"{sum(scores.right)} right attempts score {right} on average, {sum(scores.wrong)} wrong ones {wrong}.",
        caption=f"Right attempts stand above the line, wrong ones, hatched, hang below it. {caption}",
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
            color, hatch = (MAIN, OTHER, MUTED)[index], HATCHES[index]
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
        svg=to_svg(draw, name="turns"),
        alt="Turns. " + "; ".join(sentences) + ".",
        caption="How many attempts a question got before the strategy stopped.",
    )
