"""Beside structured output, other middleware, interrupts and streams."""

import pytest
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
    hook_config,
)
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.types import Command
from middleware.agents import (
    BOTH_DRAFTS,
    BOTH_WAYS,
    AgentModel,
    answers,
    ask,
    in_thread,
    make_agent,
    run_of,
    texts,
)
from pydantic import BaseModel

from drr_agent.dm.protocol import Score

BOTH_PLACES = pytest.mark.parametrize("place", ["outer", "inner"])


class Sum(BaseModel):
    answer: int
    rationale: str = "by adding"


class Pair(BaseModel):
    left: int
    right: int


def by_tool(answer, call_id):
    return ask("Sum", call_id, answer=answer)


def by_provider(answer, _):
    return f'{{"answer": {answer}}}'


STRATEGIES = pytest.mark.parametrize(
    ("strategy", "reply"),
    [(ToolStrategy(Sum), by_tool), (ProviderStrategy(Sum), by_provider)],
    ids=["tool", "provider"],
)


@BOTH_WAYS
@BOTH_DRAFTS
@STRATEGIES
@pytest.mark.parametrize("tools_between", [False, True], ids=["at once", "a tool in between"])
def test_a_structured_answer_stands_with_its_messages(run, drafts, strategy, reply, tools_between):
    between = [ask()] if tools_between else []
    replies = [reply(3, "a"), reply(5, "b"), *between, reply(6, "c")]
    agent, model = make_agent(*replies, drafts=drafts, max_turns=3, agent={"response_format": strategy})
    result = run(agent)
    assert result["structured_response"] == Sum(answer=5)
    last = [message for message in result["messages"] if isinstance(message, AIMessage)][-1]
    assert [call["id"] for call in last.tool_calls] == (["b"] if reply is by_tool else [])
    assert (result["messages"][-1].type == "tool") == (reply is by_tool)
    shown = [message for message in result["messages"] if getattr(message, "tool_call_id", "c1") != "c1"]
    assert len(shown) == {("hidden", by_tool): 1, ("visible", by_tool): 3}.get((drafts, reply), 0)
    assert [(attempt["rationale"], attempt["answer"]) for attempt in run_of(agent)["attempts"]] == [
        ("by adding", answer) for answer in "356"
    ]
    assert len(model.asked) == len(replies)


@pytest.mark.parametrize("tools", [(), None], ids=["no tools", "tools"])
def test_an_answer_of_another_schema_is_its_json(tools):
    class PairDM:
        digest = "pair00000000"

        def score(self, requests):
            return [Score(0.9 if request.answer == '{"left": 1, "right": 3}' else 0.1) for request in requests]

    replies = [ask("Pair", left=2, right=3), ask("Pair", left=1, right=3)]
    settings = {} if tools is None else {"tools": tools}
    agent, _ = make_agent(*replies, dm=PairDM(), agent={"response_format": ToolStrategy(Pair)}, **settings)
    assert in_thread(agent)["structured_response"] == Pair(left=1, right=3)


@BOTH_WAYS
def test_a_structured_answer_that_does_not_fit_is_the_agent_s_to_mend(run):
    replies = [ask("Sum", "a", answer="many"), by_tool(4, "b")]
    agent, model = make_agent(*replies, agent={"response_format": ToolStrategy(Sum)})
    assert run(agent)["structured_response"] == Sum(answer=4)
    assert answers(run_of(agent)) == ["4"]
    assert run_of(agent)["usage"]["calls"] == len(model.asked) == 2


def test_words_are_no_structured_answer():
    agent, _ = make_agent("four!", by_tool(4, "b"), tools=(), agent={"response_format": ToolStrategy(Sum)})
    assert in_thread(agent)["structured_response"] == Sum(answer=4)
    assert answers(run_of(agent)) == [None, "4"]


TWO_TOOLS = ["", "it is even", "", "it is even"]


@BOTH_WAYS
@pytest.mark.parametrize(
    ("drafts", "place", "replies", "thread", "calls"),
    [
        pytest.param("hidden", "outer", ["3", "5", "6"], ["5"], 3, id="hidden tries are one call to others"),
        pytest.param("hidden", "inner", ["3", "5", "6"], ["5"], 3, id="hidden, wherever it stands"),
        pytest.param("visible", "inner", ["3", "5"], ["3", "LIMIT", "5"], 2, id="visible tries count"),
        pytest.param("visible", "outer", ["3", "5", "6"], ["3", "6", "5"], 3, id="visible, not first: not counted"),
        pytest.param("hidden", "inner", ["3", ask(), ask()], [*TWO_TOOLS, "LIMIT", "3"], 3, id="hidden, amid tools"),
        pytest.param("visible", "inner", ["3", ask()], ["", "it is even", "LIMIT", "3"], 2, id="visible, amid tools"),
    ],
)
def test_the_message_of_a_call_limit_is_never_the_answer(run, drafts, place, replies, thread, calls):
    limit = {place: [ModelCallLimitMiddleware(run_limit=2)]}
    agent, model = make_agent(*replies, drafts=drafts, max_turns=3, **limit)
    found = [text if "limits exceeded" not in text else "LIMIT" for text in texts(run(agent))[1:]]
    assert (found, len(model.asked)) == (thread, calls)
    assert run_of(agent)["usage"]["calls"] == calls
    assert run_of(agent)["stop_reason"] == ("budget" if "LIMIT" in thread else "max_turns")


