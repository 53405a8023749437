"""Runs with a target, written down by their answers."""

from typing import Any

from fakes import make_attempt

from drr_agent.state import NO_USAGE, Run, add_usage


def graded_run(*answers: str | None, target: str | None = "1", sample: str = "s1", **changes: Any) -> Run:
    """A run whose last attempt is the chosen one; the right answer is `1` unless `target` says another."""
    choice = len(answers) - 1 if answers else None
    attempts = [make_attempt(answer, turn=turn) for turn, answer in enumerate(answers, start=1)]
    run: Run = {
        "schema": 1,
        "run_id": f"run-{sample}",
        "started_at": "2025-01-01T00:00:00Z",
        "question": f"What is {sample}?",
        "context": "",
        "answer": answers[-1] if answers else None,
        "score": None,
        "accepted": False,
        "stop_reason": "max_turns",
        "choice": choice,
        "attempts": attempts,
        "usage": add_usage([attempt["usage"] for attempt in attempts]) if attempts else NO_USAGE,
        "seconds": 0.5,
        "reasoner": "scripted",
        "dm": None,
        "prompts": "prompts00000",
        "policy": "policy",
        "origin": "live",
        "sample_id": sample,
        "target": target,
        "draw": 0,
    }
    return {**run, **changes}  # type: ignore[typeddict-item]
