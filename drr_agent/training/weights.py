"""What a logged run counts in a replay, when the log breaks off where the policy ended it.

An accept, a stop or a review ends a run, so a log of runs in use shows later turns where the policy was in doubt and
hides them where it was sure, or without hope. What corrects it is chance: of the runs that the policy ended with turns
left, a known share `e` thought on (`explore`), and each of them stands for those that were cut off:

    weight = 1 / P(the run is logged to its end), or 0 if it is not
           = 1      never ended by the policy, or at its last turn: chance had no part in it
           = 1 / e  ended, and explored
           = 0      ended, and cut off

The sum of weight times outcome is unbiased for the sum over all runs, had each been logged to its end (Horvitz and
Thompson 1952), whatever policy is replayed within the turns of the log. A mean divides by the sum of the weights (Hájek
1971): consistent, with a bias of the order of one over the explored runs. How many were ended is known too, so the
weights of the explored are scaled to add up to that: it takes the luck out of how many explored, and lets them stand
for a time before anybody did, which by `1 / e` alone would count by its doubtful runs only.

The scaling is by Reasoner and by how the policy ended the run (post-stratification, Holt and Smith 1979): an explored
accept stands for accepts, never for stops. Where one rate explored every end, either way is consistent, and this one
varies less, as an accepted run is sure and a stopped one is not. Older versions explored accepts alone: there stops had
no chance, and to let accepts stand for them would be wrong however long the log.

It asks of the log that runs like the cut off could be explored, and that some explored run of the Reasoner reached the
last turn (which is how that turn is known).

A run with an answer that nobody judged cannot be replayed. Those of its Reasoner with as many answers, ended at the
same turn in the same way, whose answers are all judged, stand for it: longer runs are judged in full more rarely, and
without that the short ones would count for too much. Where there is none like it, nothing stands for it, and that is
told.

Each question counts alike, however often it was asked: a run's share is one over the runs that ask its question, cut
off or not. A run is a sequence of its own, in its order: what came after depends on what came before.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from drr_agent.policy import ENDS
from drr_agent.state import Verdict
from drr_agent.training.behaviors import Behavior, is_labelled

POOLED = frozenset({"distilled", "imported"})
"""Origins whose runs at one question are draws of one reading, made for that."""
_CUTS = frozenset({*ENDS.values(), "shadow"})
"""What a live run may break off at. Nothing explores in shadow, so nothing stands for a run that was cut off there."""


class Coverage(NamedTuple):
    """What a log tells a replay, and what not. A run in use counts by itself, distilled draws of a question as one."""

    explored: int
    """Runs that thought on after the policy had ended them, with a known probability."""
    censored: int
    """Runs that an accept, a stop, a review or shadow mode cut off. Where runs of their Reasoner that ended in the
    same way explored, those stand for them."""
    unexplored: int
    """Of the censored, those that nothing stands for: they count as they are. Where no run of their Reasoner explored
    at all, it is unknown, too, which had turns left."""
    left_out: int
    """Those with an answer that nobody judged; a weak label is no judgment."""
    unlike: int
    """Of those left out, those like which none is judged: what is left is no fair sample of the log."""


class Reading(NamedTuple):
    """The rows of one question's draws, or of one run in use, in order."""

    question: tuple[str, ...]
    """Its key, its context, its Reasoner."""
    rows: list[Behavior]

    @property
    def judged(self) -> bool:
        """Whether somebody judged every answer; a weak label is no judgment."""
        return all(row["answer"] is None or is_labelled(row) for row in self.rows)

    @property
    def explore(self) -> float | None:
        """The probability that it went on after its end, if it did and that is known."""
        rates = (row["propensity"] for row in self.rows if row["origin"] == "explored")
        return next((rate for rate in rates if rate is not None and 0.0 < rate <= 1.0), None)

    @property
    def ended_at(self) -> float:
        """The turn at which the policy ended it while in use; infinite where it did not."""
        return math.inf if self._end is None else self._end["turn"]

    @property
    def ended_by(self) -> Verdict | None:
        """How it ended: `accept`, `stop`, `review`, or `shadow` where it was not let go on; `None` where by itself."""
        return None if self._end is None else self._end["verdict"]

    @property
    def _end(self) -> Behavior | None:
        ends = (row for row in self.rows if row["origin"] == "live" and row["verdict"] in _CUTS)
        return min(ends, key=lambda row: row["turn"], default=None)

    @property
    def kind(self) -> tuple[object, ...]:
        """What it has in common with the runs that may stand for it."""
        answered = sum(row["answer"] is not None for row in self.rows)
        return self.question[-1], self.rows[0]["origin"] in POOLED, answered, self.ended_at, self.ended_by


