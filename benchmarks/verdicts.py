"""What a replay says to somebody who wonders whether to switch the loop on."""

from collections.abc import Mapping, Sequence

from benchmarks.resplits import Study
from drr_agent.dm.fusion import Inputs
from drr_agent.dm.protocol import Score, ScoreRequest
from drr_agent.errors import DataError
from drr_agent.replay import ReplayConfig, replay
from drr_agent.stopping import StoppingPolicy
from drr_agent.training.behaviors import to_request


class KnownDM:
    """A DM whose scores are known."""

    digest = "0" * 12
    consensus = None

    def __init__(self, study: Study, kind: Inputs) -> None:
        """One of the kinds of a study."""
        rows = [row for part in study.parts.values() for row in part if row["id"] in study.scores[kind]]
        self._scores = {_said(to_request(row)): study.scores[kind][row["id"]] for row in rows}
        self.stopping = StoppingPolicy(model=study.models[kind])

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """The scores of attempts of the study."""
        return [self._scores[_said(request)] for request in requests]


def _said(request: ScoreRequest) -> tuple[str, str, str | None]:
    return request.question, request.rationale, request.answer


def print_verdicts(studies: Mapping[str, Sequence[Study]], max_turns: int) -> None:
    """The verdict of the first resplit of each Reasoner, on the questions that nothing was fitted to."""
    print("\n| Reasoner | DM | verdict |\n|---|---|---|")
    for reasoner, (study, *_) in studies.items():
        for kind in study.scores:
            print(f"| {reasoner} | {kind} | {_verdict(study, kind, max_turns)} |", flush=True)


def _verdict(study: Study, kind: Inputs, max_turns: int) -> str:
    config = ReplayConfig(max_turns=max_turns, progress=False)
    try:
        return str(
            replay(
                study.parts["test"], KnownDM(study, kind), choose_on=study.parts["calibration"], config=config
            ).verdict
        )
    except DataError as error:
        return f"none: {error}"
