"""Retrieval: an answer is accepted when the passages that were found bear it out.

`grounded` is a signal of our own. Here it is the whole judge; a trained DM weighs it with the 65 that ship.
"""

import re
from collections.abc import Sequence

from langgraph.graph import START, StateGraph
from scripted import Scripted
from typing_extensions import TypedDict

from drr_agent import DEFAULT_SIGNALS, Run, Score, ScoreRequest, SignalInput, ThresholdPolicy, create_drr_graph

PASSAGES = [
    "The ferry to the island leaves at 9:40 and at 17:15, except on Sundays.",
    "The museum of the island opens at 10:00 and has no entrance fee.",
    "Bicycles are taken along for 4 euro; dogs travel free.",
]


def words(text: str) -> set[str]:
    return set(re.findall(r"[\w:]{2,}", text.lower()))


def retrieve(question: str, *, most: int = 2) -> list[str]:
    """The passages that share most words with the question. Your vector store goes here."""
    return sorted(PASSAGES, key=lambda passage: -len(words(passage) & words(question)))[:most]


def grounded(given: SignalInput) -> float | None:
    """The share of the answer's words that stand in the passages; they come with the question."""
    said = words(given.draft["answer"] or "")
    return len(said & words(given.question)) / len(said) if said else None


class Grounded:
    digest = "grounded-1"

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        return [Score(request.signals.get("grounded") or 0.0) for request in requests]


class State(TypedDict, total=False):
    question: str
    passages: list[str]
    run: Run


def build(model: Scripted) -> StateGraph[State]:
    signals = {**DEFAULT_SIGNALS, "grounded": grounded}
    loop = create_drr_graph(model, Grounded(), policy=ThresholdPolicy(threshold=0.9), signals=signals)

    def answer(state: State) -> State:
        asked = "\n".join(["Answer from these passages:", *state["passages"], "", state["question"]])
        return {"run": loop.invoke({"messages": [("user", asked)]})["drr"]}

    host = StateGraph(State)
    host.add_node("retrieve", lambda state: {"passages": retrieve(state["question"])})
    host.add_node("answer", answer)
    host.add_edge(START, "retrieve")
    host.add_edge("retrieve", "answer")
    return host


def inventive() -> Scripted:
    """A model that first answers from memory, then from the passages."""
    replies = iter(["Answer: It leaves at 8:30 every day", "Answer: The ferry leaves at 9:40 and at 17:15"])
    return Scripted(reply=lambda _: next(replies))


def main() -> Run:
    run = build(inventive()).compile().invoke({"question": "When does the ferry to the island leave?"})["run"]
    for attempt in run["attempts"]:
        print(f"{attempt['verdict']}: {attempt['answer']} (grounded {attempt['signals']['grounded']:.2f})")
    return run


if __name__ == "__main__":
    main()
