"""The middleware in an agent: what is asked, what stands, what is remembered and logged."""

import asyncio

import pytest
from fakes import FunctionChatModel, TableDM
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from middleware.agents import (
    BOTH_DRAFTS,
    BOTH_WAYS,
    TABLE,
    answers,
    ask,
    in_thread,
    lookup,
    make_agent,
    run_of,
    texts,
)

from drr_agent import Budget, Contrast, History, NoProgress, RunLog, ThresholdPolicy, read_runs
from drr_agent.dm.protocol import Score
from drr_agent.middleware import AGENT_PROMPTS, DRRMiddleware
from drr_agent.training.harvest import harvest

WRONG = AGENT_PROMPTS.wrong


@BOTH_WAYS
@pytest.mark.parametrize(
    ("replies", "settings", "thread", "stop_reason"),
    [
        pytest.param(["4"], {}, ["4"], "accepted", id="accepted at once"),
        pytest.param(["3", "4"], {}, ["4"], "accepted", id="the rejected one is hidden"),
        pytest.param(["3", "5", "6"], {"max_turns": 3}, ["5"], "max_turns", id="best, not last"),
        pytest.param(["3", "5"], {"budget": Budget(max_calls=2)}, ["5"], "budget", id="budget"),
        pytest.param(["3", "4"], {"drafts": "visible"}, ["3", "4"], "accepted", id="visible"),
        pytest.param(
            ["3", "5", "6"],
            {"max_turns": 3, "drafts": "visible"},
            ["3", "6", "5"],
            "max_turns",
            id="visible, best last",
        ),
        pytest.param(["", "4"], {}, ["4"], "accepted", id="no answer, then one"),
        pytest.param(["", ""], {"max_turns": 2}, [""], "max_turns", id="never an answer"),
        pytest.param(
            ["3", "3"],
            {"policy": NoProgress(policy=ThresholdPolicy(), same_answer=2)},
            ["3"],
            "no_progress",
            id="circles",
        ),
    ],
)
def test_the_best_supported_answer_stands_at_the_end(run, replies, settings, thread, stop_reason):
    agent, model = make_agent(*replies, **settings)
    result = run(agent)
    assert texts(result) == ["What is 2 + 2?", *thread]
    assert list(result) == ["messages"]
    assert len(model.asked) == len(replies)
    recorded = run_of(agent)
    assert answers(recorded) == [reply or None for reply in replies]
    assert recorded["stop_reason"] == stop_reason


@BOTH_WAYS
@pytest.mark.parametrize(
    ("feedback", "asked"),
    [
        ("fresh", []),
        ("history", ["3", WRONG, "5", WRONG]),
        (History(last=1), ["5", WRONG]),
        ("contrast", ["These answers were tried and rejected: 3, 5. Take a different line of thought."]),
        (Contrast(), ["These answers were tried and rejected: 3, 5. Take a different line of thought."]),
    ],
    ids=["fresh", "history", "history of one", "contrast", "contrast as an object"],
)
@BOTH_DRAFTS
def test_the_agent_is_asked_again_with_its_own_messages_and_feedback(run, feedback, asked, drafts):
    agent, model = make_agent(
        "3", "5", "4", feedback=feedback, drafts=drafts, agent={"system_prompt": "You are a careful agent."}
    )
    run(agent)
    assert [message.text for message in model.asked[0]] == ["You are a careful agent.", "What is 2 + 2?"]
    assert [message.text for message in model.asked[2]] == ["You are a careful agent.", "What is 2 + 2?", *asked]


@BOTH_WAYS
@BOTH_DRAFTS
def test_feedback_stands_where_the_try_began(run, drafts):
    agent, model = make_agent("3", ask(), "4", feedback="history", drafts=drafts)
    run(agent)
    assert [message.text for message in model.asked[2]] == ["What is 2 + 2?", "3", WRONG, "", "it is even"]


@BOTH_WAYS
@pytest.mark.parametrize(
    ("replies", "drafts", "thread", "attempts", "calls"),
    [
        pytest.param([ask(), "4"], "hidden", ["", "it is even", "4"], ["4"], [2], id="first try"),
        pytest.param(["3", ask(), "4"], "hidden", ["", "it is even", "4"], ["3", "4"], [1, 2], id="second try"),
        pytest.param(["5", ask(), "6"], "hidden", ["", "it is even", "5"], ["5", "6"], [1, 2], id="the first stands"),
        pytest.param(["3", ask(), "4"], "visible", ["3", "", "it is even", "4"], ["3", "4"], [1, 2], id="visible"),
        pytest.param(
            ["5", ask(), "6"],
            "visible",
            ["", "it is even", "6", "5"],
            ["5", "6"],
            [1, 2],
            id="visible, the first stands",
        ),
    ],
)
def test_tool_calls_pass_through_and_attempts_survive_them(run, replies, drafts, thread, attempts, calls):
    agent, _ = make_agent(*replies, drafts=drafts, max_turns=2)
    assert texts(run(agent)) == ["What is 2 + 2?", *thread]
    recorded = run_of(agent)
    assert answers(recorded) == attempts
    assert [attempt["usage"]["calls"] for attempt in recorded["attempts"]] == calls


@BOTH_DRAFTS
def test_the_chosen_message_is_the_model_s_own(drafts):
    own = AIMessage("5", id="own", response_metadata={"kept": True}, additional_kwargs={"too": 1})
    agent, _ = make_agent("3", own, "6", max_turns=3, drafts=drafts)
    last = in_thread(agent)["messages"][-1]
    assert (last.id, last.response_metadata, last.additional_kwargs) == ("own", {"kept": True}, {"too": 1})


