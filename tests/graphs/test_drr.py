"""The loop, as a table of scripts; every case runs under invoke, ainvoke, stream and astream."""

import asyncio
import time
from types import SimpleNamespace

import httpx
import httpx2
import pytest
from fakes import FailingDM, FunctionChatModel, ScriptedChatModel, TableDM, make_attempt
from graphs.ways import WAYS, run_ainvoke
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from drr_agent import (
    Budget,
    ConfigError,
    ConsensusPolicy,
    DMError,
    RunLog,
    ThresholdPolicy,
    create_drr_graph,
    load_dm,
    read_runs,
)
from drr_agent.dm.protocol import Score
from drr_agent.policy import Decision

QUESTION = {"messages": [HumanMessage("What is 2 + 2?", id="q")]}
TABLE = {"3": 0.1, "4": 0.9, "5": 0.3}


def reply(answer, **changes):
    return AIMessage(f"thinking\nAnswer: {answer}", **changes)


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def run(request):
    return request.param


@pytest.mark.parametrize(
    ("replies", "settings", "answer", "stop_reason", "calls"),
    [
        pytest.param(["4"], {}, "4", "accepted", 1, id="accepted at once"),
        pytest.param(["5", "4"], {}, "4", "accepted", 2, id="rejected, then accepted"),
        pytest.param(["5", "3"], {"max_turns": 2}, "5", "max_turns", 2, id="best, not last"),
        pytest.param(["5"], {"max_turns": 1}, "5", "max_turns", 1, id="one turn"),
        pytest.param(["5", "3"], {"budget": Budget(max_calls=2)}, "5", "budget", 2, id="budget of calls"),
        pytest.param(["5", "4"], {"feedback": "history"}, "4", "accepted", 2, id="history"),
        pytest.param(["5", "4"], {"feedback": "contrast"}, "4", "accepted", 2, id="contrast"),
    ],
)
def test_loop(run, replies, settings, answer, stop_reason, calls):
    reasoner = ScriptedChatModel(replies=[reply(text) for text in replies])
    graph = create_drr_graph(reasoner, TableDM(TABLE), policy=ThresholdPolicy(threshold=0.8), **settings)
    out = run(graph, QUESTION)
    trace = out["drr"]
    assert (trace["answer"], trace["stop_reason"], len(reasoner.asked)) == (answer, stop_reason, calls)
    assert trace["accepted"] == (stop_reason == "accepted")
    assert [attempt["answer"] for attempt in trace["attempts"]] == replies
    assert [message.type for message in out["messages"]] == ["human", "ai"], "the chosen answer alone is added"
    assert out["messages"][-1].content == f"thinking\nAnswer: {answer}"


def test_the_chosen_message_keeps_its_id(run):
    reasoner = ScriptedChatModel(replies=[reply("5", id="first"), reply("3", id="second")])
    graph = create_drr_graph(reasoner, TableDM(TABLE), policy=ThresholdPolicy(threshold=0.8), max_turns=2)
    assert run(graph, QUESTION)["messages"][-1].id == "first"


def test_abstains_when_told_to(run):
    graph = create_drr_graph(
        ScriptedChatModel(replies=[reply("5")]),
        TableDM(TABLE),
        policy=ThresholdPolicy(threshold=0.8, abstain_below=0.5),
        max_turns=1,
    )
    out = run(graph, QUESTION)
    assert (out["drr"]["answer"], out["drr"]["choice"], len(out["messages"])) == (None, None, 1)


def test_a_second_question_on_a_thread_starts_fresh(run):
    reasoner = ScriptedChatModel(replies=[reply("4"), reply("3"), reply("4")])
    graph = create_drr_graph(
        reasoner, TableDM(TABLE), policy=ThresholdPolicy(threshold=0.8), checkpointer=InMemorySaver()
    )
    config = {"configurable": {"thread_id": "t"}}
    run(graph, QUESTION, config)
    out = run(graph, {"messages": [HumanMessage("And 1 + 3?")]}, config)
    assert [attempt["turn"] for attempt in out["drr"]["attempts"]] == [1, 2]
    assert out["drr"]["question"] == "And 1 + 3?"
    assert "What is 2 + 2?" in out["drr"]["context"]
    assert len(out["messages"]) == 4


