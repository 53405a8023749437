"""The pictures of a replay."""

from collections.abc import Mapping, Sequence
from itertools import chain, cycle, product
from string import ascii_uppercase
from typing import Any

from drr_agent.evaluation.charts import at_least, reliability_picture, scores_picture
from drr_agent.evaluation.drawing import HATCHES, INK, MAIN, MARKERS, MUTED, OTHER, PAPER, Picture, to_svg
from drr_agent.evaluation.labels import Label, place_labels
from drr_agent.evaluation.report import title_of
from drr_agent.evaluation.table import number, percent
from drr_agent.replay.report import Estimate, PolicyResult, ReplayReport, SignalValue, TurnRow
from drr_agent.replay.wording import lost_with, most_valuable, share_bounds
from drr_agent.training.curve_record import Curve

Pictures = Mapping[str, Sequence[Picture]]
_LINES = ("-", "--", "-.", (0, (4, 1.5, 1, 1.5, 1, 1.5)), (0, (8, 2)))
_LEAST_SPAN = 16.0
"""Percentage points the accuracy axis shows at least."""
MOST_SIGNALS = 12
_ENDINGS = {
    "accepted": MAIN,
    "stopped": OTHER,
    "reviewed": MUTED,
    "exhausted": INK,
}
"""How a run ends at a turn, by the field of `TurnRow`, and its color."""


