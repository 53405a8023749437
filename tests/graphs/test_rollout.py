"""Shadow and canary: the first reply stands as it would without the loop, and the run says what would have been."""

import json
from dataclasses import dataclass

import pytest
from fakes import FailingDM, ScriptedChatModel, TableDM
from graphs.ways import WAYS
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from drr_agent import Budget, ConfigError, RunLog, ThresholdPolicy, create_drr_graph
from drr_agent.nodes.rollout import Rollout
from drr_agent.runs import check_run, read_runs
from drr_agent.training.harvest import harvest
from drr_agent.training.weights import read_rows, weigh

QUESTION = {"messages": [HumanMessage("What is 2 + 2?", id="q")]}
TABLE = {"3": 0.1, "4": 0.9}
ASK_SHADOW = {"configurable": {"drr_mode": "shadow"}}


def loop(*texts, dm=None, **settings):
    reasoner = ScriptedChatModel(replies=[AIMessage(text, id=f"m{at}") for at, text in enumerate(texts, 1)])
    settings = {"policy": ThresholdPolicy(threshold=0.8), **settings}
    return create_drr_graph(reasoner, dm or TableDM(TABLE), **settings), reasoner


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def run(request):
    return request.param


@pytest.mark.parametrize(
    ("text", "settings", "answer", "score", "verdict", "would"),
    [
        pytest.param("Answer: 4", {}, "4", 0.9, "accept", ("accept", "accepted"), id="would accept"),
        pytest.param("Answer: 3", {}, "3", 0.1, "shadow", ("continue", None), id="would think again"),
        pytest.param("I do not know", {}, None, None, "shadow", ("continue", None), id="an answer nobody can read"),
        pytest.param("Answer: 3", {"max_turns": 1}, "3", 0.1, "reject", ("stop", "max_turns"), id="no turn is left"),
        pytest.param("Answer: 4", {"explore": 1.0}, "4", 0.9, "accept", ("accept", "accepted"), id="nothing explores"),
        pytest.param(
            "Answer: 3", {"budget": Budget(max_calls=1)}, "3", 0.1, "reject", ("stop", "budget"), id="no call is left"
        ),
        pytest.param(
            "Answer: 4",
            {"dm": FailingDM(RuntimeError("broken"))},
            "4",
            None,
            "shadow",
            ("continue", None),
            id="the DM fails",
        ),
    ],
)
def test_the_first_reply_stands(run, text, settings, answer, score, verdict, would):
    graph, reasoner = loop(text, "Answer: 4", mode="shadow", **settings)
    out = run(graph, QUESTION)
    trace = out["drr"]
    assert len(reasoner.asked) == trace["usage"]["calls"] == len(trace["attempts"]) == 1
    assert [(message.id, message.text) for message in out["messages"][1:]] == [("m1", text)]
    assert (trace["answer"], trace["accepted"], trace["stop_reason"]) == (answer, False, "shadow")
    assert (trace["attempts"][0]["score"], trace["attempts"][0]["verdict"]) == (score, verdict)
    assert (trace["would"]["outcome"], trace["would"]["stop_reason"], trace["mode"]) == (*would, "shadow")
    assert check_run(json.loads(json.dumps(trace))) is None


def test_a_call_that_fails_is_an_error_and_not_asked_again():
    reasoner = ScriptedChatModel(replies=[TimeoutError("slow"), AIMessage("Answer: 4")])
    out = create_drr_graph(reasoner, TableDM(TABLE), mode="shadow").invoke(QUESTION)
    assert (out["drr"]["stop_reason"], out["drr"]["answer"], len(out["messages"])) == ("error", None, 1)
    assert len(reasoner.asked) == 1


@pytest.mark.parametrize(
    ("mode", "config", "applied"),
    [
        pytest.param("enforce", None, None, id="enforced, and runs do not say"),
        pytest.param("enforce", ASK_SHADOW, "shadow", id="back to shadow by configuration"),
        pytest.param("shadow", {"configurable": {"drr_mode": "enforce"}}, "enforce", id="and on again"),
        pytest.param("shadow", {"configurable": {"thread_id": "1"}}, "shadow", id="shadow"),
        pytest.param("canary", ASK_SHADOW, "shadow", id="a canary back to shadow"),
    ],
)
def test_a_run_may_say_otherwise(run, mode, config, applied):
    graph, _ = loop("Answer: 3", "Answer: 4", mode=mode, share=1.0)
    trace = run(graph, QUESTION, config)["drr"]
    assert trace.get("mode") == applied
    assert trace["answer"] == ("3" if applied == "shadow" else "4")
    assert ("would" in trace) == (applied == "shadow")


