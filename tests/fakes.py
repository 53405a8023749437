"""Strict stand-ins: each fails loudly when it is used in a way the test did not plan."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from drr_agent.dm.protocol import Score, ScoreRequest
from drr_agent.state import NO_USAGE, RUN_SCHEMA, Attempt, Run, add_usage


class ScriptedChatModel(BaseChatModel):
    """Gives its replies in order: a text, a message, or an error to raise. Runs out loudly."""

    replies: list[Any]
    _asked: list[list[BaseMessage]] = PrivateAttr(default_factory=list)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def asked(self) -> list[list[BaseMessage]]:
        """The messages of every call, in order."""
        return self._asked

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._lock:
            self._asked.append(messages)
            count = len(self._asked)
        if count > len(self.replies):
            raise AssertionError(f"Reasoner asked {count} times, {len(self.replies)} replies scripted")
        reply = self.replies[count - 1]
        if isinstance(reply, BaseException):
            raise reply
        message = reply if isinstance(reply, AIMessage) else AIMessage(reply)
        return ChatResult(generations=[ChatGeneration(message=message.model_copy())])


class FunctionChatModel(BaseChatModel):
    """Replies by a function of the messages, for tests in which the order of calls is free."""

    function: Callable[[list[BaseMessage]], str | AIMessage]

    @property
    def _llm_type(self) -> str:
        return "function"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._reply(self.function(messages))

    def _reply(self, reply: str | AIMessage) -> ChatResult:
        message = reply if isinstance(reply, AIMessage) else AIMessage(reply)
        return ChatResult(generations=[ChatGeneration(message=message)])


class TableDM:
    """Scores an answer by a table; an answer that is not in it fails the test."""

    digest = "table0000000"

    def __init__(self, table: Mapping[str, float]) -> None:
        self.table = table
        self.requests: list[ScoreRequest] = []
        self.batches: list[int] = []

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        self.requests += requests
        self.batches.append(len(requests))
        return [Score(self.table[request.answer]) for request in requests]


class FailingDM:
    """Raises what it was given."""

    digest = "failing00000"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        raise self.error


def make_attempt(answer: str | None = "1", score: float | None = None, **changes: Any) -> Attempt:
    """An attempt with plain values."""
    attempt: Attempt = {
        "rationale": "because",
        "answer": answer,
        "truncated": False,
        "logprobs": None,
        "feedback": "fresh",
        "error": None,
        "usage": {"calls": 1, "unmetered_calls": 0, "input_tokens": 10, "output_tokens": 5},
        "seconds": 0.0,
        "turn": 1,
        "signals": {},
        "logit": None,
        "score": score,
        "score_error": None,
        "verdict": None,
    }
    return {**attempt, **changes}  # type: ignore[typeddict-item]


def make_run(run_id: str = "r1", attempts: Sequence[Attempt] | None = None, **changes: Any) -> Run:
    """A run that ended in one accepted, unlabelled attempt unless told otherwise."""
    kept = [make_attempt("4", 0.9)] if attempts is None else list(attempts)
    run: Run = {
        "schema": RUN_SCHEMA,
        "run_id": run_id,
        "started_at": "2026-01-01T00:00:00.000+00:00",
        "question": "2 + 2?",
        "context": "",
        "answer": "4",
        "score": 0.9,
        "accepted": True,
        "stop_reason": "accepted",
        "choice": 0,
        "attempts": kept,
        "usage": add_usage([attempt.get("usage", NO_USAGE) for attempt in kept]),
        "seconds": 0.1,
        "reasoner": "scripted",
        "dm": None,
        "prompts": "p",
        "policy": "ThresholdPolicy()",
        "origin": "live",
        "sample_id": None,
        "target": None,
        "draw": None,
    }
    return {**run, **changes}  # type: ignore[typeddict-item]


def graded_run(*answers: str | None, target: str | None = "1", sample: str = "s1", **changes: Any) -> Run:
    """A run with a target whose last attempt is the chosen one; the right answer is `1` unless told otherwise."""
    attempts = [make_attempt(answer, turn=turn) for turn, answer in enumerate(answers, start=1)]
    graded = {
        "attempts": attempts,
        "question": f"What is {sample}?",
        "answer": answers[-1] if answers else None,
        "score": None,
        "accepted": False,
        "stop_reason": "max_turns",
        "choice": len(answers) - 1 if answers else None,
        "seconds": 0.5,
        "sample_id": sample,
        "target": target,
        "draw": 0,
    }
    return make_run(f"run-{sample}", **{**graded, **changes})