def test_context_is_passed_on(run):
    reasoner = ScriptedChatModel(replies=[reply("4")])
    graph = create_drr_graph(reasoner, None, max_turns=1)
    messages = [SystemMessage("be brief"), HumanMessage("hi"), AIMessage("hello"), HumanMessage("2 + 2?")]
    run(graph, {"messages": messages, "drr_assignment": None})
    assert [message.type for message in reasoner.asked[0]] == ["system", "human", "ai", "human"]
    assert reasoner.asked[0][-1].text.startswith("2 + 2?\n\nThink step by step.")


def test_history_feedback_says_it_was_wrong():
    reasoner = ScriptedChatModel(replies=[reply("5"), reply("3"), reply("4")])
    policy = ThresholdPolicy(threshold=0.8)
    create_drr_graph(reasoner, TableDM(TABLE), policy=policy, feedback="history").invoke(QUESTION)
    third = reasoner.asked[2]
    assert [message.type for message in third] == ["human", "ai", "human", "ai", "human"]
    assert third[1].text == "thinking\nAnswer: 5"
    assert third[2].text.startswith("That answer is wrong.")


def test_contrast_feedback_names_the_rejected_answers():
    reasoner = ScriptedChatModel(replies=[reply("5"), reply("3"), reply("4")])
    create_drr_graph(reasoner, TableDM(TABLE), policy=ThresholdPolicy(threshold=0.8), feedback="contrast").invoke(
        QUESTION
    )
    assert len(reasoner.asked[2]) == 1
    assert "tried and rejected: 5, 3." in reasoner.asked[2][0].text


@pytest.mark.parametrize("feedback", ["fresh", "history", "contrast"])
def test_a_reply_without_an_answer_costs_a_turn_and_is_told_so(feedback):
    reasoner = ScriptedChatModel(replies=["I wonder.", reply("4")])
    dm = TableDM(TABLE)
    graph = create_drr_graph(reasoner, dm, policy=ThresholdPolicy(threshold=0.8), feedback=feedback)
    trace = graph.invoke(QUESTION)["drr"]
    assert [attempt["feedback"] for attempt in trace["attempts"]] == ["first", "no_answer"]
    assert [attempt["score"] for attempt in trace["attempts"]] == [None, 0.9], "a failed draft is not scored"
    assert len(dm.requests) == 1
    assert reasoner.asked[1][-1].text.startswith("No answer was found in that reply.")


@pytest.mark.parametrize(
    ("replies", "answer", "stop_reason"),
    [
        pytest.param([TimeoutError("30 s"), reply("4")], "4", "accepted", id="a time-out costs a turn"),
        pytest.param(["", ""], None, "max_turns", id="empty replies are no answers"),
        pytest.param([TimeoutError("a"), ConnectionError("b")], None, "error", id="nothing but failures"),
    ],
)
def test_a_failing_reasoner_is_a_typed_outcome(run, replies, answer, stop_reason):
    graph = create_drr_graph(
        ScriptedChatModel(replies=replies), TableDM(TABLE), policy=ThresholdPolicy(threshold=0.8), max_turns=2
    )
    trace = run(graph, QUESTION)["drr"]
    assert (trace["answer"], trace["stop_reason"], trace["usage"]["calls"]) == (answer, stop_reason, 2)
    for attempt, given in zip(trace["attempts"], replies, strict=True):
        expected = f"{type(given).__name__}: {given}" if isinstance(given, Exception) else None
        assert attempt["error"] == expected


def test_an_unexpected_error_of_the_reasoner_ends_the_run():
    graph = create_drr_graph(ScriptedChatModel(replies=[KeyError("bug")]), None)
    with pytest.raises(KeyError, match="bug"):
        graph.invoke(QUESTION)


class StatusError(Exception):
    """What clients of many providers raise."""

    def __init__(self, status, *, response=False):
        super().__init__(f"status {status}")
        if response:
            self.response = SimpleNamespace(status_code=status)
        else:
            self.status_code = status


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        pytest.param(StatusError(408), True, id="time-out"),
        pytest.param(StatusError(409), True, id="conflict"),
        pytest.param(StatusError(429, response=True), True, id="rate limit, in its response"),
        pytest.param(StatusError(500), True, id="server error"),
        pytest.param(StatusError(529), True, id="overloaded"),
        pytest.param(httpx.ReadTimeout("slow"), True, id="httpx time-out"),
        pytest.param(httpx.RemoteProtocolError("cut"), True, id="httpx transport"),
        pytest.param(httpx2.ReadTimeout("slow"), True, id="httpx2 time-out"),
        pytest.param(StatusError(400), False, id="bad request"),
        pytest.param(StatusError(401, response=True), False, id="wrong key"),
        pytest.param(StatusError("503"), False, id="no status"),
        pytest.param(ValueError("bug"), False, id="a bug"),
    ],
)
def test_only_what_another_try_may_mend_costs_a_turn(run, error, transient):
    graph = create_drr_graph(ScriptedChatModel(replies=[error, reply("4")]), None, max_turns=2)
    if not transient:
        with pytest.raises(type(error)):
            run(graph, QUESTION)
        return
    attempts = run(graph, QUESTION)["drr"]["attempts"]
    assert [attempt["error"] for attempt in attempts] == [f"{type(error).__name__}: {error}", None]


