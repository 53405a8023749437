"""How a replay's figures are written, in the terminal and on the page."""

from collections.abc import Iterable

from drr_agent.evaluation.table import percent, points, signed
from drr_agent.evaluation.verdict import Savings
from drr_agent.replay.report import IN_SAMPLE, Comparison, Estimate, ReplayReport, SignalValue, Spread

_FEWER, _MORE = 0.995, 1.005
"""Shares of another's calls between which there is no difference worth a word."""


def p_value(value: float) -> str:
    """As `p 0.012`."""
    return "p < 0.001" if value < 0.001 else f"p {value:.3f}"


def bounds(found: Estimate | None, form: str = ".2f") -> str:
    """The interval of a figure, as `1.20 to 1.50`; what has no bound is said so."""
    if found is None or (found.low is None and found.high is None):
        return "–"
    low, high = ("no bound" if bound is None else signed(bound, form) for bound in (found.low, found.high))
    return f"{low} to {high}"


def share_bounds(found: Estimate) -> str:
    """The interval of a share, in percent, as `58.0 to 67.1`."""
    return " to ".join("–" if bound is None else f"{100 * bound:.1f}" for bound in (found.low, found.high))


def point_bounds(found: Estimate) -> str:
    """The interval of a difference of shares, in percentage points, as `−0.4 to +3.1`."""
    return " to ".join("–" if bound is None else points(bound) for bound in (found.low, found.high))


def saved(saves: Savings) -> str:
    """What a policy saves, in a sentence."""
    costs = (("calls", saves.calls, "+,.0f"), ("tokens", saves.tokens, "+,.0f"), ("USD", saves.usd, "+.4g"))
    parts = [f"{signed(saves.right, '+.0f')} right"]
    parts += [f"{signed(-value, form)} {name}" for name, value, form in costs if value is not None]
    return f"On 1,000 questions, against {saves.against}: {', '.join(parts)}."


def at_equal_cost(report: ReplayReport) -> str | None:
    """The subject against the best voting at as many calls, in a sentence; `None` where that was not asked."""
    found = report.equal_cost
    if found is None:
        return None
    gain = f"{points(found.accuracy.mean)} points ({point_bounds(found.accuracy)}; {p_value(found.p)})"
    line = f"{report.subject} against the best voting at as many calls ({found.baseline}): {gain}"
    if found.calls_to_match is None:
        return f"{line}; no voting setting is as often right ({percent(report.policies[0].chosen.point.accuracy)})."
    return f"{line}; voting needs {found.calls_to_match:.2f} calls to be right as often."


def lost_with(value: SignalValue) -> str:
    """What is lost with a signal, as `logprob_mean 0.120 (0.110 to 0.130), log loss +0.210`."""
    added = f"log loss {signed(value.log_loss.mean, '+.3f')}"
    if value.auroc is None:
        return f"{value.name} {added}"
    low, high = signed(value.auroc.low, ".3f"), signed(value.auroc.high, ".3f")
    return f"{value.name} {signed(value.auroc.mean, '.3f')} ({low} to {high}), {added}"


def place_of_choice(chosen_on: str) -> str:
    """Where settings were chosen, as the end of a sentence."""
    return "these very questions" if chosen_on == IN_SAMPLE else chosen_on


def matched(found: Comparison, chosen_on: str) -> str:
    """What it takes to be as accurate as another policy, by the share of its calls, and how accurate that is here."""
    if found.calls_ratio is None:
        return "it is as accurate at no setting"
    ratio, missed = found.calls_ratio.mean, found.matched_accuracy
    calls = f"{ratio:.2f} of its calls" if ratio < _FEWER else f"{ratio:.2f} times its calls"
    calls = "no fewer calls" if _FEWER <= ratio <= _MORE else calls
    here = "" if missed is None else f" ({points(missed.mean)} points on these questions, {point_bounds(missed)})"
    return f"as accurate with {calls}{here}, in a mix of its settings chosen on {place_of_choice(chosen_on)}"


def most_valuable(signals: Iterable[SignalValue]) -> list[SignalValue]:
    """Signals by what is lost without them, as it is written: first within-question AUROC, then log loss."""
    return sorted(signals, key=lambda value: (-_written(value.auroc), -_written(value.log_loss)))


def _written(lost: Spread | None) -> float:
    return 0.0 if lost is None else round(lost.mean, 3)