@dataclass
class Context:
    drr_mode: str | None = None


@dataclass
class OtherContext:
    color: str = "red"


@pytest.mark.parametrize(
    ("context", "config", "answer"),
    [
        pytest.param(Context("shadow"), None, "3", id="a dataclass"),
        pytest.param(Context(), None, "4", id="a dataclass that leaves it open"),
        pytest.param(OtherContext(), None, "4", id="one that knows nothing of it"),
        pytest.param(None, None, "4", id="none"),
        pytest.param(Context("shadow"), {"configurable": {"drr_mode": "enforce"}}, "4", id="configurable first"),
    ],
)
def test_a_hosts_context_may_say(context, config, answer):
    graph, _ = loop("Answer: 3", "Answer: 4")
    host = StateGraph(MessagesState, context_schema=type(context) if context else None)
    host.add_node("drr", graph)
    host.add_edge(START, "drr")
    out = host.compile().invoke(QUESTION, config, context=context)
    assert out["messages"][-1].text == f"Answer: {answer}"


def test_a_context_may_be_a_mapping():
    graph, _ = loop("Answer: 3", "Answer: 4")
    assert graph.invoke(QUESTION, context={"drr_mode": "shadow"})["drr"]["mode"] == "shadow"


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.1, 60, 140), (1.0, 1000, 1000)])
def test_a_canary_enforces_its_share_of_threads(share, least, most):
    rollout = Rollout(mode="canary", share=share)
    threads = [{"configurable": {"thread_id": str(thread), "drr_mode": "canary"}} for thread in range(1000)]
    applied = [rollout.apply("", config) for config in threads]
    assert least <= applied.count("enforce") <= most
    assert applied == [rollout.apply("another run", config) for config in threads]


def test_a_larger_share_keeps_the_threads_of_a_smaller_one():
    small, large = Rollout(mode="canary", share=0.1), Rollout(mode="canary", share=0.3)
    runs = [f"run {number}" for number in range(300)]
    enforced = [{name for name in runs if rollout.apply(name, None) == "enforce"} for rollout in (small, large)]
    assert enforced[0] < enforced[1]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param({"mode": "dark"}, "`mode` must be one of enforce, shadow, canary, got 'dark'", id="mode"),
        pytest.param({"share": 1.5}, "`share` must be", id="too much"),
        pytest.param({"share": True}, "`share` must be", id="a truth value"),
        pytest.param({"share": float("nan")}, "`share` must be", id="not a number"),
    ],
)
def test_what_cannot_work_is_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        loop("Answer: 4", **settings)


def test_a_mode_that_is_none_is_refused_before_anything_is_paid():
    graph, reasoner = loop("Answer: 4")
    with pytest.raises(ConfigError, match="`drr_mode` must be one of"):
        graph.invoke(QUESTION, {"configurable": {"drr_mode": "dark"}})
    assert reasoner.asked == []


def test_the_log_holds_what_was_cut_off(tmp_path):
    log = tmp_path / "runs.jsonl"
    graph, _ = loop("Answer: 3", "Answer: 4", mode="shadow", run_log=RunLog(path=log))
    made = [graph.invoke(QUESTION, {"configurable": {"drr_mode": mode}})["drr"] for mode in ("shadow", "enforce")]
    assert list(read_runs(log)) == made


@pytest.mark.parametrize(
    ("modes", "hidden"),
    [
        pytest.param(["shadow"] * 3, 3, id="shadow alone"),
        pytest.param(["shadow", "enforce"], 2, id="beside one that thought on and was accepted"),
    ],
)
def test_a_replay_takes_no_shadowed_run_for_a_full_one(tmp_path, modes, hidden):
    log = tmp_path / "runs.jsonl"
    for mode in modes:
        graph, _ = loop("Answer: 3", "Answer: 4", mode=mode, run_log=RunLog(path=log))
        graph.invoke(QUESTION)
    readings = read_rows(harvest([log]).behaviors)
    _, coverage = weigh(readings)
    assert [reading.ended_by for reading in readings].count("shadow") == modes.count("shadow")
    assert coverage.unexplored == hidden
