"""Which attempts the classifier is to tell apart, and which of them are hard."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from drr_agent.grading import AUTO
from drr_agent.training.behaviors import Behavior


class Pairing(NamedTuple):
    """An attempt's place among those it is compared with."""

    group: int
    """The same for attempts that are compared: those at one question, by one Reasoner where it was right and wrong."""
    own: bool
    """Whether its own Reasoner has a partner for it."""
    hard: bool
    """Whether a vote is wrong about it: a wrong attempt with the answer that its Reasoner gave most often, more than
    once, or a right one with an answer that it gave less often than another."""


def pair_attempts(rows: Sequence[Behavior], *, cross_reasoner: bool) -> list[Pairing]:
    """The place of each labelled behavior, in order.

    Args:
        rows: with an answer and a label.
        cross_reasoner: compare the attempts of a Reasoner that was only right, or only wrong, at a question with those
            of other Reasoners there.
    """
    right = [row["label"] == "correct" for row in rows]
    questions: dict[str, dict[str, list[int]]] = {}
    for index, row in enumerate(rows):
        questions.setdefault(row["question_key"], {}).setdefault(row["reasoner"], []).append(index)
    places: dict[int, Pairing] = {}
    number = 0
    for reasoners in questions.values():
        units = list(reasoners.values())
        own = {row for unit in units if _is_mixed(unit, right) for row in unit}
        hard = {row for unit in units for row in _outvoted(unit, rows, right)}
        for group in _groups(units, right) if cross_reasoner else units:
            places |= {row: Pairing(number, row in own, row in hard) for row in group}
            number += 1
    return [places[index] for index in range(len(rows))]


def _groups(units: Sequence[list[int]], right: Sequence[bool]) -> list[list[int]]:
    """Rows that are compared: a Reasoner's own, and those that have no partner there with such of other Reasoners.

    The latter stand among themselves where they are right and wrong, else with the one Reasoner that has most partners
    for them, so that no right/wrong pair of a group is of two Reasoners that both have pairs of their own.
    """
    mixed = [unit for unit in units if _is_mixed(unit, right)]
    rest = [row for unit in units if not _is_mixed(unit, right) for row in unit]
    if not rest:
        return mixed
    if not mixed or _is_mixed(rest, right):
        return [*mixed, rest]
    host = max(mixed, key=lambda unit: sum(right[row] != right[rest[0]] for row in unit))
    return [unit + rest if unit is host else unit for unit in mixed]


def _is_mixed(group: Sequence[int], right: Sequence[bool]) -> bool:
    return len({right[row] for row in group}) == 2


def _outvoted(unit: Sequence[int], rows: Sequence[Behavior], right: Sequence[bool]) -> list[int]:
    """Of one Reasoner's attempts at a question, those about which its votes are wrong."""
    answers = AUTO.group([rows[row]["answer"] for row in unit])
    texts = [(rows[row]["rationale"], answer) for row, answer in zip(unit, answers, strict=True)]
    said = Counter(texts)
    votes: Counter[int | None] = Counter()
    # a copy that was left out of the training was a vote all the same
    for text, copies in {text: rows[row]["copies"] for row, text in zip(unit, texts, strict=True)}.items():
        votes[text[1]] += max(copies, said[text])
    most = max(votes.values())
    voted = [votes[answer] == most for answer in answers]
    return [row for row, first in zip(unit, voted, strict=True) if (not first if right[row] else first and most > 1)]
