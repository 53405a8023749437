"""What a DM reads of attempts it may learn from: each by a fusion that was fitted without its question."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from drr_agent.dm.folds import grouped_folds
from drr_agent.dm.fusion import Evidence, Fusion, fit_fusion
from drr_agent.dm.models import Reading, read_evidence
from drr_agent.dm.stacking import Stack, fit_stack
from drr_agent.questions import unit_of
from drr_agent.signals import SIGNAL_SIGNS
from drr_agent.training.behaviors import Behavior
from drr_agent.training.config import TrainConfig

Model = TypeVar("Model")
Readings = dict[str, Reading]


class Fused(NamedTuple):
    """A fusion, and what is read of attempts, by the row's id."""

    fusion: Fusion | None
    """Fitted to all that was to be learned from; `None` for text alone."""
    readings: Readings


def fuse_held_out(
    learned: Sequence[Behavior],
    heard: Sequence[Behavior],
    rows: Sequence[Behavior],
    evidence: Mapping[str, Evidence],
    config: TrainConfig,
) -> Fused:
    """Fit a fusion, and read rows: those at a question that was learned from, by a fusion that left it out.

    Args:
        learned: labelled rows that teach what signals are worth.
        heard: those that teach what the classifier's logit is worth beside; it was not trained on them. Among `rows`.
        rows: to be read.
        evidence: of all of them, by the row's id.
        config: the settings.

    Raises:
        DataError: `learned` or `heard` holds one class only, or no signal varies.
    """
    if config.inputs == "text":
        return Fused(None, _read(rows, evidence, None))
    fused = _fuse_signals(learned, rows, evidence, config)
    return fused if config.inputs == "signals" else _stack_text(heard, rows, fused, config)


def _fuse_signals(
    learned: Sequence[Behavior], rows: Sequence[Behavior], evidence: Mapping[str, Evidence], config: TrainConfig
) -> Fused:
    def fit(some: Sequence[Behavior], like: Fusion | None) -> Fusion:
        signals, right, questions = [evidence[row["id"]] for row in some], _right(some), _questions(some)
        names, signs = config.signals, SIGNAL_SIGNS
        return fit_fusion(signals, right, questions, signals=names, signs=signs, like=like, seed=config.seed)

    return Fused(*_hold_out(fit, lambda fusion, some: _read(some, evidence, fusion), learned, rows, config.seed))


def _stack_text(heard: Sequence[Behavior], rows: Sequence[Behavior], signals: Fused, config: TrainConfig) -> Fused:
    """Put the classifier's logits over what signals say."""
    said = signals.readings

    def fit(some: Sequence[Behavior], like: Stack | None) -> Stack:
        logits, parts = [said[row["id"]].logit for row in some], [said[row["id"]].fused for row in some]
        return fit_stack(logits, parts, _right(some), _questions(some), like=like, seed=config.seed)

    def read(stack: Stack, some: Sequence[Behavior]) -> Readings:
        found = {row["id"]: said[row["id"]] for row in some}
        return {name: Reading(logit, stack.stack(logit, part)) for name, (logit, part) in found.items()}

    stack, readings = _hold_out(fit, read, heard, rows, config.seed)
    return Fused(None if signals.fusion is None else stack.over(signals.fusion), readings)


def _hold_out(
    fit: Callable[[Sequence[Behavior], Model | None], Model],
    read: Callable[[Model, Sequence[Behavior]], Readings],
    learned: Sequence[Behavior],
    rows: Sequence[Behavior],
    seed: int,
) -> tuple[Model, Readings]:
    """A model of all that is learned, and what is read: at a question learned from, by one like it that left it out."""
    model = fit(learned, None)
    readings = read(model, rows)
    right, questions = np.array(_right(learned), dtype=np.float64), _questions(learned)
    for fold in grouped_folds(right, questions, seed=seed):
        held_out = {unit_of(questions[place]) for place in fold.held_out}
        without = fit([learned[place] for place in fold.fit], model)
        readings |= read(without, [row for row in rows if unit_of(row["question_key"]) in held_out])
    return model, readings


def _read(rows: Sequence[Behavior], evidence: Mapping[str, Evidence], fusion: Fusion | None) -> Readings:
    names = [row["id"] for row in rows]
    return dict(zip(names, read_evidence(fusion, [evidence[name] for name in names]), strict=True))


def _right(rows: Sequence[Behavior]) -> list[bool]:
    return [row["label"] == "correct" for row in rows]


def _questions(rows: Sequence[Behavior]) -> list[str]:
    return [row["question_key"] for row in rows]
