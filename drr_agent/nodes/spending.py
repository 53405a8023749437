"""What a run has spent when `decide` looks, and what it is out of."""

import time
from typing import NamedTuple, NotRequired

from langgraph.managed import RemainingSteps

from drr_agent.budget import Limits, Meter
from drr_agent.events import tell_budget
from drr_agent.state import NOT_SPENT, BudgetLimit, BudgetScope, DRRState, Spent, add_usage

_STEPS_OF_A_TURN = 3
"""Think, score, decide."""


class DecideState(DRRState):
    """What `decide` reads: the graph's channels, and what LangGraph's `recursion_limit` leaves of the run."""

    drr_remaining_steps: NotRequired[RemainingSteps]


class Shortage(NamedTuple):
    """Why there is no further turn, the number of turns apart."""

    limit: BudgetLimit
    scope: BudgetScope


_NO_STEPS = Shortage("recursion", "run")


class Count(NamedTuple):
    """What a run has come to."""

    run: Spent
    meters: list[Meter]
    out_of: Shortage | None


def count(state: DecideState, limits: Limits, *, steps_of_review: int = 0) -> Count:
    """Hold what the run, and its thread with it, has spent against the limits.

    Args:
        state: of the run.
        limits: of the run and its thread.
        steps_of_review: the graph's steps that a review after the next turn would take.
    """
    run = _run(state)
    meters = limits.meters(run, _thread(state, run["seconds"]))
    due = [meter for meter in meters if state["drr_attempts"] or meter.scope == "thread"]  # a run has its first turn
    reached = next((Shortage(meter.limit, meter.scope) for meter in due if meter.is_reached), None)
    return Count(
        run, meters, reached or (None if leaves_steps(state, _STEPS_OF_A_TURN + steps_of_review) else _NO_STEPS)
    )


def tell_spending(state: DecideState, meters: list[Meter]) -> list[str]:
    """Tell of limits that are near, or that nobody can check, each once a run.

    Returns:
        What this run has told of by now.
    """
    told = [*state.get("drr_told", [])]
    for meter in meters:
        said = f"{meter.scope} {meter.limit}" + ("" if meter.is_near else " unknown")
        if said in told or (meter.known and not meter.is_near) or not state["drr_attempts"]:
            continue
        spent = meter.spent if meter.is_near else None
        tell_budget(len(state["drr_attempts"]), meter.scope, meter.limit, spent, meter.max)
        told.append(said)
    return told


def _run(state: DecideState) -> Spent:
    seconds = max(0.0, time.time() - state["drr_start"]["clock"])
    return {"usage": add_usage(attempt["usage"] for attempt in state["drr_attempts"]), "seconds": seconds}


def _thread(state: DecideState, seconds: float) -> Spent:
    """Of all runs of the thread; attempts that were made elsewhere, and given to this one, are none of theirs."""
    before = state.get("drr_thread", NOT_SPENT)
    made = state["drr_attempts"][len(state["drr_start"]["assignment"].get("prior", [])) :]
    usage = add_usage([before["usage"], *(attempt["usage"] for attempt in made)])
    return {"usage": usage, "seconds": before["seconds"] + seconds}


def leaves_steps(state: DecideState, steps: int) -> bool:
    """Whether so many steps fit into the caller's `recursion_limit`: to run over it would cost the answer."""
    remaining = state.get("drr_remaining_steps")
    return remaining is None or remaining > steps
