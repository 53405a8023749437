"""What `drr replay` prints: the policies side by side, each comparison in a line, and the verdict."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rich.table import Table
from rich.text import Text

from drr_agent.cli.console import out, print_json, warn_of_ranking
from drr_agent.evaluation.table import (
    WRONG_OF_ACCEPTED,
    accepts_some,
    number,
    percent,
    points,
    signed,
    wrong_of,
)
from drr_agent.replay.report import IN_SAMPLE, PAGE, REPLAY, Comparison, Point, ReplayReport
from drr_agent.replay.wording import (
    at_equal_cost,
    bounds,
    lost_with,
    matched,
    most_valuable,
    p_value,
    point_bounds,
    saved,
    share_bounds,
)

_PLACES = {IN_SAMPLE: "these very questions (in sample), which flatters them"}
"""Where settings were chosen, in words."""
_TOP = 5
"""Signals that are named."""


def show_replay(report: ReplayReport, folder: Path, *, json: bool) -> None:
    """The table, what the log cannot tell and the verdict, or the whole record as JSON."""
    if report.dm is not None:
        warn_of_ranking(report.dm.within_question_auroc, report.dm.auroc)
    if json:
        print_json(report.model_dump(mode="json"))
        return
    single = report.verdict.unknown and max(len(row.chosen.by_turn) for row in report.policies) == 1
    if single:  # whatever a table said of thinking again would be noise
        _tell_verdict(report)
    else:
        out.print(_table(report, width=out.width))
        for line in _lines(report):
            out.print(line, highlight=False)
    if report.certification is not None:
        out.print(report.certification.told, highlight=False)
    if report.limits:
        out.print("What this log cannot tell:", highlight=False)
    for limit in report.limits:
        out.print(f"- {limit.text}", highlight=False)
    if not single:
        _tell_verdict(report)
    made = next((folder / name for name in (PAGE, REPLAY) if (folder / name).is_file()), None)
    if made is not None:
        out.print(f"→ {made}", highlight=False)


def _tell_verdict(report: ReplayReport) -> None:
    out.print(str(report.verdict), style="bold", highlight=False)
    if report.verdict.saves is not None:
        out.print(saved(report.verdict.saves), highlight=False)


def _table(report: ReplayReport, *, width: int) -> Table:
    """The policies side by side, the subject bold; a narrow terminal gets fewer columns and whole words."""
    some = accepts_some(result.chosen.point.accepted for result in report.policies)
    left_out = frozenset() if width >= _WIDE else _FOR_WIDE | (_TOLD_OTHERWISE if some else frozenset())
    columns = {name: cell for name, cell in _COLUMNS.items() if name not in left_out}
    if some:
        columns[WRONG_OF_ACCEPTED] = lambda point: wrong_of(point.wrong_of_accepted, point.accepted * report.questions)
    table = Table(title=f"{report.questions:,} questions ({report.split}), at most {report.max_turns} turns")
    table.add_column("policy", overflow="fold")
    for name in ("right", "95 % interval", *columns):
        table.add_column(name, justify="right", no_wrap=True)
    for result in report.policies:
        right = percent(result.chosen.point.accuracy), share_bounds(result.chosen.intervals["accuracy"])
        cells = [cell(result.chosen.point) for cell in columns.values()]
        table.add_row(Text(result.label), *right, *cells, style="bold" if result is report.policies[0] else None)
    for name, found in (("first attempt", report.first), ("any attempt right (oracle)", report.oracle)):
        table.add_row(name, percent(found.mean), share_bounds(found), *["–"] * len(columns), style="dim")
    return table


_COLUMNS: Mapping[str, Callable[[Point], str]] = {
    "calls": lambda point: number(point.calls, 2),
    "tokens": lambda point: number(point.tokens, 0),
    "USD per 1,000": lambda point: number(None if point.usd is None else 1000 * point.usd, 3),
    "accepted": lambda point: percent(point.accepted),
    "abstained": lambda point: percent(point.abstained),
    "review": lambda point: percent(point.reviewed),
}
_FOR_WIDE = frozenset({"USD per 1,000", "abstained", "review"})
"""Columns that a narrow terminal does without."""
_TOLD_OTHERWISE = frozenset({"tokens", "accepted"})
"""Those that it does without, too, where it says how many of the accepted are wrong."""
_WIDE = 118
"""Characters."""


def _lines(report: ReplayReport) -> Iterator[str]:
    """How settings were chosen, and each comparison in a line."""
    if any(result.chosen.chosen_on != "given" for result in report.policies):
        yield f"Settings that were not given were chosen on: {_PLACES.get(report.chosen_on, report.chosen_on)}."
    for comparison in report.comparisons:
        yield _compared(report, comparison)
    voting = at_equal_cost(report)
    if voting is not None:
        yield voting
    if report.signals:
        found = "; ".join(map(lost_with, most_valuable(report.signals)[:_TOP]))
        yield f"Signals worth most, by the within-question AUROC lost without: {found}."


def _compared(report: ReplayReport, found: Comparison) -> str:
    gain = f"{points(found.accuracy.mean)} points ({point_bounds(found.accuracy)}; {p_value(found.p)})"
    calls = f"{signed(found.calls.mean)} calls ({bounds(found.calls, '+.2f')})"
    return f"{report.subject} against {found.against}: {gain}, {calls}; {matched(found, report.chosen_on)}."