@pytest.mark.parametrize(
    "failures",
    [pytest.param((KeyError,), id="classes"), pytest.param(lambda error: isinstance(error, KeyError), id="a function")],
)
def test_which_errors_cost_a_turn_can_be_said(run, failures):
    reasoner = ScriptedChatModel(replies=[KeyError("mine"), TimeoutError("not named")])
    with pytest.raises(TimeoutError, match="not named"):
        run(create_drr_graph(reasoner, None, max_turns=2, reasoner_failures=failures), QUESTION)
    assert len(reasoner.asked) == 2


def test_an_error_in_the_trace_holds_no_key():
    reasoner = ScriptedChatModel(replies=[TimeoutError("asked with Bearer abc.def and sk-proj-12345678")])
    (attempt,) = create_drr_graph(reasoner, None, max_turns=1).invoke(QUESTION)["drr"]["attempts"]
    assert attempt["error"] == "TimeoutError: asked with Bearer [redacted] and [redacted]"


def test_a_call_that_hangs_ends_with_the_budget():
    class Hanging(ScriptedChatModel):
        async def _agenerate(self, *arguments, **settings):
            await asyncio.Event().wait()

    graph = create_drr_graph(Hanging(replies=[]), None, budget=Budget(max_seconds=0.1))
    trace = run_ainvoke(graph, QUESTION)["drr"]
    assert [attempt["error"] for attempt in trace["attempts"]] == [
        "TimeoutError: no reply within the run's 0.1 seconds"
    ]
    assert (trace["answer"], trace["stop_reason"]) == (None, "error")


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"logprobs": {"content": [{"token": "4", "logprob": None}]}}, id="a null"),
        pytest.param({"logprobs": {"content": ["4"]}}, id="texts"),
        pytest.param({"logprobs": {"content": 4}}, id="a number"),
        pytest.param({"logprobs": "none", "finish_reason": ["stop"], "drr_seconds": "soon"}, id="other kinds"),
    ],
)
def test_malformed_metadata_is_unknown(run, metadata):
    graph = create_drr_graph(ScriptedChatModel(replies=[reply("4", response_metadata=metadata)]), None, max_turns=1)
    trace = run(graph, QUESTION)["drr"]
    assert (trace["answer"], trace["attempts"][0]["logprobs"]) == ("4", None)


def test_no_tool_call_reaches_the_host(run):
    answer = reply("4", id="kept", tool_calls=[{"name": "search", "args": {}, "id": "t1"}])
    graph = create_drr_graph(ScriptedChatModel(replies=[answer]), None, max_turns=1)
    message = run(graph, QUESTION)["messages"][-1]
    assert (message.id, message.text, message.tool_calls) == ("kept", "thinking\nAnswer: 4", [])


def test_a_lone_surrogate_in_the_question_reaches_nobody(run):
    reasoner = ScriptedChatModel(replies=[reply("4")])
    messages = [HumanMessage([{"type": "text", "text": "caf\udce9"}]), AIMessage("x"), HumanMessage("caf\udce9?")]
    trace = run(create_drr_graph(reasoner, None, max_turns=1), {"messages": messages})["drr"]
    assert (trace["question"], trace["context"]) == ("caf??", "human: caf?\nai: x")
    assert "".join(message.text for message in reasoner.asked[0]).encode()


class UnsurePolicy:
    abstain_below = 0.0

    def decide(self, attempts):
        return Decision("accept", 0, float("nan"))


def test_a_confidence_that_is_no_number_is_unknown(run, tmp_path):
    log = RunLog(path=tmp_path / "runs.jsonl", required=True)
    graph = create_drr_graph(ScriptedChatModel(replies=[reply("4")]), None, policy=UnsurePolicy(), run_log=log)
    assert run(graph, QUESTION)["drr"]["score"] is None
    assert [logged["score"] for logged in read_runs(log.path)] == [None]


