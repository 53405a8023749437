"""The strategies side by side, in the terminal; and how the reports write numbers."""

from collections.abc import Callable, Iterable, Mapping

from rich.table import Table
from rich.text import Text

from drr_agent.evaluation.report import DMResult, Report, StrategyResult


def render_table(report: Report, *, width: int = 120) -> Table:
    """The strategies side by side, for a terminal of `width` characters; the compared one is bold."""
    columns = {name: cell for name, cell in _COLUMNS.items() if width >= _WIDE or name not in _FOR_WIDE}
    if accepts_some(result.accept_rate for result in report.results):
        columns[WRONG_OF_ACCEPTED] = lambda result: wrong_of(result.wrong_of_accepted, result.accepted)
    table = Table(title=report.title)
    table.add_column("strategy", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for result in report.results:
        style = "bold" if result.label == report.subject else None
        table.add_row(Text(result.label), *(cell(result) for cell in columns.values()), style=style)
    return table


def describe_dm(dm: DMResult) -> str:
    """The DM's figures in one line, agreement left out, with its parts beside it."""
    parts = ", ".join(f"{name} {number(value, 3)}" for name, value in dm.within_question_auroc_of.items())
    beside = f" ({parts})" if parts else ""
    return (
        f"The DM: within-question AUROC {number(dm.within_question_auroc, 3)}{beside}, AUROC {number(dm.auroc, 3)}, "
        f"ECE {number(dm.ece, 3)}, Brier {number(dm.brier, 3)}, over {dm.n} attempts."
    )


def doubt_ranking(within: float | None, overall: float | None) -> str | None:
    """What to know of a DM that ranks no better than chance; `None` where it does, or nobody knows.

    Args:
        within: AUROC over attempts at one question, which is what a loop lives on; `None` where no question has both
            right and wrong ones.
        overall: AUROC over all attempts, taken where that one is not known.
    """
    name, found = ("AUROC", overall) if within is None else ("within-question AUROC", within)
    if found is None or found > _CHANCE:
        return None
    return (
        f"The DM does not rank attempts: its {name} is {number(found, 3)}, and chance is 0.5. Do not loop by these "
        "scores; train on more labelled attempts or on other inputs (`drr train --curve` says whether labels help)."
    )


def accepts_some(shares: Iterable[float]) -> bool:
    """Whether a policy accepts some questions but not all, so that its accepts are worth a figure of their own."""
    return any(0 < share < 1 for share in shares)


def wrong_of(share: float | None, accepted: float) -> str:
    """The share of the accepted answers that is wrong, with how many they are, as `3.1 % of 412`."""
    return "–" if share is None else f"{percent(share)} of {accepted:,.0f}"


def percent(share: float | None) -> str:
    """A share as `62.5 %`; an unknown one as a dash."""
    return "–" if share is None else f"{100 * share:.1f} %"


def interval(bounds: tuple[float, float] | None) -> str:
    """Two shares as `58.0 to 67.1`, in percent."""
    return "–" if bounds is None else f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}"


def number(value: float | None, digits: int) -> str:
    """A number with so many decimals and thousands apart; an unknown one as a dash."""
    return "–" if value is None else f"{value:,.{digits}f}"


def points(share: float) -> str:
    """A difference of shares in percentage points, signed: `+4.2`; one that rounds to nothing has no sign."""
    return signed(100 * share, "+.1f")


def signed(value: float | None, form: str = "+.2f") -> str:
    """A number with its sign, none where it rounds to 0; an unknown one as a dash."""
    if value is None:
        return "–"
    text = f"{value:{form}}"
    return text.replace("-", "−") if any(digit in text for digit in "123456789") else text.lstrip("+-")


_COLUMNS: Mapping[str, Callable[[StrategyResult], str]] = {
    "right": lambda result: percent(result.accuracy),
    "95 % interval": lambda result: interval(result.accuracy_ci),
    "calls": lambda result: number(result.mean_calls, 2),
    "turns": lambda result: number(result.mean_turns, 2),
    "tokens": lambda result: number(result.mean_tokens, 0),
    "accepted": lambda result: percent(result.accept_rate),
    "fixed": lambda result: str(result.fixed),
    "harmed": lambda result: str(result.harmed),
}
WRONG_OF_ACCEPTED = "wrong of accepted"
"""The column of it."""
_CHANCE = 0.5
_FOR_WIDE = frozenset({"turns", "accepted", "fixed", "harmed"})
"""Columns that a narrow terminal does without."""
_WIDE = 118
"""Characters."""
