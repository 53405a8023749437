"""Whether to switch a policy on, from the intervals of paired differences, never from point values.

use it       surely right more often than one attempt, and surely more often than voting at as many calls, or as often
             as the best of voting at surely fewer calls
shadow it    it looks good, and an interval includes no gain
do not       one attempt is enough, or voting does as well; or nobody can tell yet, which is said as *not yet*
"""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

from drr_agent.evaluation.metrics import Interval
from drr_agent.evaluation.records import ReportPart
from drr_agent.evaluation.report import Comparison, label
from drr_agent.evaluation.table import points

Word = Literal["use it", "shadow it", "do not"]
MARGIN = 0.02
"""The gain in accuracy that is not worth having; a gain that is surely below it is called none."""
_LEVEL = 0.05
"""The largest p of a gain that is called sure."""
_FEWEST = 30
"""Questions below which no interval of a bootstrap is believed."""


class Savings(ReportPart):
    """What a policy saves against what one would use instead, on 1,000 questions; below 0 where it costs more."""

    against: str
    right: float
    """Questions more that are right."""
    calls: float | None
    tokens: float | None
    usd: float | None


class Verdict(ReportPart):
    """The word, and why."""

    word: Word
    reason: str
    setting: str | None
    """The policy in the setting that is meant."""
    unknown: bool = False
    """Whether nobody can tell yet, which speaks neither for the policy nor against it."""
    saves: Savings | None = None
    """Where it is to be used."""

    def __str__(self) -> str:
        """One sentence or two."""
        return f"{'Not yet' if self.unknown else self.word.capitalize()}: {self.reason}"


class Rival(NamedTuple):
    """A policy against another, over the same questions."""

    name: str
    gain: Interval
    """In accuracy, as a share."""
    calls: Interval | None = None
    """Reasoner calls a question more than the other's; `None` where nobody asked."""
    p: float | None = None
    """Of a paired test of the gain: a handful of questions may all go one way, and no interval knows."""

    @property
    def is_beaten(self) -> bool:
        """Whether the gain over it is sure."""
        return self.gain.low > 0 and (self.p is None or self.p <= _LEVEL)


def judge(
    subject: str,
    single: Rival,
    voting: Rival | None,
    best: Rival | None,
    *,
    questions: float,
    margin: float = MARGIN,
    in_sample: bool = False,
) -> Verdict:
    """Say whether to use a policy.

    Args:
        subject: the policy with its setting.
        single: against one attempt.
        voting: against the best voting at as many calls; `None` where it was not tried.
        best: against the best of voting, at whatever it costs.
        questions: how many count, or as many as would say as much.
        margin: the gain in accuracy that is not worth having.
        in_sample: whether the subject's setting was chosen on these very questions: then no gain is sure.
    """
    if questions < _FEWEST:
        return _put_off(subject, f"{questions:.0f} labelled questions are too few to tell; {_FEWEST} are the fewest")
    rivals = [(single, "one attempt is enough")] + ([] if voting is None else [(voting, "voting does as well")])
    refusals = (_refuse_against(subject, rival, finding, questions, margin) for rival, finding in rivals)
    refusal = next((found for found in refusals if found is not None), None)
    if refusal is not None:
        return refusal
    unsure = [rival for rival, _ in rivals if not rival.is_beaten]
    told = " and ".join(f"{_range(rival.gain)} against {rival.name}" for rival in unsure or [one for one, _ in rivals])
    if in_sample:
        reason = f"it looks good ({told}), but its setting was chosen on these very questions."
        return Verdict(word="shadow it", reason=reason, setting=subject)
    if not unsure:
        return Verdict(word="use it", reason=f"{subject} is surely right more often: {told}.", setting=subject)
    if single.gain.high < margin:  # sure, and not worth having where voting may do as well
        return _refuse(subject, f"one attempt is enough: the gain over it is {_range(single.gain)}")
    if best is not None and single.is_beaten and _is_cheaper(best, margin):
        points = f"{100 * margin:g} points"
        cheaper = f"surely less than {points} behind {best.name} ({_range(best.gain)}), at surely fewer calls"
        return Verdict(word="use it", reason=f"{subject} is {cheaper}.", setting=subject)
    return Verdict(
        word="shadow it",
        reason=f"it looks good, but no gain is sure: {told}; about {_wanted(unsure, questions, margin)} labelled "
        "questions would tell.",
        setting=subject,
    )


