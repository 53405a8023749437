"""From replayed policies to the record of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

import numpy as np

from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.evaluation.metrics import Bools
from drr_agent.evaluation.summary import describe_environment
from drr_agent.evaluation.verdict import Verdict
from drr_agent.prices import Prices
from drr_agent.replay.compare import Side, as_estimate, at_equal_cost, compare
from drr_agent.replay.conclusion import conclude
from drr_agent.replay.config import ReplayConfig
from drr_agent.replay.frontier import Means
from drr_agent.replay.limits import find_limits, stopping_families
from drr_agent.replay.paths import end
from drr_agent.replay.readings import Readings
from drr_agent.replay.report import (
    IN_SAMPLE,
    Chosen,
    Comparison,
    EqualCost,
    Estimate,
    FrontierPoint,
    Point,
    PolicyResult,
    ReplayReport,
    SignalValue,
)
from drr_agent.replay.resampling import Resampler
from drr_agent.replay.slices import examples, facts_of, slices
from drr_agent.replay.specs import VOTING
from drr_agent.replay.unread import Unread
from drr_agent.replay.worth import turn_rows, worth_of_scores
from drr_agent.training.behaviors import Behavior
from drr_agent.training.logged import LabelledLog

GIVEN = "given"
_SHARES = ("accuracy", "accepted", "abstained", "reviewed", "accuracy_unreviewed", "wrong_of_accepted")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Labelled rows, read: what a record is of."""

    rows: Sequence[Behavior]
    seen: int
    """Questions left out since the DM had learned from them."""
    log: LabelledLog
    readings: Readings


def make_record(
    shown: Shown,
    sides: Sequence[Side],
    given: Sequence[bool],
    *,
    config: ReplayConfig,
    dm: DiscriminativeModel | None,
    signals: Sequence[SignalValue],
    prices: Prices,
    chosen_on: str,
) -> ReplayReport:
    """Write down what a replay came to.

    Args:
        shown: what was replayed.
        sides: the policies, the subject first.
        given: whether the setting of each was given.
        config: the settings.
        dm: what scored.
        signals: what each is worth.
        prices: of the Reasoners.
        chosen_on: where the other settings were chosen.
    """
    against = _Against.of(sides)
    policies = [
        _policy(side, shown.readings, GIVEN if known else chosen_on) for side, known in zip(sides, given, strict=True)
    ]
    families = [side.frontier.family for side in sides]
    unread = Unread.of(shown.rows, dm, [family.policy.model for family in stopping_families(families)])
    chosen_in_sample = [chosen_on == IN_SAMPLE and not known for known in given]
    return ReplayReport(
        title=config.title,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict=against.conclude(shown.readings, config, in_sample=chosen_in_sample[0]),
        split=config.split,
        chosen_on=chosen_on,
        max_turns=config.max_turns,
        orders=config.orders,
        policies=policies,
        comparisons=against.comparisons,
        equal_cost=against.equal_cost,
        signals=list(signals),
        curve=None if config.curve is None else config.curve.model_copy(update={"train_config": {}}),
        limits=find_limits(
            shown.rows,
            shown.readings,
            shown.log.coverage,
            prices,
            policies=policies,
            families=families,
            max_turns=config.max_turns,
            seen=shown.seen,
            unread=unread,
            in_sample=any(chosen_in_sample),
        ),
        environment=describe_environment(
            reasoner=", ".join(sorted(prices.by_reasoner)),
            dm=None if dm is None else dm.digest,
            dataset=config.dataset,
            seeds={"bootstrap": config.seed},
        ),
        timings={},
        **_of_questions(shown.readings, against.subject.resampler),
        **_of_scores(shown.readings, dm),
        **_of_subject(against.subject, shown),
    )


class _Against(NamedTuple):
    """The subject with what it is set against."""

    subject: Side
    voting: list[Side]
    comparisons: list[Comparison]
    equal_cost: EqualCost

    @classmethod
    def of(cls, sides: Sequence[Side]) -> Self:
        """Compare the first with each of the others."""
        subject, *others = sides
        voting = [side for side in others if side.frontier.family.name in VOTING]
        return cls(subject, voting, [compare(subject, other) for other in others], at_equal_cost(subject, voting))

    def conclude(self, readings: Readings, config: ReplayConfig, *, in_sample: bool) -> Verdict:
        """The verdict on the subject."""
        effective = _effective(readings)
        return conclude(*self, questions=effective, margin=config.margin, in_sample=in_sample)


def _effective(readings: Readings) -> float:
    """As many questions that count alike as would say as much (Kish 1965)."""
    weights = readings.units.weights
    return float(weights.sum() ** 2 / (weights**2).sum())


def _of_questions(readings: Readings, resampler: Resampler) -> dict[str, Any]:
    """How many there are, and what any policy could come to on them."""
    within = np.arange(readings.right.shape[1]) < readings.turns[:, None]
    return {
        "questions": len(readings.units.weights),
        "attempts": sum(len(question.attempts) for question in readings.questions),
        "effective_questions": _effective(readings),
        "first": _share(readings, readings.right[:, 0], resampler),
        "oracle": _share(readings, np.any(readings.right & within, axis=1), resampler),
    }


def _of_scores(readings: Readings, dm: DiscriminativeModel | None) -> dict[str, Any]:
    """What the scores are worth."""
    worth = worth_of_scores(readings, dm)
    return {"dm": worth[0] if worth else None, "within_question": worth[1] if worth else None}


def _of_subject(subject: Side, shown: Shown) -> dict[str, Any]:
    """Its name, and what it does on parts of the questions."""
    ends, facts = end(subject.frontier.walk, subject.setting, shown.readings), facts_of(shown.rows)
    return {
        "subject": subject.label,
        "slices": slices(ends, shown.readings, facts),
        "examples": examples(subject.label, ends, shown.readings, facts),
    }


def _policy(side: Side, readings: Readings, chosen_on: str) -> PolicyResult:
    frontier, means = side.frontier, side.frontier.means
    ends = end(frontier.walk, side.setting, readings)
    low, high = np.quantile(side.resampled, [0.025, 0.975], axis=0).tolist()
    return PolicyResult(
        name=frontier.family.name,
        label=side.label,
        frontier=[
            FrontierPoint(
                calls_ci=(low[place][0], high[place][0]),
                accuracy_ci=(low[place][1], high[place][1]),
                **_point(setting, means[place]),
            )
            for place, setting in enumerate(frontier.settings)
        ],
        chosen=Chosen(
            point=Point(**_point(side.setting, side.sums.means())),
            chosen_on=chosen_on,
            intervals=side.estimates(),
            by_turn=turn_rows(ends, readings),
        ),
    )


def _point(setting: float, means: Means) -> dict[str, Any]:
    """The fields of a point; shares that add up to a hair over 1 are 1."""
    known = {name: means[name] for name in means.keys() & Point.model_fields.keys()}
    shares = {name: None if known[name] is None else min(1.0, known[name] or 0.0) for name in _SHARES}
    return {"setting": setting, **known, **shares}


def _share(readings: Readings, where: Bools, resampler: Resampler) -> Estimate:
    return as_estimate(resampler.ratio(readings.units.sums(readings.weights * where), readings.units.weights))
