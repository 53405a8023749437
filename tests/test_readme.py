"""What the README shows runs, and what it names exists."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from fakes import ScriptedChatModel, TableDM
from langgraph.graph import START, MessagesState, StateGraph

from drr_agent.cli.commands import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_ten_lines_give_a_result(capsys):
    code = blocks("python")[0]
    assert len([line for line in code.splitlines() if line]) <= 10
    exec(code, {})
    answer, turns = capsys.readouterr().out.splitlines()
    assert answer.split()[-1] in {"accepted", "max_turns"}
    assert turns.startswith("[(")


def test_the_subgraph_runs_in_a_host(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    host = StateGraph(MessagesState)
    model = ScriptedChatModel(replies=["Answer: 3", "Answer: 4"])
    exec(blocks("python")[1], {"model": model, "dm": TableDM({"3": 0.2, "4": 0.9}), "host": host, "Path": Path})
    host.add_edge(START, "answer")
    out = host.compile().invoke({"messages": [("user", "What is 2 + 2?")]})
    assert [message.content for message in out["messages"]] == ["What is 2 + 2?", "Answer: 4"]
    assert len(Path("runs.jsonl").read_text().splitlines()) == 1


def commands():
    text = "\n".join(blocks("bash"))
    lines = [*text.splitlines(), *re.findall(r"`(drr [a-z]+ [^`]*)`", README)]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("drr ")]


@pytest.mark.parametrize("arguments", commands(), ids=lambda arguments: arguments[0])
def test_every_command_is_one_the_program_takes(arguments):
    group = typer.main.get_command(app)
    with group.make_context("drr", list(arguments)) as context:
        name, command, rest = group.resolve_command(context, list(arguments))
        command.make_context(name, rest, parent=context)


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_every_target_of_make_is_there():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