def draw_pictures(report: ReplayReport) -> Pictures:
    """Every picture that the record has the data for, by the part of the page it belongs to.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    scores, subject = [], report.policies[0]
    if report.dm is not None and report.dm.n:
        scores.append(reliability_picture(report.dm))
        mixed = report.within_question
        if mixed is not None and any((*mixed.right, *mixed.wrong)):
            scores.append(
                scores_picture(
                    mixed,
                    title="Scores where a question has right and wrong attempts",
                    caption="Only these questions can be mended by thinking again, and only scores that part here "
                    "help.",
                )
            )
    return {
        "policies": [_frontiers(report), _stops(subject)] if len(subject.chosen.by_turn) > 1 else [],
        "scores": scores,
        "signals": [_signals(most_valuable(report.signals)[:MOST_SIGNALS])] if report.signals else [],
        "curve": [] if report.curve is None else _curves(report.curve),
    }


def letters(report: ReplayReport) -> dict[str, PolicyResult]:
    """The policies by the letter that stands for each in the table and in the picture, A to Z and then AA to ZZ."""
    names = chain(ascii_uppercase, map("".join, product(ascii_uppercase, repeat=2)))
    return dict(zip(names, report.policies, strict=False))


def _frontiers(report: ReplayReport) -> Picture:
    known = letters(report)
    alt = "; ".join(
        f"{row.label}: {percent(row.chosen.point.accuracy)} right ({share_bounds(row.chosen.intervals['accuracy'])}) "
        f"at {row.chosen.point.calls:.2f} calls"
        for row in known.values()
    )

    def draw(axes: Any) -> None:
        for row, line, marker in zip(known.values(), cycle(_LINES), cycle(("*", *MARKERS)), strict=False):
            _draw_policy(axes, row, line=line, marker=marker, main=row is report.policies[0])
        axes.margins(x=0.1, y=0.08)
        low, high = axes.get_xlim()
        for found, inset in ((report.oracle, 0.015), (report.first, 0.045)):
            _draw_level(axes, found, low, high, inset=inset)
        axes.set(xlabel="Reasoner calls a question", ylabel="right answers, %", xlim=(low, high))
        axes.set_ylim(*at_least(_LEAST_SPAN, *axes.get_ylim()))
        axes.grid(axis="y", color=MUTED, alpha=0.25, linewidth=0.6)
        levels = {"first attempt": report.first, "any attempt right (oracle)": report.oracle}
        place_labels(
            axes,
            [
                *(_policy_label(key, row, main=row is report.policies[0]) for key, row in known.items()),
                *(_level_label(name, found, low + 0.8 * (high - low)) for name, found in levels.items()),
            ],
        )

    return Picture(
        title="Accuracy against cost",
        svg=to_svg(draw, name="frontier"),
        alt=f"{alt}; the first attempt: {percent(report.first.mean)} ({share_bounds(report.first)}); "
        f"any attempt right: {percent(report.oracle.mean)} ({share_bounds(report.oracle)}).",
        caption="Higher is better, further left is cheaper. A line is one policy over its settings, a mark the setting "
        "it is judged in; bars and the shade are 95 % intervals. No choice can do better than the upper dotted line.",
        key={letter: title_of(row.label) for letter, row in known.items()},
    )


def _draw_policy(axes: Any, row: PolicyResult, *, line: Any, marker: str, main: bool) -> None:
    points = sorted(row.frontier, key=lambda point: (point.calls, point.accuracy))
    color = MAIN if main else INK
    xs, ys = [point.calls for point in points], [100 * point.accuracy for point in points]
    axes.plot(xs, ys, color=color, linestyle=line, linewidth=2 if main else 1.1, zorder=2 if main else 1)
    if main:
        low, high = zip(*((100 * bound for bound in point.accuracy_ci) for point in points), strict=True)
        axes.fill_between(xs, low, high, color=MAIN, alpha=0.12, linewidth=0, zorder=0)
    x, y = row.chosen.point.calls, 100 * row.chosen.point.accuracy
    axes.errorbar(
        [x],
        [y],
        xerr=_bars(x, row.chosen.intervals["calls"], 1),
        yerr=_bars(y, row.chosen.intervals["accuracy"], 100),
        fmt=marker,
        markersize=14 if main else 6.5,
        color=color,
        markerfacecolor=MAIN if main else PAPER,
        elinewidth=1.6 if main else 0.9,
        capsize=2.5,
        zorder=4 if main else 3,
    )


def _bars(value: float, found: Estimate, unit: float) -> list[list[float]]:
    low, high = (value if bound is None else unit * bound for bound in (found.low, found.high))
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _draw_level(axes: Any, found: Estimate, low: float, high: float, *, inset: float) -> None:
    y, edge = 100 * found.mean, high - inset * (high - low)
    axes.plot([low, high], [y, y], color=MUTED, linestyle=":", linewidth=1.6, zorder=1)
    axes.errorbar([edge], [y], yerr=_bars(y, found, 100), fmt="none", color=MUTED, elinewidth=1.2, capsize=2.5)


def _policy_label(letter: str, row: PolicyResult, *, main: bool) -> Label:
    found, y = row.chosen.intervals["accuracy"], 100 * row.chosen.point.accuracy
    low, high = (y if bound is None else 100 * bound for bound in (found.low, found.high))
    return Label(f"{letter}  {title_of(row.name)}", row.chosen.point.calls, y, low, high, main)


def _level_label(name: str, found: Estimate, x: float) -> Label:
    y = 100 * found.mean
    return Label(f"{name} {y:.1f}", x, y, y, y)


def _stops(subject: PolicyResult) -> Picture:
    rows = subject.chosen.by_turn
    shown = {name: color for name, color in _ENDINGS.items() if any(getattr(row, name) > 0 for row in rows)}

    def draw(axes: Any) -> None:
        turns, bottom = [row.turn for row in rows], [0.0] * len(rows)
        for (name, color), hatch in zip(shown.items(), HATCHES, strict=False):
            shares = [100 * getattr(row, name) for row in rows]
            axes.bar(turns, shares, bottom=bottom, color=color, edgecolor=PAPER, hatch=hatch, label=name, width=0.8)
            bottom = [below + share for below, share in zip(bottom, shares, strict=True)]
        for turn, top in zip(turns, bottom, strict=True):
            axes.annotate(f"{top:.0f}", (turn, top), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=9)
        axes.set_xticks(turns)
        axes.margins(y=0.1)
        axes.set(xlabel="turn", ylabel="questions that end there, %")
        axes.legend(loc="lower center", ncols=len(shown), bbox_to_anchor=(0.5, 1.0))

    return Picture(
        title=f"Where {title_of(subject.name)} stops",
        svg=to_svg(draw, name="stops"),
        alt="Questions that end at each turn. " + "; ".join(_ending(row) for row in rows) + ".",
        caption="Exhausted: there was no more turn, in the settings or in the log." if "exhausted" in shown else "",
    )


def _ending(row: TurnRow) -> str:
    shares = ", ".join(f"{name} {percent(getattr(row, name))}" for name in _ENDINGS if getattr(row, name) > 0)
    return f"turn {row.turn}: {shares or 'none'}"


def _signals(values: Sequence[SignalValue]) -> Picture:
    ranked = values[0].auroc is not None

    def draw(axes: Any) -> None:
        for place, value in enumerate(values):
            found = value.log_loss if value.auroc is None else value.auroc
            axes.barh(place, found.mean, color=MAIN, edgecolor=PAPER, height=0.7)
            bars = _bars(found.mean, Estimate(mean=found.mean, low=found.low, high=found.high), 1)
            axes.errorbar([found.mean], [place], xerr=bars, fmt="none", color=INK, elinewidth=1, capsize=2.5)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(values)), [value.name for value in values])
        axes.set(xlabel="within-question AUROC lost" if ranked else "log loss added, nats")
        axes.invert_yaxis()
        axes.locator_params(axis="x", nbins=4)

    return Picture(
        title="What is lost with each signal",
        svg=to_svg(draw, name="signals"),
        alt=f"{'Within-question AUROC lost' if ranked else 'Log loss added'}. {'; '.join(map(lost_with, values))}.",
        caption="Its values were dealt to other attempts several times; bars are the mean, lines least and most. "
        "Signals that say much the same stand in for each other, so they are dealt together, too.",
    )


def _curves(curve: Curve) -> list[Picture]:
    points = [(point.questions, point.within_question_auroc) for point in curve.points]
    known = [(questions, value) for questions, value in points if value is not None]
    if not known:
        return []
    law, doubling, most = curve.law, curve.doubling, max(questions for questions, _ in known)

    def draw(axes: Any) -> None:
        ticks = [questions for questions, _ in known] + ([2 * most] if law else [])
        if law is not None:
            grid = [min(ticks) * (2 * most / min(ticks)) ** (step / 40) for step in range(41)]
            axes.plot(grid, [law.at(x) for x in grid], color=MUTED, linestyle="--", linewidth=1.2)
        axes.plot(*zip(*known, strict=True), color=MAIN, marker="o", linestyle="none", markersize=7)
        if law is not None and doubling is not None:
            _draw_doubling(axes, 2 * most, law.at(most), (doubling.gain, doubling.low, doubling.high))
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
        axes.set(xlabel="labelled questions learned from", ylabel="within-question AUROC")
        axes.grid(axis="y", color=MUTED, alpha=0.25, linewidth=0.6)

    return [
        Picture(
            title="What more labels would bring",
            svg=to_svg(draw, name="curve"),
            alt="Within-question AUROC. " + "; ".join(f"{q} questions: {number(value, 3)}" for q, value in known) + ".",
            caption=curve.summary,
        )
    ]


def _draw_doubling(axes: Any, questions: int, value: float, gain: tuple[float, float, float]) -> None:
    mean, low, high = gain
    bars = _bars(value + mean, Estimate(mean=value + mean, low=value + low, high=value + high), 1)
    axes.errorbar(
        [questions], [value + mean], yerr=bars, fmt="o", color=MAIN, markerfacecolor=PAPER, markersize=7, capsize=2.5
    )
