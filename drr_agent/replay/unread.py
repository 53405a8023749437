"""Signals that a DM reads and that a log does not have, though it could: scores of its attempts are worse for it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.dm.terms import Term
from drr_agent.replay.worth import fusion_of
from drr_agent.signals.logprobs import LOGPROB_SIGNALS
from drr_agent.stopping import StoppingModel
from drr_agent.stopping.answers import OF_BEST
from drr_agent.training.behaviors import Behavior


class Unread(NamedTuple):
    """Signals that no attempt of a log has, and whose absence is the log's and not the attempts'."""

    by_dm: list[str]
    """Those that the DM reads."""
    by_stopping: list[str]
    """Those that only the answers model of a stopping policy reads, of each answer's best attempt."""

    @classmethod
    def of(
        cls, rows: Sequence[Behavior], dm: DiscriminativeModel | None, stopping: Iterable[StoppingModel] = ()
    ) -> Self:
        """Those that a DM and what stopping policies have learned read."""
        fusion = fusion_of(dm)
        by_dm = {term.name: term for term in fusion.signals} if fusion else {}
        terms = {term.name: term for model in stopping for term in model.answers.fusion.signals}
        by_best = {name.removeprefix(OF_BEST): term for name, term in terms.items() if name.startswith(OF_BEST)}
        return cls(
            [name for name, term in by_dm.items() if _lacks(rows, term, name)],
            [name for name, term in by_best.items() if name not in by_dm and _lacks(rows, term, name)],
        )


def _lacks(rows: Sequence[Behavior], term: Term, name: str) -> bool:
    """Whether a signal is missing in all rows for want of what it is read from.

    One that some attempts of the training lacked, too, such as a confidence that few of them state, may be missing by
    right; what its absence means was learned. How many lacked it, a DM does not say.
    """
    if any(row["signals"].get(name) is not None for row in rows):
        return False
    always, looked_for = term.missing == 0.0, any(name in row["signals"] for row in rows)
    return always or not looked_for or (name in LOGPROB_SIGNALS and not any(row["logprobs"] for row in rows))
