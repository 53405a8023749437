"""Two graphs for a LangGraph server: the loop alone, and an agent around it whose callers set it by JSON.

What is heavy (Reasoner and DM) is built once, when the server loads this file. What differs from run to run comes as
`context`: {"threshold": 0.9, "max_turns": 2, "review_below": 0.4}.
"""

import os
from functools import lru_cache
from typing import Literal

from langchain_core.runnables import Runnable, RunnableLambda
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import Runtime, get_runtime
from langgraph.types import Command, interrupt
from pydantic import BaseModel, ConfigDict, Field

from drr_agent import Run, ThresholdPolicy, create_drr_graph, create_reasoner, load_dm
from drr_agent.graphs.drr import DRRGraph

reasoner = create_reasoner(os.environ.get("DRR_REASONER", "pocket"), logprobs=True)
dm = load_dm(os.environ.get("DRR_DM", "pocket"))
drr = create_drr_graph(reasoner, dm)


class Settings(BaseModel):
    """What a caller may set for one run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(default=0.8, ge=0, le=1)
    max_turns: int = Field(default=4, ge=1, le=16)
    review_below: float = Field(default=0.0, ge=0, le=1)


class Review(BaseModel):
    """What a reviewer sends to resume."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["correct", "incorrect"]


class State(MessagesState):
    """The conversation, and the last run."""

    drr: Run


@lru_cache(maxsize=64)
def loop(threshold: float, max_turns: int) -> DRRGraph:
    """The loop under these settings; it shares Reasoner and DM with all others."""
    return create_drr_graph(reasoner, dm, policy=ThresholdPolicy(threshold=threshold), max_turns=max_turns)


def chosen_loop(runtime: Runtime[Settings]) -> DRRGraph:
    """Without a context the defaults."""
    settings = runtime.context or Settings()
    return loop(settings.threshold, settings.max_turns)


def answer() -> Runnable[State, State]:
    """The loop as a node that looks up its settings, for `invoke` and `ainvoke` alike."""

    def run(state: State) -> State:
        return chosen_loop(get_runtime(Settings)).invoke({"messages": state["messages"]})

    async def arun(state: State) -> State:
        return await chosen_loop(get_runtime(Settings)).ainvoke({"messages": state["messages"]})

    return RunnableLambda(run, arun, name="answer")


def check(state: State, runtime: Runtime[Settings]) -> Command[Literal["review", "__end__"]]:
    """An unsure answer goes to a human."""
    settings, score = runtime.context or Settings(), state["drr"]["score"]
    unsure = not state["drr"]["accepted"] and (score is None or score < settings.review_below)
    return Command(goto="review" if unsure and settings.review_below > 0 else END)


def review(state: State) -> dict[str, Run]:
    """Wait for a human; the verdict is a label that `drr harvest` finds."""
    run = state["drr"]
    asked = {"question": run["question"], "answer": run["answer"], "score": run["score"]}
    verdict = interrupt(asked, response_schema=Review).verdict
    label = {"turn": None, "value": verdict, "source": "human:review", "at": None}
    return {"drr": {**run, "labels": [label]}}


builder = StateGraph(State, context_schema=Settings)
builder.add_node("answer", answer())
builder.add_node(check)
builder.add_node(review)
builder.add_edge(START, "answer")
builder.add_edge("answer", "check")
agent = builder.compile(name="agent")