@BOTH_WAYS
@BOTH_DRAFTS
def test_a_structured_answer_outlives_a_call_limit(run, drafts):
    limit = [ModelCallLimitMiddleware(run_limit=2)]
    steps = [by_tool(3, "a"), ask(), ask(call_id="c2")]  # the second request for tools is beyond visible tries
    agent, _ = make_agent(*steps, drafts=drafts, inner=limit, agent={"response_format": ToolStrategy(Sum)})
    result = run(agent)
    assert result["structured_response"] == Sum(answer=3)
    assert [message.type for message in result["messages"][-2:]] == ["ai", "tool"]


@BOTH_WAYS
@BOTH_DRAFTS
def test_a_limit_before_any_answer_is_the_agent_s_own(run, drafts):
    agent, _ = make_agent(ask(), drafts=drafts, inner=[ModelCallLimitMiddleware(run_limit=1)])
    assert "limits exceeded" in texts(run(agent))[-1]
    assert run_of(agent) is None


@BOTH_WAYS
@BOTH_DRAFTS
@BOTH_PLACES
@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_an_interrupt_on_a_tool_neither_loses_nor_repeats_attempts(run, drafts, place, decision):
    human = {place: [HumanInTheLoopMiddleware(interrupt_on={"lookup": True})]}
    agent, model = make_agent("3", ask(), "5", "6", drafts=drafts, max_turns=3, **human)
    asked = run(agent)
    assert asked["__interrupt__"]
    assert len(model.asked) == 2
    result = run(agent, Command(resume={"decisions": [{"type": decision}]}))
    assert texts(result)[-1] == "5"
    assert answers(run_of(agent)) == ["3", "5", "6"]
    assert run_of(agent)["usage"]["calls"] == len(model.asked) == 4


@BOTH_DRAFTS
def test_a_summary_of_the_thread_costs_no_attempt(drafts):
    summary = SummarizationMiddleware(
        AgentModel(replies=["all about sums"] * 5), trigger=("messages", 5), keep=("messages", 2)
    )
    agent, model = make_agent("3", ask(), ask(call_id="c2"), "4", feedback="history", drafts=drafts, inner=[summary])
    result = in_thread(agent)
    assert texts(result)[-1] == "4"
    assert "all about sums" in texts(result)[0]
    assert answers(run_of(agent)) == ["3", "4"]
    assert run_of(agent)["question"] == "What is 2 + 2?"
    assert [message.text for message in model.asked[-1]].count("3") == 1


@BOTH_WAYS
@BOTH_PLACES
def test_retries_of_a_call_are_no_turns(run, place):
    retry = {place: [ModelRetryMiddleware(max_retries=1, initial_delay=0, jitter=False)]}
    agent, _ = make_agent(ConnectionError("down"), "3", "4", **retry)
    assert texts(run(agent))[-1] == "4"
    assert answers(run_of(agent)) == ["3", "4"]


def test_a_fallback_model_answers_and_is_scored():
    agent, _ = make_agent(ConnectionError("down"), inner=[ModelFallbackMiddleware(AgentModel(replies=["4"]))])
    assert texts(in_thread(agent))[-1] == "4"
    assert answers(run_of(agent)) == ["4"]


class Objection(AgentMiddleware):
    """Sends the agent back once after its answer."""

    @hook_config(can_jump_to=["model"])
    def after_model(self, state, runtime):
        if any(message.text == "Are you sure?" for message in state["messages"]):
            return None
        return {"messages": [HumanMessage("Are you sure?")], "jump_to": "model"}


def test_another_middleware_s_objection_begins_another_run():
    agent, _ = make_agent("3", "4", "3", "4", outer=[Objection()])
    assert texts(in_thread(agent)) == ["What is 2 + 2?", "4", "Are you sure?", "4"]
    assert (run_of(agent)["question"], answers(run_of(agent))) == ("Are you sure?", ["3", "4"])


def test_tool_messages_of_kept_answers_have_ids():
    agent, _ = make_agent(by_tool(4, "a"), agent={"response_format": ToolStrategy(Sum)})
    *_, last = in_thread(agent)["messages"]
    assert isinstance(last, ToolMessage)
    assert last.id
