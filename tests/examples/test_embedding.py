"""What the page on embedding shows runs, and prints what it says."""

import re
from pathlib import Path

import pytest
from fakes import FunctionChatModel, TableDM
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.errors import InvalidUpdateError
from langgraph.graph import START, MessagesState, StateGraph

from drr_agent import Run, create_drr_graph

PAGE = (Path(__file__).parents[2] / "docs" / "embedding.md").read_text()
EXAMPLES = dict(re.findall(r"^## ([^\n]+)\n\n```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
QUESTION = "What is 2 + 2?"


class Wavering(FunctionChatModel):
    """At each question says 3 and 4 in turn, wherever it is asked."""

    @classmethod
    def create(cls):
        asked = []

        def reply(messages):
            asked.append(messages)
            return AIMessage(f"Answer: {4 - len(asked) % 2}")

        return cls(function=reply)


class ToolCaller(FunctionChatModel):
    """Asks for the tool `solve`, then says what it gave."""

    def bind_tools(self, tools, **settings):
        return self


def call_solve(messages):
    if isinstance(messages[-1], HumanMessage):
        return AIMessage("", tool_calls=[{"name": "solve", "args": {"question": QUESTION}, "id": "1"}])
    return AIMessage(f"It is {messages[-1].text}.")


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_prints_what_the_page_says(title, capsys):
    code = EXAMPLES[title]
    dm = TableDM({"3": 0.2, "4": 0.9})
    model = Wavering.create()
    if title == "In parallel":  # two branches draw from one model in any order: right at once
        model = FunctionChatModel(function=lambda messages: "Answer: 4")
    exec(code, {"model": model, "dm": dm, "question": QUESTION, "agent_model": ToolCaller(function=call_solve)})
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)


def test_every_way_of_the_table_has_its_example():
    places = re.findall(r"\]\(#([\w-]+)\)", PAGE)
    assert places == [title.lower().replace(" ", "-") for title in EXAMPLES]


class Host(MessagesState):
    drr: Run


def beside_each_other(schema):
    host = StateGraph(schema)
    for name in ("one", "two"):
        model = FunctionChatModel(function=lambda messages: "Answer: 4")
        host.add_node(name, create_drr_graph(model, TableDM({"4": 0.9}), name=name))
        host.add_edge(START, name)
    return host.compile()


def test_nodes_side_by_side_both_answer():
    result = beside_each_other(MessagesState).invoke({"messages": [("user", QUESTION)]})
    assert [message.text for message in result["messages"]] == [QUESTION, "Answer: 4", "Answer: 4"]


def test_nodes_side_by_side_cannot_share_a_plain_run():
    with pytest.raises(InvalidUpdateError, match="'drr'"):
        beside_each_other(Host).invoke({"messages": [("user", QUESTION)]})


async def test_every_graph_of_the_page_that_is_a_node_runs_async():
    for title in ("As a node", "Twice", "Nested", "Handed over to"):
        scope = {"model": Wavering.create(), "dm": TableDM({"3": 0.2, "4": 0.9}), "question": QUESTION}
        exec(EXAMPLES[title], scope)
        result = await scope["host"].compile().ainvoke({"messages": [("user", QUESTION)]})
        assert result["messages"][-1].text == "Answer: 4"
