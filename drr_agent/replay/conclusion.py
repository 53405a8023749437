"""The verdict of a replay, and what the policy saves."""

from collections.abc import Sequence

from drr_agent.evaluation.verdict import Rival, Savings, Verdict, judge, judge_single_attempts
from drr_agent.replay.compare import Side, as_interval
from drr_agent.replay.report import Comparison, EqualCost, Estimate


def conclude(
    subject: Side,
    voting: Sequence[Side],
    comparisons: Sequence[Comparison],
    equal_cost: EqualCost,
    *,
    questions: float,
    margin: float,
    in_sample: bool = False,
) -> Verdict:
    """Whether to use the subject.

    Args:
        subject: the policy it is about.
        voting: what votes, one attempt among it.
        comparisons: of the subject with each of these and others.
        equal_cost: the subject against mixes of what votes.
        questions: how many count.
        margin: the gain in accuracy that is not worth having.
        in_sample: whether the subject's setting was chosen on these very questions.
    """
    if subject.frontier.walk.value.shape[1] == 1:  # that a second attempt brings nothing, nobody has seen
        return judge_single_attempts(subject.label)
    by_label = {row.against: row for row in comparisons}
    single = next(by_label[side.label] for side in voting if side.frontier.family.name == "single")
    best = min((by_label[side.label] for side in voting), key=lambda row: row.accuracy.mean)
    tried = len(voting) > 1
    found = judge(
        subject.label,
        Rival("one attempt", as_interval(single.accuracy), p=single.p),
        Rival(f"voting at as many calls ({equal_cost.baseline})", as_interval(equal_cost.accuracy), p=equal_cost.p)
        if tried
        else None,
        Rival(best.against, as_interval(best.accuracy), as_interval(best.calls)) if tried else None,
        questions=questions,
        margin=margin,
        in_sample=in_sample,
    )
    return found.model_copy(update={"saves": _savings(best)}) if found.word == "use it" else found


def _savings(best: Comparison) -> Savings:
    """On 1,000 questions, against the most accurate of what would be used instead."""
    calls, tokens, usd = (_saved(figure) for figure in (best.calls, best.tokens, best.usd))
    return Savings(against=best.against, right=1000 * best.accuracy.mean, calls=calls, tokens=tokens, usd=usd)


def _saved(difference: Estimate | None) -> float | None:
    return None if difference is None else -1000 * difference.mean
