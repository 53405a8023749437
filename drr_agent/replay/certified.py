"""Whether the subject of a replay is what the DM's certificate is about."""

from collections.abc import Sequence

from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.evaluation.certification import Certification, Measured, certification
from drr_agent.replay.compare import Side
from drr_agent.replay.specs import VOTING
from drr_agent.training.behaviors import Behavior

_UNTOLD = frozenset({"first", "no_answer"})
"""Kinds of feedback that say nothing of what a rejected Reasoner is told."""


def certification_of(
    subject: Side, rows: Sequence[Behavior], dm: DiscriminativeModel | None, *, max_turns: int, longest: int
) -> Certification | None:
    """What the DM's certificate says; `None` without one, and of a policy that looks at no score.

    Args:
        subject: the policy in its setting.
        rows: the attempts that were replayed.
        dm: what scored them.
        max_turns: the most turns of the policy.
        longest: the most turns of the log.
    """
    family = subject.frontier.family
    if family.name in VOTING:
        return None
    told = {row["feedback"] for row in rows} - _UNTOLD
    measured = Measured(
        policy=family.at(subject.setting),
        max_turns=max_turns,
        reasoners=sorted({row["reasoner"] for row in rows}),
        prompts=sorted({row["prompts"] for row in rows}, key=str),
        feedback=sorted(told) or ["fresh"],
        logged_turns=longest if longest < max_turns else None,
    )
    return certification(dm, measured)
