"""The target in the DM's place: while distilling, as in the paper, right and wrong are known."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from drr_agent.dm.protocol import Score, ScoreRequest
from drr_agent.errors import DataError
from drr_agent.grading import Grader
from drr_agent.policy import ThresholdPolicy
from drr_agent.state import Sample


class Oracle:
    """Scores 1 for an answer that equals its question's target, else 0.

    Args:
        samples: every question it will be asked about.
        grader: answer equality.
        setting: whatever else makes two distillations different; part of the digest.

    Raises:
        DataError: one question has two targets, so that nobody can say what is right.
    """

    def __init__(self, samples: Iterable[Sample], *, grader: Grader, setting: str = "") -> None:
        self._grader = grader
        self._setting = setting
        self._targets: dict[str, Sample] = {}
        for sample in samples:
            held = self._targets.setdefault(sample["question"], sample)
            if held["target"] != sample["target"]:
                raise DataError(
                    f"expected one target a question, got {held['target']!r} for sample {held['id']!r} and "
                    f"{sample['target']!r} for sample {sample['id']!r}, which ask the same; leave one out"
                )

    @property
    def digest(self) -> str:
        """Says that it is an oracle, then eight hex digits over its grader and setting."""
        return "oracle-" + hashlib.sha256(f"{self._grader.name}\n{self._setting}".encode()).hexdigest()[:8]

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Grade each answer against the target of its question."""
        return [Score(float(self._is_right(request))) for request in requests]

    def _is_right(self, request: ScoreRequest) -> bool:
        return self._grader.grade(request.answer, self._targets[request.question]["target"]) == "correct"


@dataclass(frozen=True, kw_only=True)
class OraclePolicy(ThresholdPolicy):
    """Accepts what the oracle calls right. Its text, which the log keeps of a policy, tells how the run was asked for.

    By default that is left out, and the text is that of a plain `ThresholdPolicy`.
    """

    threshold: float = 1.0
    asked: str = ""
    """Hex digits."""

    def __repr__(self) -> str:
        plain = repr(ThresholdPolicy(threshold=self.threshold, abstain_below=self.abstain_below))
        return plain if not self.asked else f"{plain[:-1]}, asked={self.asked!r})"

    @staticmethod
    def asked_in(text: str) -> str:
        """The `asked` of a policy by its text."""
        match = re.search(r"asked='([0-9a-f]+)'\)$", text)
        return "" if match is None else match[1]
