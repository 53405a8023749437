"""What a DM's scores are worth over the runs of an evaluation."""

from collections.abc import Mapping, Sequence

from drr_agent.dm.protocol import DiscriminativeModel, ScoreRequest
from drr_agent.evaluation.outcomes import scored_attempts
from drr_agent.evaluation.report import DMResult
from drr_agent.evaluation.summary import summarize_dm
from drr_agent.grading import Grader
from drr_agent.state import Run


def measure_dm(
    runs: Sequence[Run], dm: DiscriminativeModel, parts: Mapping[str, DiscriminativeModel], grader: Grader
) -> DMResult:
    """The DM's scores over independent draws, agreement left out, with its parts beside them."""
    kept = [
        (run, attempt)
        for run in runs
        for attempt in run["attempts"]
        if attempt["score"] is not None and grader.grade(attempt["answer"], run["target"]) is not None
    ]
    requests = [
        ScoreRequest(
            run["question"],
            attempt["rationale"],
            str(attempt["answer"]),
            run["context"],
            attempt["signals"],
            run["reasoner"],
            attempt["logprobs"],
            attempt.get("spans"),
        )
        for run, attempt in kept
    ]
    beside: dict[str, list[float | None]] = {
        name: [score.score for score in part.score(requests)] for name, part in parts.items()
    }
    logits = [attempt.get("text_logit") for _, attempt in kept]
    if any(logit is not None for logit in logits):
        beside = {"text alone": logits, **beside}
    before = getattr(dm, "uncalibrated", None)
    return summarize_dm(
        scored_attempts(runs, grader), uncalibrated=None if before is None else before(requests), parts=beside
    )