class _Ended(NamedTuple):
    """The runs of one Reasoner that the policy ended in one way with turns left, by their places among all."""

    explored: dict[int, float]
    """With the probability of exploring."""
    censored: list[int]

    def stand_in(self, weights: list[float]) -> None:
        """Move the weight of the censored to the explored, the more to one the less probable it was."""
        if not self.explored:
            return
        least = min(self.explored.values())
        inverse = {place: weights[place] * least / rate for place, rate in self.explored.items()}
        scale = sum(weights[place] for place in (*self.explored, *self.censored)) / sum(inverse.values())
        for place in self.censored:
            weights[place] = 0.0
        for place, weight in inverse.items():
            weights[place] = weight * scale


def read_rows(rows: Sequence[Behavior]) -> list[Reading]:
    """The rows of each question and Reasoner, and those of each run in use by itself."""
    readings: dict[tuple[str, ...], Reading] = {}
    for row in rows:
        question = (row["question_key"], row["context"], row["reasoner"])
        own = () if row["origin"] in POOLED else (row["run_id"],)
        readings.setdefault(question + own, Reading(question, [])).rows.append(row)
    for reading in readings.values():
        reading.rows.sort(key=lambda row: (row["draw"] or 0, row["run_id"], row["turn"], row["id"]))
    return list(readings.values())


def weigh(readings: Sequence[Reading]) -> tuple[list[tuple[Reading, float]], Coverage]:
    """The readings that count, those with a weight above 0, with what they cover of the log."""
    judged = [reading for reading in readings if reading.judged]
    shares = Counter(reading.question for reading in judged)
    logged, known = Counter(reading.kind for reading in readings), Counter(reading.kind for reading in judged)
    weights = [logged[reading.kind] / known[reading.kind] / shares[reading.question] for reading in judged]
    for runs in _ended(judged):
        runs.stand_in(weights)
    ended = _ended(readings)
    coverage = Coverage(
        explored=sum(len(runs.explored) for runs in ended),
        censored=sum(len(runs.censored) for runs in ended),
        unexplored=sum(len(runs.censored) for runs in ended if not runs.explored),
        left_out=len(readings) - len(judged),
        unlike=sum(count for kind, count in logged.items() if not known[kind]),
    )
    return [(reading, weight) for reading, weight in zip(judged, weights, strict=True) if weight > 0], coverage


def weigh_rows(rows: Sequence[Behavior]) -> dict[str, float]:
    """What each row counts by itself, by its id, so that all stand for the attempts of runs logged to their end.

    A row up to the end of its run would be there whether or not the run explored, so those of cut-off runs count,
    too. A row after it stands for those that were cut off: it has the weight that its run has in `weigh`. Whether a row
    has a label makes no difference: an attempt can be calibrated on without the rest of its run. Distilled draws count
    one each, and where runs in use share a question, their rows do.
    """
    readings = read_rows(rows)
    shares = Counter(reading.question for reading in readings)
    before = [1.0 / shares[reading.question] for reading in readings]
    after = list(before)
    for runs in _ended(readings):
        runs.stand_in(after)
    return {
        row["id"]: (after if row["origin"] == "explored" else before)[place]
        for place, reading in enumerate(readings)
        for row in reading.rows
    }


def _ended(readings: Sequence[Reading]) -> list[_Ended]:
    """By Reasoner and kind of end: what explored stands for what was cut off of the same one, in the same way."""
    alike: dict[tuple[str, Verdict | None], _Ended] = {}
    last_turns: dict[str, float] = {}
    for place, reading in enumerate(readings):
        rate, reasoner = reading.explore, reading.question[-1]
        if rate is not None:
            alike.setdefault((reasoner, reading.ended_by), _Ended({}, [])).explored[place] = rate
            last_turns[reasoner] = max(last_turns.get(reasoner, 0), reading.rows[-1]["turn"])
    for place, reading in enumerate(readings):
        reasoner = reading.question[-1]
        if reading.explore is None and reading.ended_at < last_turns.get(reasoner, math.inf):
            alike.setdefault((reasoner, reading.ended_by), _Ended({}, [])).censored.append(place)
    return list(alike.values())