def judge_single_attempts(subject: str) -> Verdict:
    """The verdict where no question has a second attempt: that thinking again brings nothing, nobody has seen."""
    return _put_off(
        subject,
        "there is one attempt a question, so the log cannot tell what thinking again would bring; log several "
        "(`drr distill --attempts 8`, or runs that explore), and allow more turns than one",
    )


def judge_comparisons(comparisons: Iterable[Comparison], *, margin: float = MARGIN) -> Verdict | None:
    """The verdict of an evaluation, about the first comparison's strategy; `None` where no single pass was compared."""
    rows = list(comparisons)
    by_kind = _of_first(rows)
    single, voting = by_kind.get("single_pass"), by_kind.get("voting")
    if single is None:
        return None
    subject = label(single.strategy, single.setting)
    if single.calls == single.baseline_calls == 1:
        return judge_single_attempts(subject)
    one_rival = voting is not None and voting.baseline == single.baseline
    found = judge(
        subject,
        _as_rival(single),
        None if voting is None or one_rival else _as_rival(voting),
        None,
        questions=single.n,
        margin=margin,
    )
    if found.word != "use it":
        return found
    return found.model_copy(update={"saves": _saved(voting or single)})


def _saved(rival: Comparison) -> Savings:
    """Against voting that reaches the same accuracy where one does, else against what costs as much."""
    matched = rival.calls_to_match
    gain, calls = (rival.difference, rival.baseline_calls) if matched is None else (0.0, matched)
    return Savings(against=rival.baseline, right=1000 * gain, calls=1000 * (calls - rival.calls), tokens=None, usd=None)


def _as_rival(row: Comparison) -> Rival:
    return Rival(row.baseline, Interval(row.difference, *row.difference_ci))


def _refuse_against(subject: str, rival: Rival, finding: str, questions: float, margin: float) -> Verdict | None:
    """Why not to use it, if a rival does as well, or if nobody can tell and nothing speaks for it."""
    gain = rival.gain
    if gain.low > 0:
        return None
    if gain.high < 0:
        return _refuse(subject, f"it is right less often than {rival.name} ({_range(gain)})")
    if gain.high < margin:
        return _refuse(subject, f"{finding}: the gain over {rival.name} is {_range(gain)}")
    if gain.mean > 0:
        return None
    return _put_off(
        subject,
        f"too few labels, and nothing speaks for it: {_range(gain)} against {rival.name}; about "
        f"{_wanted([rival], questions, margin)} labelled questions would tell",
    )


def _is_cheaper(best: Rival, margin: float) -> bool:
    return best.gain.low > -margin and best.gain.high >= 0 and best.calls is not None and best.calls.high < 0


def _wanted(rivals: Iterable[Rival], questions: float, margin: float) -> str:
    """About how many questions an interval needs that is half as wide as the gain, or as what is worth having.

    An interval narrows with the square root of the questions.
    """
    shares = [(rival.gain.high - rival.gain.low) / 2 / max(abs(rival.gain.mean), margin) for rival in rivals]
    wanted = max(questions * max(shares) ** 2, questions + 1)
    unit = 10 ** max(0, math.floor(math.log10(wanted)) - 1)
    return f"{math.ceil(wanted / unit) * unit:,}"


def _refuse(subject: str, why: str) -> Verdict:
    return Verdict(word="do not", reason=f"{why}.", setting=subject)


def _put_off(subject: str, why: str) -> Verdict:
    return _refuse(subject, why).model_copy(update={"unknown": True})


def _range(gain: Interval) -> str:
    return f"{points(gain.mean)} points, 95 % interval {points(gain.low)} to {points(gain.high)}"


def _of_first(rows: list[Comparison]) -> dict[str, Comparison]:
    return {row.against: row for row in rows if (row.strategy, row.setting) == (rows[0].strategy, rows[0].setting)}
