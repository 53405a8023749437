"""Code: the loop rejects what does not compile, and the tests that run afterwards are the label of what it accepted.

The labels are harvested from the host's checkpoints. What they teach a DM is to tell, before any test runs, which code
will pass.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from scripted import Scripted

from drr_agent import Run, Score, ScoreRequest, ThresholdPolicy, create_drr_graph
from drr_agent.training.harvest import harvest

TASKS = {
    "Write `double(x)`.": "assert double(4) == 8",
    "Write `is_leap(year)`.": "assert is_leap(2000) and not is_leap(1900)",
}
WRITTEN = [
    "```python\ndef double(x) return 2 * x\n```",
    "```python\ndef double(x):\n    return 2 * x\n```",
    "```python\ndef is_leap(year):\n    return year % 4 == 0\n```",
]


def code_in(text: str) -> str:
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    return found[1] if found else text


class Compiles:
    digest = "compiles-1"

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        return [Score(0.9 if self.compiles(code_in(request.answer)) else 0.1) for request in requests]

    def compiles(self, code: str) -> bool:
        try:
            compile(code, "answer", "exec")
        except SyntaxError:
            return False
        return True


class State(MessagesState):
    drr: Run


def run_tests(state: State) -> dict[str, Run]:
    """Run the task's tests on the code. Do that in a sandbox where the code is a model's."""
    run = state["drr"]
    program = f"{code_in(run['answer'] or '')}\n{TASKS[run['question']]}"
    passed = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, timeout=10).returncode == 0
    label = {"turn": None, "value": "correct" if passed else "incorrect", "source": "environment:tests", "at": None}
    return {"drr": {**run, "labels": [label]}}


def main() -> list[Any]:
    replies = iter(WRITTEN)

    host = StateGraph(State)
    coder = create_drr_graph(
        Scripted(reply=lambda _: next(replies)), Compiles(), policy=ThresholdPolicy(), parser="message"
    )
    host.add_node("code", coder)
    host.add_node("run_tests", run_tests)
    host.add_edge(START, "code")
    host.add_edge("code", "run_tests")
    saver = InMemorySaver()
    graph = host.compile(checkpointer=saver)
    for thread, task in enumerate(TASKS):
        graph.invoke({"messages": [("user", task)]}, {"configurable": {"thread_id": str(thread)}})
    rows = sorted(harvest([saver]).behaviors, key=lambda row: (row["question"], row["turn"]))
    for row in rows:
        print(f"{row['question']} turn {row['turn']}: {row['verdict']}, {row['label']} ({row['label_source']})")
    return rows


if __name__ == "__main__":
    main()
