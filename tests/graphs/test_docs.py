"""What the pages on streaming and budgets show runs, and what they list is complete."""

import re
from pathlib import Path
from typing import get_args

import pytest
from fakes import ScriptedChatModel, TableDM
from langchain_core.messages import AIMessage

from drr_agent import create_drr_graph
from drr_agent.events import Event
from drr_agent.state import BudgetLimit

STREAMING, BUDGETS = (
    (Path(__file__).parents[2] / "docs" / name).read_text() for name in ("streaming.md", "budgets.md")
)
HIDDEN, CHANNEL, HOST = re.findall(r"```python\n(.*?)```", STREAMING, re.DOTALL)
RUN, USD, THREAD = re.findall(r"```python\n(.*?)```", BUDGETS, re.DOTALL)
USAGE = {"input_tokens": 100, "output_tokens": 25, "total_tokens": 125}


def scope(*answers):
    replies = [AIMessage(f"Answer: {answer}", usage_metadata=USAGE) for answer in answers]
    dm = TableDM({"3": 0.2, "4": 0.9, "5": 0.4})
    return {
        "model": ScriptedChatModel(replies=replies),
        "dm": dm,
        "question": "What is 2 + 2?",
        "create_drr_graph": create_drr_graph,
    }


EVENTS = [f"drr.{node} {turn}" for turn in (1, 2) for node in ("think", "score", "decide")]


@pytest.mark.parametrize(
    ("code", "answers", "printed"),
    [
        pytest.param(HIDDEN, "34", [*EVENTS, "Answer: 4"], id="hidden"),
        pytest.param(CHANNEL, "34", ["1 Answer: 3", "2 Answer: 4", "answer: Answer: 4"], id="channel"),
        pytest.param(HOST, "4", [*["custom answer"] * 3, "messages answer"], id="host"),
        pytest.param(RUN, "533", ["5 budget tokens 2"], id="a run"),
        pytest.param(USD, "4", ["3.5e-05"], id="usd"),
        pytest.param(THREAD, "3333", ["3 max_turns None", "3 budget thread", "None budget thread"], id="a thread"),
    ],
)
def test_what_the_pages_show(code, answers, printed, capsys):
    exec(code, scope(*answers))
    assert capsys.readouterr().out.splitlines() == printed


def rows():
    return {cells[0].strip(" `"): cells[2] for line in STREAMING.splitlines() if (cells := line.split("|")[1:])}


@pytest.mark.parametrize("event", get_args(Event), ids=lambda event: event.__name__)
def test_every_event_is_listed_with_its_fields(event):
    (kind,) = get_args(event.__annotations__["type"])
    listed = set(re.findall(r"`(\w+)`", rows()[kind]))
    assert event.__annotations__.keys() - {"type", "turn"} <= listed


@pytest.mark.parametrize("limit", get_args(BudgetLimit))
def test_every_limit_is_named(limit):
    assert f"`{limit}`" in BUDGETS