def test_the_model_is_asked_through_the_agent_s_binding():
    agent, model = make_agent("3", "4")
    in_thread(agent)
    assert [bound["tools"] for bound in model.bound] == [["lookup"], ["lookup"]]


@BOTH_DRAFTS
def test_a_second_question_on_a_thread_starts_fresh(drafts):
    agent, model = make_agent("3", "5", "4", "4", max_turns=2, drafts=drafts)
    in_thread(agent)
    first = run_of(agent)
    result = in_thread(agent, {"messages": [HumanMessage("What is 1 + 3?")]})
    second = run_of(agent)
    assert (answers(first), answers(second)) == (["3", "5"], ["4"])
    assert second["question"] == "What is 1 + 3?"
    assert second["context"].startswith("human: What is 2 + 2?\n")
    assert texts(result)[-2:] == ["What is 1 + 3?", "4"]
    assert len(model.asked) == 3


@BOTH_DRAFTS
def test_a_question_after_one_that_was_killed_starts_fresh(drafts):
    agent, _ = make_agent("3", ask(name="broken"), "4", tools=[broken], drafts=drafts)
    with pytest.raises(KeyError):
        in_thread(agent)
    in_thread(agent, {"messages": [HumanMessage("And now?")]})
    assert (run_of(agent)["question"], answers(run_of(agent))) == ("And now?", ["4"])


def broken() -> str:
    """Breaks."""
    raise KeyError("gone")


def test_without_a_question_the_agent_is_left_alone():
    agent, _ = make_agent("3")
    assert texts(in_thread(agent, {"messages": [AIMessage("hello")]})) == ["hello", "3"]
    assert run_of(agent) is None


@BOTH_WAYS
def test_a_run_is_logged_and_its_checkpoints_are_harvested(run, tmp_path):
    log, saver = RunLog(path=tmp_path / "runs.jsonl"), InMemorySaver()
    agent, _ = make_agent("3", ask(), "4", run_log=log, agent={"checkpointer": saver})
    run(agent)
    [logged] = read_runs(log.path)
    assert logged == run_of(agent)
    assert (logged["reasoner"], logged["dm"], logged["accepted"]) == ("AgentModel", "table0000000", True)
    rows = harvest([saver]).behaviors
    assert [(row["answer"], row["score"]) for row in rows] == [("3", 0.2), ("4", 0.9)]
    assert harvest([saver, log.path]).behaviors == rows


@BOTH_DRAFTS
def test_an_unfinished_run_is_harvested(drafts):
    saver = InMemorySaver()
    agent, _ = make_agent("3", ask(name="broken"), tools=[broken], drafts=drafts, agent={"checkpointer": saver})
    with pytest.raises(KeyError):
        in_thread(agent)
    assert [row["answer"] for row in harvest([saver]).behaviors] == ["3"]


@pytest.mark.parametrize(
    ("settings", "reply", "rationale", "answer"),
    [
        ({}, AIMessage("4", additional_kwargs={"reasoning_content": "two and two"}), "two and two", "4"),
        ({"parser": "answer"}, "two and two\nAnswer: 4", "two and two", "4"),
        ({}, "<think>two and two</think>4", "two and two", "4"),
    ],
    ids=["reasoning kept apart", "an answer line", "tags"],
)
def test_how_an_answer_is_read(settings, reply, rationale, answer):
    agent, _ = make_agent(reply, **settings)
    in_thread(agent)
    [attempt] = run_of(agent)["attempts"]
    assert (attempt["rationale"], attempt["answer"]) == (rationale, answer)


def test_the_dm_sees_what_it_sees_in_the_graph():
    dm = TableDM(TABLE)
    agent, _ = make_agent("4", dm=dm, reasoner="sums v2")
    in_thread(agent)
    [request] = dm.requests
    assert (request.question, request.answer, request.reasoner) == ("What is 2 + 2?", "4", "sums v2")
    assert request.signals == run_of(agent)["attempts"][0]["signals"]
    assert request.signals


async def test_concurrent_runs_share_batches_and_nothing_else():
    class EchoModel(FunctionChatModel):
        def bind_tools(self, tools, **settings):
            return self

    class EchoDM:
        digest = "echo00000000"

        def score(self, requests):
            return [Score(0.9 if request.answer == f"to {request.question}" else 0.0) for request in requests]

    model = EchoModel(function=lambda messages: f"to {messages[-1].text}")
    agent = create_agent(model, [lookup], middleware=[DRRMiddleware(dm=EchoDM(), policy=ThresholdPolicy())])
    results = await asyncio.gather(*(agent.ainvoke({"messages": [("user", str(n))]}) for n in range(50)))
    assert [texts(result) for result in results] == [[str(n), f"to {n}"] for n in range(50)]


@BOTH_WAYS
@BOTH_DRAFTS
def test_an_agent_in_another_graph(run, drafts):
    agent, _ = make_agent("3", ask(), "4", drafts=drafts, agent={"checkpointer": None})
    saver, host = InMemorySaver(), StateGraph(MessagesState)
    host.add_node("agent", agent)
    host.add_edge(START, "agent")
    result = run(host.compile(checkpointer=saver))
    assert texts(result)[-3:] == ["", "it is even", "4"]
    assert [row["answer"] for row in harvest([saver]).behaviors] == ["3", "4"]
