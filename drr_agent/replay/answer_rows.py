"""Every distinct answer after every turn of some readings, with what speaks for it: `stopping.answers` over arrays."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from drr_agent.evaluation.metrics import Bools, Floats
from drr_agent.replay.readings import Ints, Readings
from drr_agent.stopping.answers import OF_BEST
from drr_agent.training.paths import AnswerTable, Orders

_DIGITS = 9
"""Of supports that are compared: the same scores added up in another order are a tie."""


def tabulate_readings(readings: Readings, rows: Ints, names: Iterable[str]) -> AnswerTable:
    """What `training.paths.tabulate_in_order` makes of the same readings, by array.

    Args:
        readings: some.
        rows: places of those to look at, shape (n,); the table counts them from 0.
        names: of the facts, and of the signals of each answer's best attempt, that are wanted.
    """
    every = _Part.joined([_Part.of(sides, turn) for turn, sides in enumerate(_follow(readings, rows))])
    place = rows[every.reading]
    asked = readings.question[place], readings.order[place, every.choice]
    wanted = [name for name in names if name in every.facts or name.startswith(OF_BEST)]
    columns = (
        every.facts[name] if name in every.facts else readings.signals.of(name.removeprefix(OF_BEST))[asked]
        for name in wanted
    )
    return AnswerTable(
        {"best": every.facts["best"], **dict(zip(wanted, columns, strict=True))},
        every.reading,
        every.turn,
        every.choice,
        readings.right[place, every.choice],
        _orders(readings, rows),
    )


def _orders(readings: Readings, rows: Ints) -> Orders:
    every = np.arange(len(rows))
    own = np.ones(len(rows), dtype=np.bool_)
    return Orders(readings.turns[rows] - 1, readings.weights[rows], every, own, [])  # nothing reads attempts here


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sides:
    """The attempts so far that give each answer, by the turn it came first; arrays of shape (readings, turns)."""

    going: Bools
    """The readings that have the newest turn, shape (readings,)."""
    unanswered: Floats
    """Attempts without an answer, shape (readings,)."""
    votes: Floats
    scored: Floats
    """How many of these have a score."""
    total: Floats
    """Of their logits."""
    support: Floats
    """Sum of log(1 + odds) over them."""
    best: Floats
    """Highest of their logits; minus infinity without one."""
    choice: Ints
    """The attempt with that, the earliest of equals."""

    @classmethod
    def blank(cls, shape: tuple[int, int]) -> Self:
        """Before the first turn."""
        zeros = (np.zeros(shape) for _ in range(4))
        names = ("votes", "scored", "total", "support")
        return cls(
            going=np.ones(shape[0], dtype=np.bool_),
            unanswered=np.zeros(shape[0]),
            best=np.full(shape, -np.inf),
            choice=np.zeros(shape, dtype=np.int64),
            **dict(zip(names, zeros, strict=True)),
        )

    def add(self, turn: int, first: Ints, logit: Floats) -> None:
        """Count the attempts of a turn, from 0; `first` below 0 is one without an answer, a NaN one without a score."""
        self.unanswered[first < 0] += 1
        rows = np.flatnonzero(first >= 0)
        at, said = (rows, first[rows]), logit[rows]
        known = ~np.isnan(said)
        heard = np.where(known, said, 0.0)
        better = np.where(known, said, -np.inf) > self.best[at]
        new = self.votes[at] == 0
        self.choice[at] = np.where(better | new, turn, self.choice[at])
        self.best[at] = np.where(better, said, self.best[at])
        self.votes[at] += 1
        self.scored[at] += known
        self.total[at] += heard
        self.support[at] += known * (np.maximum(heard, 0.0) + np.log1p(np.exp(-np.abs(heard))))


def _follow(readings: Readings, rows: Ints) -> Iterator[_Sides]:
    """What stands after each turn; the same arrays, which go on changing."""
    first, logit, turns = readings.first[rows], readings.raw[rows], readings.turns[rows]
    sides = _Sides.blank(first.shape)
    for turn in range(first.shape[1]):
        going = turns > turn
        sides.going[:] = going
        sides.add(turn, np.where(going, first[:, turn], -1), logit[:, turn])
        yield sides


class _Part(NamedTuple):
    """The distinct answers after one turn, a row each: those of a reading in a row, the best-supported first."""

    reading: Ints
    turn: Ints
    choice: Ints
    facts: Mapping[str, Floats]

    @classmethod
    def of(cls, sides: _Sides, turn: int) -> Self:
        """Of what stands after a turn, from 0."""
        reading, slot = np.nonzero((sides.votes > 0) & sides.going[:, None])
        support, votes = sides.support[reading, slot], sides.votes[reading, slot]
        order = np.lexsort((slot, -votes, -np.round(support, _DIGITS), reading))
        at = reading[order], slot[order]
        return cls(at[0], np.full(len(order), turn), sides.choice[at], _facts(sides, at, float(turn + 1)))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Those of several turns, of which there is one at least."""
        reading, turn, choice, facts = zip(*parts, strict=True)
        columns = {name: np.concatenate([part[name] for part in facts]) for name in facts[0]}
        return cls(np.concatenate(reading), np.concatenate(turn), np.concatenate(choice), columns)


def _facts(sides: _Sides, at: tuple[Ints, Ints], turn: float) -> dict[str, Floats]:
    """`stopping.answers.Facts` of each row, NaN for what is missing."""
    votes, scored = sides.votes[at], sides.scored[at] > 0
    support, best = (np.where(scored, values[at], np.nan) for values in (sides.support, sides.best))
    rank, distinct, rival = _places(at[0])
    alone = distinct == 1
    rival_support = np.where(alone, 0.0, support[rival])
    return {
        "turn": np.full(len(votes), turn),
        "votes": votes,
        "log_votes": np.log(votes),
        "share": votes / turn,
        "distinct": distinct.astype(np.float64),
        "unanswered": sides.unanswered[at[0]],
        "support": support,
        "best": best,
        "mean": np.where(scored, sides.total[at] / np.maximum(sides.scored[at], 1.0), np.nan),
        "unopposed": np.where(alone, votes, np.nan),
        "rival_votes": np.where(alone, 0.0, votes[rival]),
        "rival_support": rival_support,
        "rival_best": np.where(alone, np.nan, best[rival]),
        "lead": support - rival_support,
        "rank": rank.astype(np.float64),
    }


def _places(reading: Ints) -> tuple[Ints, Ints, Ints]:
    """The rank of each row in its reading, how many rows that has, and the row of the rival, itself where alone."""
    opens = np.flatnonzero(np.diff(reading, prepend=-1))
    counts = np.diff(np.append(opens, len(reading)))
    start, distinct = np.repeat(opens, counts), np.repeat(counts, counts)
    rank = np.arange(len(reading)) - start
    return rank, distinct, start + ((rank == 0) & (distinct > 1))