class OddDM:
    """Gives what it was told to, whatever it was asked."""

    digest = "odd000000000"

    def __init__(self, scores):
        self.scores = scores

    def score(self, requests):
        return self.scores


NAN_DM = OddDM([Score(float("nan"))])
WRONG_SCORES = "DMError: a DM must give a sequence of 1 `Score`s, one a request, got "
WRONG_SCORE = "DMError: a DM must give a `Score` a request, got "


@pytest.mark.parametrize(
    ("dm", "message"),
    [
        pytest.param(FailingDM(RuntimeError("CUDA error")), "RuntimeError: CUDA error", id="dead"),
        pytest.param(FailingDM(KeyError("answer")), "KeyError: 'answer'", id="a mistake"),
        pytest.param(FailingDM(ValueError("odd \udce9")), "ValueError: odd ?", id="a message that is no text"),
        pytest.param(OddDM(None), WRONG_SCORES + "NoneType", id="None"),
        pytest.param(OddDM([]), WRONG_SCORES + "0 of them", id="too few"),
        pytest.param(OddDM([None]), WRONG_SCORE + "None", id="no score"),
        pytest.param(OddDM([0.9]), WRONG_SCORE + "0.9", id="a bare number"),
        pytest.param(OddDM([Score("0.9")]), "DMError: a DM must give a probability in [0, 1], got '0.9'", id="a text"),
        pytest.param(OddDM([Score(None)]), "DMError: a DM must give a probability in [0, 1], got None", id="nothing"),
        pytest.param(OddDM([Score(1.1)]), "DMError: a DM must give a probability in [0, 1], got 1.1", id="above 1"),
        pytest.param(OddDM([Score(0.9, "1")]), "DMError: a DM must give a finite logit or None, got '1'", id="logit"),
        pytest.param(OddDM([Score(0.9, usage={})]), "DMError: a DM must give as usage None or whole", id="no usage"),
        pytest.param(NAN_DM, "DMError: a DM must give a probability in [0, 1], got nan", id="NaN"),
    ],
)
def test_a_failing_dm_gives_no_score(run, dm, message):
    reasoner = ScriptedChatModel(replies=[reply("4"), reply("4")])
    trace = run(create_drr_graph(reasoner, dm, policy=ThresholdPolicy(threshold=0.0), max_turns=2), QUESTION)["drr"]
    assert [attempt["score"] for attempt in trace["attempts"]] == [None, None]
    assert trace["attempts"][0]["score_error"].startswith(message)
    assert (trace["answer"], trace["stop_reason"]) == ("4", "max_turns"), "never accepted without a score"


def test_a_failing_dm_can_end_the_run(run):
    graph = create_drr_graph(ScriptedChatModel(replies=[reply("4")]), NAN_DM, on_dm_failure="raise")
    with pytest.raises(DMError, match="got nan"):
        run(graph, QUESTION)


def test_sync_and_async_give_the_same_run():
    def once(call):
        reasoner = ScriptedChatModel(replies=[reply("5"), reply("3"), reply("5")])
        graph = create_drr_graph(reasoner, TableDM(TABLE), policy=ConsensusPolicy(threshold=0.95), max_turns=3)
        trace = call(graph, QUESTION)["drr"]
        for key in ("run_id", "started_at", "seconds"):
            trace.pop(key)
        for attempt in trace["attempts"]:
            attempt.pop("seconds")
        return trace

    traces = [once(call) for call in WAYS.values()]
    assert all(trace == traces[0] for trace in traces)


def test_prior_attempts_are_kept_and_not_asked_again(run):
    prior = [make_attempt("5", 0.3, turn=1), make_attempt("3", 0.1, turn=2)]
    reasoner = ScriptedChatModel(replies=[reply("4")])
    graph = create_drr_graph(reasoner, TableDM(TABLE), policy=ThresholdPolicy(threshold=0.8), max_turns=3)
    given = {**QUESTION, "drr_assignment": {"prior": prior, "sample_id": "s1", "target": "4", "origin": "distilled"}}
    trace = run(graph, given)["drr"]
    assert [attempt["turn"] for attempt in trace["attempts"]] == [1, 2, 3]
    assert (trace["sample_id"], trace["target"], trace["origin"]) == ("s1", "4", "distilled")
    assert len(reasoner.asked) == 1


