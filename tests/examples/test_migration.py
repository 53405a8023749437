"""What the page on migration shows as "after" runs, and prints what it says; each has its "before"."""

import ast
import re
from pathlib import Path

import pytest
from fakes import FunctionChatModel, ScriptedChatModel, TableDM
from langgraph.checkpoint.memory import InMemorySaver

from drr_agent import read_runs
from drr_agent.training.harvest import harvest

PAGE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()
BEFORE = re.findall(r"```python before\n(.*?)```", PAGE, re.DOTALL)
REFLECTION, JUDGE, UNSURE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
BELIEVED = {"3": 0.2, "4": 0.9}


def say(messages):
    asked = messages[-1].text
    return "yes" if "yes or no" in asked else {"3": "0.1", "4": "0.9"}[re.search(r"Answer: (\d)", asked)[1]]


def scope(table, replies=("Answer: 3", "Answer: 4")):
    names = {"model": ScriptedChatModel(replies=[*replies]), "dm": TableDM(table)}
    return {**names, "question": "What is 2 + 2?", "judge_model": FunctionChatModel(function=say)}


def said(code):
    return re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)


@pytest.mark.parametrize("code", BEFORE, ids=["reflection", "judge"])
def test_what_was_there_before_is_python(code):
    ast.parse(code)


@pytest.mark.parametrize(
    ("code", "table", "replies"),
    [
        pytest.param(REFLECTION, BELIEVED, ["Answer: 3", "Answer: 4"], id="reflection"),
        pytest.param(JUDGE, {}, ["Answer: 3", "Answer: 4"], id="the same judge"),
        pytest.param(UNSURE, {"3": 0.2, "4": 0.4}, ["Answer: 3", *["Answer: 4"] * 3], id="a judge of the unsure"),
    ],
)
def test_what_comes_after_prints_what_the_page_says(code, table, replies, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(code, scope(table, replies))
    assert capsys.readouterr().out.splitlines() == said(code)


def test_the_judges_log_is_there_to_learn_from(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(JUDGE, scope({}))
    [run] = read_runs(Path("runs.jsonl"))
    assert (run["dm"], len(run["attempts"])) == ("judge-1", 2)


def test_a_judge_that_gives_no_number_accepts_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = scope({}, ["Answer: 4"] * 4)
    exec(JUDGE, {**names, "judge_model": FunctionChatModel(function=lambda messages: "surely")})
    assert capsys.readouterr().out == "4 [None, None, None, None]\n"


def test_a_sure_answer_asks_no_judge_and_an_unsure_ones_verdict_is_harvested(capsys):
    names = scope({"3": 0.2, "4": 0.99})
    code = UNSURE.rpartition("\nprint")[0].replace(".compile()", ".compile(checkpointer=saver)")
    code = code.replace('question)]})["drr"]', 'question)]}, thread)["drr"]')
    saver, thread = InMemorySaver(), {"configurable": {"thread_id": "1"}}
    exec(code, {**(sure := names), "saver": saver, "thread": thread})
    assert harvest([saver]).behaviors[-1]["label"] is None
    unsure = scope({"3": 0.2, "4": 0.4}, ["Answer: 3", *["Answer: 4"] * 3])
    exec(code, {**unsure, "saver": saver, "thread": {"configurable": {"thread_id": "2"}}})
    assert "judge:mine" in [row["label_source"] for row in harvest([saver]).behaviors]
    assert len(sure["model"].asked) == 2
