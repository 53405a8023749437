"""What the page on the middleware shows runs."""

import re
from pathlib import Path

import pytest
from fakes import TableDM
from langchain.agents import create_agent
from middleware.agents import AgentModel, ask, lookup

from drr_agent.middleware import DRRMiddleware

PAGE = (Path(__file__).parents[2] / "docs" / "middleware.md").read_text()
FIRST, STREAM, STRUCTURED, PLACES, RUNS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
EVENTS = ["drr.think 1", "drr.score 1", "drr.decide 1", "drr.think 2", "drr.score 2", "drr.decide 2"]


@pytest.fixture
def scope(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, dm = AgentModel(replies=["3", "4"]), TableDM({"3": 0.2, "4": 0.9})
    return {
        "model": model,
        "dm": dm,
        "tools": [lookup],
        "question": "What is 2 + 2?",
        "create_agent": create_agent,
        "DRRMiddleware": DRRMiddleware,
        "agent": create_agent(model, [lookup], middleware=[DRRMiddleware(dm=dm)]),
    }


def test_the_agent_answers(scope, capsys):
    exec(FIRST, scope)
    assert capsys.readouterr().out == "4\n"


def test_the_stream_shows_events_and_one_answer(scope, capsys):
    exec(STREAM, scope)
    assert capsys.readouterr().out.splitlines() == [*EVENTS, "4"]


def test_a_structured_answer(scope, capsys):
    scope["model"] = AgentModel(replies=[ask("Sum", f"c{n}", rationale="adding", answer=n) for n in (3, 4)])
    exec(STRUCTURED, scope)
    assert capsys.readouterr().out == "4\n"


def test_its_place_in_the_list(scope):
    exec(PLACES, scope)
    result = scope["agent"].invoke({"messages": [("user", scope["question"])]})
    assert [message.text for message in result["messages"]] == ["What is 2 + 2?", "3", "4"]


def test_runs_are_kept(scope, capsys):
    exec(RUNS, scope)
    assert capsys.readouterr().out == "accepted [('3', 0.2), ('4', 0.9)]\n"
    assert '"reasoner":"support agent v2"' in Path("runs.jsonl").read_text().replace(": ", ":")
