"""A look into a dataset: what its manifest does not count, and a few rows to see."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from drr_agent.state import Label
from drr_agent.training.behaviors import SPLITS, Behavior, Split
from drr_agent.training.dataset import Dataset
from drr_agent.training.dataset.census import Part
from drr_agent.training.dataset.manifest import SplitCounts


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What one pass over the rows tells."""

    reasoners: Mapping[str, SplitCounts]
    """By Reasoner, in alphabetical order, over all splits."""
    turns: Mapping[str, Mapping[int, SplitCounts]]
    """By Reasoner and turn."""
    examples: tuple[Behavior, ...]
    """Right ones, wrong ones and ones without a label, in this order."""


def take_survey(dataset: Dataset, *, examples: int = 0, splits: Iterable[Split] = ()) -> Survey:
    """Read a dataset once.

    Args:
        dataset: which.
        examples: the most rows of each kind (right, wrong, without a label) to show; always the same ones, chosen by a
            hash of their ids.
        splits: where examples come from; by default all.

    Raises:
        DataError: the dataset is damaged.
    """
    shown = frozenset(splits) or frozenset(SPLITS)
    reasoners: dict[str, Part] = {}
    turns: dict[str, dict[int, Part]] = {}
    draws: dict[Label | None, _Draw] = {label: _Draw(examples) for label in ("correct", "incorrect", None)}
    for split in SPLITS:
        for row in dataset.iter_rows(split):
            reasoners.setdefault(row["reasoner"], Part()).add(row)
            turns.setdefault(row["reasoner"], {}).setdefault(row["turn"], Part()).add(row)
            if split in shown:
                draws[row["label"]].offer(row)
    return Survey(
        reasoners={name: reasoners[name].counts() for name in sorted(reasoners)},
        turns={name: {turn: turns[name][turn].counts() for turn in sorted(turns[name])} for name in sorted(turns)},
        examples=tuple(row for draw in draws.values() for row in draw.rows),
    )


class _Draw:
    """Keeps a few of many rows, whichever order they come in."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._held: list[tuple[str, Behavior]] = []

    @property
    def rows(self) -> list[Behavior]:
        return [row for _, row in self._held]

    def offer(self, row: Behavior) -> None:
        rank = hashlib.sha256(f"example:{row['id']}".encode()).hexdigest()
        if len(self._held) < self._count or (self._held and rank < self._held[-1][0]):
            self._held = sorted([*self._held, (rank, row)], key=lambda held: held[0])[: self._count]
