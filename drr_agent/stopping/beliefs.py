"""P(right) of each distinct answer of a run so far: the DM's word and the agreement of attempts, fused."""

from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from drr_agent.dm.calibration import IsotonicCalibration, SigmoidCalibration, apply_calibration
from drr_agent.dm.fusion import Fusion
from drr_agent.grading import Grader
from drr_agent.state import Attempt
from drr_agent.stopping.answers import OF_BEST, Candidate, Facts, read_answers

Floats = npt.NDArray[np.float64]


_AS_IT_IS = SigmoidCalibration(kind="temperature", slope=1.0, intercept=0.0)


class Belief(NamedTuple):
    """What is believed of a run so far."""

    choice: int | None
    """Index of the attempt that stands for the most probable answer; `None` while there is none to believe in."""
    best: float
    """P(that answer is right); 0 without one."""
    second: float
    """P(the next best answer is right); 0 without one."""


class AnswerModel(BaseModel):
    """A calibrated sum of terms over an answer's facts and its best attempt's signals, as plain numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fusion: Fusion
    calibration: Annotated[SigmoidCalibration | IsotonicCalibration, Field(discriminator="kind")] | None = None
    """Where it is used on questions of another kind than those it was fitted on."""

    @property
    def names(self) -> tuple[str, ...]:
        """The facts and signals it reads."""
        return tuple(term.name for term in self.fusion.signals)

    @property
    def needs_scores(self) -> bool:
        """Whether it was learned with scores, so that an answer without one is not to be believed."""
        return "best" in self.names

    def believe(self, attempts: Sequence[Attempt], grader: Grader) -> Belief:
        """The two most probable answers of a run so far."""
        candidates = [one for one in read_answers(attempts, grader) if self.may_judge(one)]
        if not candidates:
            return Belief(None, 0.0, 0.0)
        probabilities = self.probabilities(_columns(candidates, attempts, self.names))
        best = int(np.argmax(probabilities))  # the better-supported of equals
        second = max(np.delete(probabilities, best), default=0.0)
        return Belief(candidates[best].choice, float(probabilities[best]), float(second))

    def may_judge(self, candidate: Candidate) -> bool:
        """Whether enough is known of an answer."""
        return candidate.facts.best is not None or not self.needs_scores

    def probabilities(self, columns: Mapping[str, Floats]) -> Floats:
        """P(right) of each answer by itself, from a column a name with NaN for what is missing; shape (n,).

        Those of one run need not add up to at most one.
        """
        return apply_calibration(self.calibration or _AS_IT_IS, self.fusion.fuse_columns(columns))


def _columns(candidates: Sequence[Candidate], attempts: Sequence[Attempt], names: Sequence[str]) -> dict[str, Floats]:
    table = np.array([one.facts for one in candidates], dtype=np.float64)
    signals = [attempts[one.choice]["signals"] for one in candidates]
    wanted = [name.removeprefix(OF_BEST) for name in names if name.startswith(OF_BEST)]
    read = {OF_BEST + name: np.array([found.get(name) for found in signals], dtype=np.float64) for name in wanted}
    return {**dict(zip(Facts._fields, table.T, strict=True)), **read}
