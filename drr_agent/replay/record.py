"""From replayed policies to the record of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.evaluation.metrics import Bools
from drr_agent.evaluation.summary import describe_environment
from drr_agent.replay.compare import Side, as_estimate, at_equal_cost, compare
from drr_agent.replay.conclusion import conclude
from drr_agent.replay.config import ReplayConfig
from drr_agent.replay.costs import Prices
from drr_agent.replay.frontier import Means
from drr_agent.replay.limits import find_limits
from drr_agent.replay.paths import end
from drr_agent.replay.readings import Readings
from drr_agent.replay.report import (
    Chosen,
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
from drr_agent.replay.worth import fusion_of, turn_rows, worth_of_scores
from drr_agent.training.behaviors import Behavior
from drr_agent.training.logged import LabelledLog

GIVEN = "given"
IN_SAMPLE = "in sample"
_SHARES = ("accuracy", "accepted", "abstained", "reviewed")


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
    readings = shown.readings
    subject, *others = sides
    voting = [side for side in others if side.frontier.family.name in VOTING]
    comparisons = [compare(subject, other) for other in others]
    equal_cost = at_equal_cost(subject, voting)
    effective = float(readings.units.weights.sum() ** 2 / (readings.units.weights**2).sum())
    ends = end(subject.frontier.walk, subject.setting, readings)
    worth, facts = worth_of_scores(readings, dm), facts_of(shown.rows)
    within = np.arange(readings.right.shape[1]) < readings.turns[:, None]
    return ReplayReport(
        title=config.title,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict=conclude(
            subject,
            voting,
            comparisons,
            equal_cost,
            questions=effective,
            margin=config.margin,
            in_sample=chosen_on == IN_SAMPLE and not given[0],
        ),
        subject=subject.label,
        split=config.split,
        chosen_on=chosen_on,
        questions=len(readings.units.weights),
        attempts=sum(len(question.attempts) for question in readings.questions),
        effective_questions=effective,
        max_turns=config.max_turns,
        orders=config.orders,
        policies=[
            _policy(side, readings, GIVEN if known else chosen_on) for side, known in zip(sides, given, strict=True)
        ],
        comparisons=comparisons,
        equal_cost=equal_cost,
        first=_share(readings, readings.right[:, 0], subject.resampler),
        oracle=_share(readings, np.any(readings.right & within, axis=1), subject.resampler),
        dm=worth[0] if worth else None,
        within_question=worth[1] if worth else None,
        signals=list(signals),
        curve=None if config.curve is None else config.curve.model_copy(update={"train_config": {}}),
        slices=slices(ends, readings, facts),
        examples=examples(subject.label, ends, readings, facts),
        limits=find_limits(
            shown.rows,
            readings,
            shown.log.coverage,
            prices,
            max_turns=config.max_turns,
            seen=shown.seen,
            unread=_unread(shown.rows, dm),
            in_sample=chosen_on == IN_SAMPLE and not all(given),
        ),
        environment=describe_environment(
            reasoner=", ".join(sorted(prices.by_reasoner)),
            dm=None if dm is None else dm.digest,
            dataset=config.dataset,
            seeds={"bootstrap": config.seed},
        ),
        timings={},
    )


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


def _unread(rows: Sequence[Behavior], dm: DiscriminativeModel | None) -> list[str]:
    """Signals that the DM reads and no attempt has."""
    fusion = fusion_of(dm)
    names = [term.name for term in fusion.signals] if fusion else []
    return [name for name in names if all(row["signals"].get(name) is None for row in rows)]


def _point(setting: float, means: Means) -> dict[str, Any]:
    """The fields of a point; shares that add up to a hair over 1 are 1."""
    shares = {name: None if means[name] is None else min(1.0, means[name] or 0.0) for name in _SHARES}
    return {"setting": setting, **means, **shares}


def _share(readings: Readings, where: Bools, resampler: Resampler) -> Estimate:
    return as_estimate(resampler.ratio(readings.units.sums(readings.weights * where), readings.units.weights))
