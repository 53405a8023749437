"""Sample: which runs of a log certify, and how far those that somebody judged can stand for all.

A promise holds for runs like those that it was made with. Where nearly all runs are judged, those are all, and an
answer that nobody judged counts as wrong, the worst that it can be. Else it matters how the judged were chosen: the
most informative first, or those that a user complained of, are no fair sample.

One choice can be known to be fair from the rows alone. Questions in the order of their keys, which are hashes, stand in
no order at all, so the first of them are as good as drawn. That is the order in which `drr label --order random` asks.
Whatever else is judged beyond the place to which nearly all are is left out, as nobody knows why it is.

Any other choice is refused, unless the user vouches that chance made it. Even so it is refused where the scores of the
judged runs differ from those of the rest.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.questions import unit_of
from drr_agent.training.behaviors import Behavior, is_labelled, to_request
from drr_agent.training.refusal import Refusal
from drr_agent.training.weights import Reading, read_rows

MATERIAL = 0.05
"""Of a larger share of runs that nobody judged it matters how the others were chosen; a smaller one counts as wrong."""
ASSUMED = "assumed"
"""The source of a label that nobody gave."""
_CHANCE = 0.001
"""Scores that differ more than by so much of chance are taken to differ."""
_MOST_COMPARED = 2_000
"""Runs whose scores are compared, of the judged and of the others; the more, the longer it takes."""


class Sample(NamedTuple):
    """The rows that certify."""

    rows: list[Behavior]
    """With nearly all of them judged, an answer that nobody judged is labelled wrong."""
    runs: int
    """How many runs these were drawn from; one for the draws of a question."""
    unjudged: int
    """How many of these have an answer that nobody judged."""
    set_aside: int
    """Judged runs beyond those, which may have been chosen by what is in them."""

    @property
    def share(self) -> float:
        """Share of the runs that nobody judged."""
        return self.unjudged / max(1, self.runs)

    @property
    def is_chosen(self) -> bool:
        """Whether it matters how those that are judged were chosen."""
        return self.share > MATERIAL


def take_sample(rows: Sequence[Behavior], least: int) -> Sample:
    """The longest stretch in random order of which nearly all is judged; or all, where there is none.

    Args:
        rows: any.
        least: the fewest judged questions that are worth a stretch.
    """
    readings = sorted(read_rows(rows), key=lambda reading: reading.question[0])
    end = _nearly_judged(readings, least)
    if end is None:
        return Sample(list(rows), len(readings), sum(not reading.judged for reading in readings), 0)
    taken, beyond = readings[:end], readings[end:]
    return Sample(
        [_at_worst(row) for reading in taken for row in reading.rows],
        end,
        sum(not reading.judged for reading in taken),
        sum(reading.judged for reading in beyond),
    )


def _at_worst(row: Behavior) -> Behavior:
    """The row with an answer that nobody judged as a wrong one; a weak label is no judgment."""
    unknown = row["answer"] is not None and not is_labelled(row)
    return {**row, "label": "incorrect", "label_source": ASSUMED} if unknown else row


def _nearly_judged(readings: Sequence[Reading], least: int) -> int | None:
    """Where the longest such stretch ends, at a judged question; one of all the runs need not hold `least` of these."""
    found, end, judged, units = None, 0, 0, 0
    for _, unit in groupby(readings, key=lambda reading: unit_of(reading.question[0])):
        known = [reading.judged for reading in unit]
        end, judged, units = end + len(known), judged + sum(known), units + any(known)
        is_all, is_long = end == len(readings), units >= least and any(known)
        if end - judged <= MATERIAL * end and (is_all or is_long):
            found = end
    return found


def refuse_chosen(sample: Sample, dm: DiscriminativeModel, *, drawn: bool) -> Refusal | None:
    """The refusal of judged runs of which nobody knows that they are a fair sample, or that plainly are none.

    Args:
        sample: what there is.
        dm: whose scores are compared.
        drawn: whether the user vouches that the judged runs were drawn by chance.
    """
    if not sample.is_chosen:
        return None
    if _differs(sample.rows, dm):
        why = "and the others are no fair sample: their scores differ. Labels that are given to the most informative"
        why += " attempts first, or where somebody complained, say little of the rest"
    elif not drawn:
        why = "and of the others nobody can tell that chance chose them. If it did, say so (`--drawn-at-random`)"
    else:
        return None
    return Refusal(
        f"{sample.unjudged:,} of {sample.runs:,} runs have an answer that nobody judged, {why}. "
        "`drr label --order random` asks about questions as if drawn by lot.",
        None,
    )


def _differs(rows: Sequence[Behavior], dm: DiscriminativeModel) -> bool:
    """Whether the judged runs score otherwise than the others, by the test of Kolmogorov and Smirnov."""
    from scipy.stats import ks_2samp

    judged, others = _first_scores(rows, dm, judged=True), _first_scores(rows, dm, judged=False)
    return bool(judged and others) and float(ks_2samp(judged, others, method="asymp").pvalue) < _CHANCE


def _first_scores(rows: Sequence[Behavior], dm: DiscriminativeModel, *, judged: bool) -> list[float]:
    """Scores of each run's first answer, of the runs that come first in random order."""
    readings = sorted(read_rows(rows), key=lambda reading: reading.question[0])
    answered = [
        [row for row in reading.rows if row["answer"] is not None] for reading in readings if reading.judged == judged
    ]
    first = [answers[0] for answers in answered if answers][:_MOST_COMPARED]
    return [score.score for score in dm.score([to_request(row) for row in first]) if score.score is not None]
