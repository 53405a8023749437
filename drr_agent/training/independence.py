"""Independence: a log made into rows that do not depend on each other, and count alike."""

import hashlib
import math
from collections.abc import Collection, Sequence

import numpy as np

from drr_agent.errors import DataError
from drr_agent.questions import unit_of
from drr_agent.training.behaviors import Behavior, is_labelled
from drr_agent.training.logged import LabelledQuestion, units_of

_INDEPENDENT = frozenset({"first", "fresh", "no_answer"})
"""How attempts are asked for that know nothing of those rejected before."""


def halves(rows: Sequence[Behavior]) -> tuple[list[Behavior], list[Behavior]]:
    """The rows of half of the questions, to fit with, and those of the other half, to certify with."""
    parts: tuple[list[Behavior], list[Behavior]] = ([], [])
    for row in rows:
        parts[_uniform("half", unit_of(row["question_key"])) < 0.5].append(row)
    return parts


def untrained(rows: Sequence[Behavior], trained: Collection[str]) -> list[Behavior]:
    """The rows whose question, or one nearly the same, is not among those that a DM was trained on.

    Args:
        rows: any.
        trained: question keys.
    """
    known = {unit_of(key) for key in trained}
    return [row for row in rows if unit_of(row["question_key"]) not in known]


def labelled_units(rows: Sequence[Behavior]) -> int:
    """How many questions have a label, those nearly the same counted once."""
    return len({unit_of(row["question_key"]) for row in rows if is_labelled(row)})


def one_run_each(questions: Sequence[LabelledQuestion]) -> list[LabelledQuestion]:
    """Independent runs that count alike: one a question, whichever Reasoner or context it came with.

    Questions nearly the same are one, too. Of the runs at a question one is taken with a probability by its weight, and
    the question is kept with a probability by what its runs weigh together, over the most that any do. Draws of a
    Reasoner that knew of no rejection are one run in the order of the log; of draws that are sequences of their own one
    is taken. All by stable hashes.
    """
    groups: dict[str | int, list[LabelledQuestion]] = {}
    for unit, question in zip(units_of(questions), questions, strict=True):
        groups.setdefault(unit, []).append(question)
    weights = {
        key: math.fsum(run.weight for run in group) / len({run.key for run in group}) for key, group in groups.items()
    }
    most = max(weights.values(), default=1.0)
    kept = [(key, group) for key, group in groups.items() if _uniform("keep", key) * most < weights[key]]
    return [_one_sequence(_take(group, _uniform("run", key)), _uniform("draw", key)) for key, group in kept]


def _take(group: Sequence[LabelledQuestion], drawn: float) -> LabelledQuestion:
    sums = np.cumsum([run.weight for run in group])
    return group[min(int(np.searchsorted(sums, drawn * sums[-1], side="right")), len(group) - 1)]


def _one_sequence(run: LabelledQuestion, drawn: float) -> LabelledQuestion:
    if run.draws is None or all(attempt["feedback"] in _INDEPENDENT for attempt in run.attempts):
        return run
    draws = list(dict.fromkeys(run.draws))
    places = [place for place, draw in enumerate(run.draws) if draw == draws[int(drawn * len(draws))]]
    return run._replace(
        attempts=[run.attempts[place] for place in places],
        labels=[run.labels[place] for place in places],
        draws=[run.draws[place] for place in places],
    )


def _uniform(purpose: str, key: object) -> float:
    """A number in [0, 1) that depends on nothing else."""
    return int(hashlib.sha256(f"certify:{purpose}:{key}".encode()).hexdigest()[:12], 16) / 2**48


def require_untrained(rows: Sequence[Behavior], trained: Collection[str]) -> None:
    """Refuse questions that a DM was trained on, or that are nearly the same.

    Raises:
        DataError: says how many.
    """
    asked, fresh = ({unit_of(row["question_key"]) for row in part} for part in (rows, untrained(rows, trained)))
    if asked != fresh:
        raise DataError(
            f"expected questions to certify with that the DM was not trained on, got {len(asked - fresh)} of "
            f"{len(asked)} that it was, or that are nearly the same; leave them out, or give another split or log"
        )
