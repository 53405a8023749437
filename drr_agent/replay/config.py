"""The settings of a replay."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drr_agent.evaluation.verdict import MARGIN
from drr_agent.grading import Grader
from drr_agent.policy import Policy
from drr_agent.replay.families import Family
from drr_agent.replay.readings import Orders
from drr_agent.replay.specs import ALTERNATIVES
from drr_agent.training.curve_record import Curve


@dataclass(frozen=True, kw_only=True)
class ReplayConfig:
    """What is replayed, and how."""

    policies: Sequence[str | Policy | Family] = ("drr",)
    """Those to look at; the verdict is about the first."""
    against: Sequence[str | Policy | Family] = ALTERNATIVES
    """What would be used instead; one attempt is always among them."""
    max_turns: int = 8
    orders: Orders = "shuffled"
    grader: str | Grader = "auto"
    mean_calls: float | None = None
    """The most Reasoner calls a question, on average, for settings that are chosen here; by default what adaptive
    self-consistency uses at a confidence of 0.95."""
    margin: float = MARGIN
    """The gain in accuracy that is not worth having."""
    price_in: float | None = None
    """USD per million input tokens, in place of the list price."""
    price_out: float | None = None
    resamples: int = 1_000
    seed: int = 0
    split: str = "log"
    """What the rows are called."""
    chosen_on: str = "calibration"
    """What the rows are called on which settings are chosen."""
    dataset: str | None = None
    """Where the rows are from, for the record."""
    title: str = "What policies would have done on logged attempts"
    cache: Path | None = None
    """Where scores are kept; see `score_rows`."""
    curve: Curve | None = None
    """The DM's learning curve, for the record; see `training.curve_record.read_curve`."""
    progress: bool = True
