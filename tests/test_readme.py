"""What the README and the other pages show runs, and what they name exists."""

import ast
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from fakes import ScriptedChatModel, TableDM
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from pydantic import PrivateAttr
from stopping.models import stopping_model

import drr_agent
from drr_agent import create_drr_graph, create_reasoner
from drr_agent.cli.commands import app
from drr_agent.reasoners import LocalReasoner
from drr_agent.state import Run
from drr_agent.stopping import StoppingPolicy
from drr_agent.training.harvest import harvest

ROOT = Path(__file__).parents[1]
PAGES = {path: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
README, HARVEST, DECISIONS = (PAGES[ROOT / name] for name in ("README.md", "docs/harvest.md", "docs/decisions.md"))


def blocks(language, page=README):
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


class SeededReasoner(LocalReasoner):
    """Draws with one seed after the other, which without seeds are random."""

    _seeds: Iterator[int] = PrivateAttr()

    def _generate(self, *args, **settings):
        return super()._generate(*args, **settings, seed=next(self._seeds))


def seeded(run):
    """`create_reasoner` of a Reasoner that draws the same in every test run."""

    def create(spec, *, logprobs):
        reasoner = create_reasoner(spec, logprobs=logprobs)
        seeded_reasoner = SeededReasoner(**{name: getattr(reasoner, name) for name in reasoner.model_fields_set})
        seeded_reasoner._seeds = itertools.count(100 * run)
        return seeded_reasoner

    return create


def test_the_ten_lines_give_a_result(capsys, monkeypatch):
    code, printed = blocks("python")[0], []
    assert len([line for line in code.splitlines() if line]) <= 10
    for run in range(8):
        monkeypatch.setattr(drr_agent, "create_reasoner", seeded(run))
        exec(code, {})
        printed.append(capsys.readouterr().out.splitlines())
    for end, attempts in printed:
        answer, score, reason = end.split()
        *rejected, accepted = ast.literal_eval(attempts)
        assert reason == "accepted"
        assert 0 <= float(score) <= 1
        assert accepted == (answer, "accept")
        assert all(verdict == "reject" for _, verdict in rejected)
    shown, shown_attempts = re.findall(r"# .*?`([^`]+)`", code)
    assert [end for end, _ in printed].count(shown) > len(printed) / 2
    assert shown_attempts in [attempts for _, attempts in printed]


def test_the_subgraph_runs_in_a_host(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    host = StateGraph(MessagesState)
    model = ScriptedChatModel(replies=["Answer: 3", "Answer: 4"])
    exec(blocks("python")[1], {"model": model, "dm": TableDM({"3": 0.2, "4": 0.9}), "host": host, "Path": Path})
    host.add_edge(START, "answer")
    out = host.compile().invoke({"messages": [("user", "What is 2 + 2?")]})
    assert [message.content for message in out["messages"]] == ["What is 2 + 2?", "Answer: 4"]
    assert len(Path("runs.jsonl").read_text().splitlines()) == 1


def test_the_learned_policy_is_set():
    dm, names = TableDM({"4": 0.3}), {"create_drr_graph": create_drr_graph}
    dm.stopping = StoppingPolicy(model=stopping_model(), worth=0.5)
    code = blocks("python", DECISIONS)[0].replace("worth=200", "worth=0.5")  # no turn is worth its price: it ends here
    scope = {**names, "dm": dm, "reasoner": ScriptedChatModel(replies=["Answer: 4"])}
    exec(code, scope)
    run = scope["graph"].invoke({"messages": [("user", "What is 2 + 2?")]})["drr"]
    assert (run["stop_reason"], run["accepted"], run["answer"]) == ("review", False, "4")


def test_a_checkpointer_is_harvested(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    saver = InMemorySaver()
    graph = create_drr_graph(ScriptedChatModel(replies=["Answer: 4"]), TableDM({"4": 0.9}), checkpointer=saver)
    graph.invoke({"messages": [("user", "What is 2 + 2?")]}, {"configurable": {"thread_id": "1"}})
    exec(blocks("python", HARVEST)[0], {"checkpointer": saver})
    assert capsys.readouterr().out == "1 [{}]\n"


def test_an_agent_is_traced_by_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"agent": ScriptedChatModel(replies=["four"])}
    exec(blocks("python", HARVEST)[1], names)
    names["agent"].invoke("What is 2 + 2?")
    [row] = harvest(["traces.jsonl"]).behaviors
    assert (row["question"], row["answer"], row["origin"]) == ("What is 2 + 2?", "four", "traced")


def test_a_review_in_a_host_is_a_label(tmp_path):
    names = {"interrupt": interrupt}
    exec(blocks("python", HARVEST)[2], names)
    saver, host = InMemorySaver(), StateGraph(HostState)
    host.add_node("answer", create_drr_graph(ScriptedChatModel(replies=["Answer: 4"]), TableDM({"4": 0.9})))
    host.add_node("review", names["review"])
    host.add_edge(START, "answer")
    host.add_edge("answer", "review")
    graph, config = host.compile(checkpointer=saver), {"configurable": {"thread_id": "1"}}
    graph.invoke({"messages": [("user", "What is 2 + 2?")]}, config)
    graph.invoke(Command(resume="incorrect"), config)
    [row] = harvest([saver]).behaviors
    assert (row["label"], row["label_source"]) == ("incorrect", "human:review")


class HostState(MessagesState):
    drr: Run


def commands():
    lines = [line for page in PAGES.values() for line in "\n".join(blocks("bash", page)).splitlines()]
    lines += [line for page in PAGES.values() for line in re.findall(r"`(drr [a-z]+ [^`…]*)`", page)]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("drr ")]


@pytest.mark.parametrize("arguments", commands(), ids=lambda arguments: arguments[0])
def test_every_command_is_one_the_program_takes(arguments):
    group = typer.main.get_command(app)
    with group.make_context("drr", list(arguments)) as context:
        name, command, rest = group.resolve_command(context, list(arguments))
        command.make_context(name, rest, parent=context)


def headings(page):
    """As they are linked to."""
    return [title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", page, re.MULTILINE)]


def test_every_link_leads_somewhere():
    for path, page in PAGES.items():
        for target in re.findall(r"\]\(([^)]+)\)", page):
            place, _, heading = target.partition("#")
            assert target.startswith("https://") or (path.parent / place).exists(), target
            assert place or heading in headings(page), target


def test_every_target_of_make_is_there():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
