"""Where a label comes from: a column that says so, or a grader that compares the answer with its target."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from drr_agent.columns import is_missing
from drr_agent.grading import Grader
from drr_agent.state import Label

_WORDS: dict[str, Label] = {
    **dict.fromkeys(("true", "1", "1.0", "correct", "yes"), "correct"),
    **dict.fromkeys(("false", "0", "0.0", "incorrect", "no"), "incorrect"),
}


class Labeled(NamedTuple):
    """A label and what made it; both `None` for an attempt that nobody judged."""

    label: Label | None
    source: str | None


UNLABELED = Labeled(None, None)


@dataclass(frozen=True, kw_only=True)
class Labeler:
    """Labels attempts. One without an answer has no label, whatever anybody says of it."""

    grader: Grader

    def by_target(self, answer: str | None, target: str | None) -> Labeled:
        """Grade the answer; without an answer or a target there is no label."""
        label = self.grader.grade(answer, target)
        return UNLABELED if label is None else Labeled(label, f"grader:{self.grader.name}")

    def by_column(self, answer: str | None, value: Any, column: str) -> Labeled:
        """Read a cell that says true, false, 1, 0, correct, incorrect, yes or no; any other says nothing."""
        label = None if answer is None or is_missing(value) else _WORDS.get(str(value).strip().casefold())
        return UNLABELED if label is None else Labeled(label, f"column:{column}")