def test_the_run_is_logged_as_it_is_returned(run, tmp_path):
    log = RunLog(path=tmp_path / "deep" / "runs.jsonl")
    graph = create_drr_graph(ScriptedChatModel(replies=[reply("4")]), TableDM(TABLE), run_log=log, max_turns=6)
    returned = run(graph, QUESTION)["drr"]
    assert list(read_runs(log.path)) == [returned]
    assert returned["max_turns"] == 6


def test_concurrent_runs_share_dm_batches_and_are_not_crossed():
    class SlowDM(TableDM):
        def score(self, requests):
            time.sleep(0.05)
            return super().score(requests)

    dm = SlowDM({str(n): 0.9 for n in range(40)})
    reasoner = FunctionChatModel(function=lambda messages: f"Answer: {messages[-1].text.split()[0]}")
    graph = create_drr_graph(reasoner, dm, policy=ThresholdPolicy(threshold=0.5))

    async def ask_all():
        return await asyncio.gather(*(graph.ainvoke({"messages": [HumanMessage(f"{n} is it?")]}) for n in range(40)))

    answers = [out["drr"]["answer"] for out in asyncio.run(ask_all())]
    assert answers == [str(n) for n in range(40)]
    assert max(dm.batches) > 1


def test_embedded_in_a_host_only_the_chosen_answer_reaches_its_messages(run):
    reasoner = ScriptedChatModel(replies=[reply("5"), reply("4", id="kept")])
    drr = create_drr_graph(reasoner, TableDM(TABLE), policy=ThresholdPolicy(threshold=0.8))
    host = StateGraph(MessagesState)
    host.add_node("drr", drr)
    host.add_edge(START, "drr")
    out = run(host.compile(), QUESTION)
    assert [(message.type, message.id) for message in out["messages"]] == [("human", "q"), ("ai", "kept")]


@pytest.mark.parametrize("limit", [8, 9, 10, 11])
def test_the_recursion_limit_is_not_what_stops_a_run(limit):
    graph = create_drr_graph(
        ScriptedChatModel(replies=[reply("3"), reply("3")]), TableDM(TABLE), max_turns=2, policy=ThresholdPolicy()
    )
    assert graph.invoke(QUESTION, {"recursion_limit": limit})["drr"]["stop_reason"] == "max_turns"


def test_events_tell_the_turns():
    graph = create_drr_graph(
        ScriptedChatModel(replies=[reply("5"), reply("4")]), TableDM(TABLE), policy=ThresholdPolicy(threshold=0.8)
    )
    events = list(graph.stream(QUESTION, stream_mode="custom"))
    assert [(event["type"], event["turn"]) for event in events] == [
        (f"drr.{node}", turn) for turn in (1, 2) for node in ("think", "score", "decide")
    ]
    told = [(event["best"], event["stop_reason"]) for event in events if event["type"] == "drr.decide"]
    assert told == [("5", None), ("4", "accepted")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"max_turns": 0}, "`max_turns` must be a whole number of at least 1, got 0", id="no turns"),
        pytest.param({"max_turns": 2.5}, "got 2.5", id="half a turn"),
        pytest.param({"feedback": "shout"}, "`feedback` must be one of fresh, history, contrast", id="feedback"),
        pytest.param({"parser": "xml"}, "`parser` must be one of", id="parser"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        create_drr_graph(ScriptedChatModel(replies=[]), None, **settings)


def test_a_path_is_not_a_dm():
    with pytest.raises(ConfigError, match="`dm` must have `digest` and `score`, got str; load a folder with `load_dm`"):
        create_drr_graph(ScriptedChatModel(replies=[]), "runs/dm")


@pytest.mark.parametrize("messages", [[], [AIMessage("hello")]])
def test_a_question_is_needed(messages):
    with pytest.raises(ConfigError, match="must hold a human message"):
        create_drr_graph(ScriptedChatModel(replies=[]), None).invoke({"messages": messages})


def test_the_picture_of_the_loop():
    mermaid = create_drr_graph(ScriptedChatModel(replies=[]), None).get_graph().draw_mermaid()
    for edge in ("begin -.-> think", "think --> score", "score --> decide", "decide -.-> think", "decide -.-> __end__"):
        assert f"\t{edge};" in mermaid


def test_a_signal_that_the_dm_was_trained_with_must_be_computed():
    with pytest.raises(ConfigError, match=r"got none for .*arithmetic_errors"):
        create_drr_graph(ScriptedChatModel(replies=[]), load_dm("pocket"), signals={})
