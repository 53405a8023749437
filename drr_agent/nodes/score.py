"""Score: the draft to the DM, draft and score to an attempt."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

from langchain_core.runnables import Runnable, RunnableLambda

from drr_agent.batching import Batcher
from drr_agent.dm.protocol import DiscriminativeModel, Score, ScoreRequest
from drr_agent.errors import DMError
from drr_agent.events import tell_score
from drr_agent.parsing import clean_text
from drr_agent.policy import first_ended
from drr_agent.redaction import redact
from drr_agent.runs import RunLog
from drr_agent.signals import Signal, SignalInput, compute_signals
from drr_agent.state import Attempt, Draft, DRRState, Usage, add_usage


class ScoreUpdate(TypedDict):
    """What `score` writes."""

    drr_draft: None
    drr_attempts: list[Attempt]


@dataclass(frozen=True, kw_only=True)
class ScoreNode:
    """Scores one draft. Concurrent runs share the DM's batches, and the event loop never waits for it."""

    batcher: Batcher[ScoreRequest, Score] | None
    """The DM behind a batcher; `None` scores nothing."""
    signals: Mapping[str, Signal]
    failures: tuple[type[Exception], ...]
    """Errors of the DM that leave an attempt unscored instead of ending the run."""
    run_log: RunLog | None

    def as_node(self) -> Runnable[DRRState, ScoreUpdate]:
        """The node, for `invoke` and `ainvoke` alike."""

        def score(state: DRRState) -> ScoreUpdate:
            attempt, request = self._prepare(state)
            if request is None or self.batcher is None:
                return self._record(state, attempt)
            try:
                scored = _checked(self.batcher.submit(request).result())
            except self._failures(state) as error:
                return self._record(state, _unscored(attempt, error))
            return self._record(state, _scored(attempt, scored))

        async def ascore(state: DRRState) -> ScoreUpdate:
            attempt, request = self._prepare(state)
            if request is None or self.batcher is None:
                return await self._arecord(state, attempt)
            try:
                scored = _checked(await asyncio.wrap_future(self.batcher.submit(request)))
            except self._failures(state) as error:
                return await self._arecord(state, _unscored(attempt, error))
            return await self._arecord(state, _scored(attempt, scored))

        return RunnableLambda(score, ascore, name="score")

    def _failures(self, state: DRRState) -> tuple[type[Exception], ...]:
        """Errors of the DM that leave the attempt unscored."""
        return (*self.failures, *_spared(state))

    def _signals(self, state: DRRState, draft: Draft) -> dict[str, float | None]:
        given = SignalInput(question=state["drr_start"]["question"], draft=draft, attempts=state["drr_attempts"])
        try:
            return compute_signals(self.signals, given)
        except _spared(state):
            return dict.fromkeys(self.signals)

    def _prepare(self, state: DRRState) -> tuple[Attempt, ScoreRequest | None]:
        """The attempt without its score, and what to ask the DM; nothing for a draft without an answer."""
        start, draft, attempts = state["drr_start"], state["drr_draft"], state["drr_attempts"]
        if draft is None:
            raise RuntimeError("`score` ran before `think`: the graph's edges were changed")
        attempt = _as_attempt(draft, turn=len(attempts) + 1, signals=self._signals(state, draft))
        if draft["answer"] is None:
            return attempt, None
        request = ScoreRequest(
            question=start["question"],
            rationale=draft["rationale"],
            answer=draft["answer"],
            context=start["context"],
            signals=attempt["signals"],
            reasoner=start["identity"]["reasoner"] if "identity" in start else None,
            logprobs=draft["logprobs"],
            spans=draft.get("spans"),
        )
        return attempt, request

    async def _arecord(self, state: DRRState, attempt: Attempt) -> ScoreUpdate:
        """`_record`; only the write of a journal leaves the event loop."""
        if self.run_log is None or not self.run_log.journal:
            return self._record(state, attempt)
        return await asyncio.to_thread(self._record, state, attempt)

    def _record(self, state: DRRState, attempt: Attempt) -> ScoreUpdate:
        if self.run_log is not None:
            start = state["drr_start"]
            self.run_log.journal_attempt(
                {
                    "run_id": start["run_id"],
                    "question": start["question"],
                    "assignment": {**start["assignment"], "prior": []},
                    "attempt": attempt,
                }
            )
        tell_score(attempt)
        return {"drr_draft": None, "drr_attempts": [*state["drr_attempts"], attempt]}


def _spared(state: DRRState) -> tuple[type[Exception], ...]:
    """Errors that end no run: any, in one that is ended and only explores; none is worth its answer."""
    return () if first_ended(state["drr_attempts"]) is None else (Exception,)


def _as_attempt(draft: Draft, *, turn: int, signals: dict[str, float | None]) -> Attempt:
    judged = {"logit": None, "score": None, "score_error": None, "verdict": None}
    return cast("Attempt", {**draft, "turn": turn, "signals": signals, **judged})


def scorer(dm: DiscriminativeModel) -> Callable[[Sequence[ScoreRequest]], Sequence[Score]]:
    """The DM's `score`, held to one result a request."""

    def score(requests: Sequence[ScoreRequest]) -> Sequence[Score]:
        scores: Any = dm.score(requests)
        if not isinstance(scores, Sequence) or len(scores) != len(requests):
            found = f"{len(scores)} of them" if isinstance(scores, Sequence) else type(scores).__name__
            raise DMError(f"a DM must give a sequence of {len(requests)} `Score`s, one a request, got {found}; mend it")
        return scores

    return score


def _checked(score: Any) -> Score:
    """A DM's score as plain numbers, if it is a probability, its logit a number and its usage complete."""
    if not isinstance(score, Score):
        raise DMError(f"a DM must give a `Score` a request, got {score!r:.100}; wrap the probability in `Score(…)`")
    value = _finite(score.score)
    if value is None or not 0.0 <= value <= 1.0:
        raise DMError(f"a DM must give a probability in [0, 1], got {score.score!r}; check its weights and calibration")
    logits = [None if given is None else _finite(given) for given in (score.logit, score.text_logit)]
    if (logits[0] is None) != (score.logit is None) or (logits[1] is None) != (score.text_logit is None):
        raise DMError(f"a DM must give a finite logit or None, got {score.logit!r}; check its weights")
    if score.usage is not None and not _is_usage(score.usage):
        wanted = ", ".join(sorted(Usage.__required_keys__))
        raise DMError(f"a DM must give as usage None or whole numbers for {wanted}, got {score.usage!r}; add the rest")
    return Score(value, logits[0], score.usage, logits[1])


def _finite(value: Any) -> float | None:
    """A number of any library as a float; `None` for what is no finite number, a text of digits included."""
    if isinstance(value, str | bytes | bytearray):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _is_usage(usage: Any) -> bool:
    return isinstance(usage, Mapping) and all(isinstance(usage.get(key), int) for key in Usage.__required_keys__)


def _scored(attempt: Attempt, score: Score) -> Attempt:
    usage = attempt["usage"] if score.usage is None else add_usage([attempt["usage"], score.usage])
    scored: Attempt = {**attempt, "score": score.score, "logit": score.logit, "usage": usage}
    if score.text_logit is not None:
        scored["text_logit"] = score.text_logit
    return scored


def _unscored(attempt: Attempt, error: Exception) -> Attempt:
    return {**attempt, "score_error": clean_text(redact(f"{type(error).__name__}: {error}"))}
