"""Budgets of runs and of threads, in the graph: what ends a run, what is told, and that nothing counts twice."""

import pytest
from fakes import ScriptedChatModel, TableDM, make_attempt
from graphs.ways import WAYS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from drr_agent import Budget, RunLog, ThresholdPolicy, create_drr_graph, read_runs
from drr_agent.policy import Decision

QUESTION = {"messages": [HumanMessage("What is 2 + 2?")]}
THREAD = {"configurable": {"thread_id": "t"}}
TABLE = {"3": 0.1, "4": 0.9, "5": 0.3}
FREE = {"max_calls": None, "max_tokens": None, "max_seconds": None}


def reply(answer, given=80, made=20, **changes):
    usage = {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}
    return AIMessage(f"Answer: {answer}", usage_metadata=usage, **changes)


def make_graph(*replies, **settings):
    reasoner = ScriptedChatModel(replies=[reply(text) if isinstance(text, str) else text for text in replies])
    settings = {"policy": ThresholdPolicy(threshold=0.8), "max_turns": 8, **settings}
    return create_drr_graph(reasoner, TableDM(TABLE), **settings), reasoner


def in_host(graph, **options):
    host = StateGraph(Host)
    host.add_node("answer", graph)
    host.add_edge(START, "answer")
    return host.compile(**options)


class Host(MessagesState):
    drr: dict


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def run(request):
    return request.param


def budget(**limits):
    return Budget(**{**FREE, **limits})


PRICED = {"price_in": 1000, "price_out": 5000}
"""USD per million tokens: a reply costs 0.08 + 0.10."""


@pytest.mark.parametrize(
    ("limits", "limit", "calls"),
    [
        pytest.param({"max_calls": 2}, "calls", 2, id="calls"),
        pytest.param({"max_tokens": 300}, "tokens", 3, id="tokens"),
        pytest.param({"max_tokens": 301}, "tokens", 4, id="a turn goes over"),
        pytest.param({"max_usd": 0.36, **PRICED}, "usd", 2, id="USD"),
        pytest.param({"max_seconds": 1e-9}, "seconds", 1, id="seconds"),
    ],
)
def test_a_limit_ends_a_run_with_its_best_answer(limits, limit, calls, tmp_path):
    log = RunLog(path=tmp_path / "runs.jsonl", required=True)
    graph, reasoner = make_graph("5", *["3"] * 6, budget=budget(**limits), run_log=log)
    out = graph.invoke(QUESTION)
    trace = out["drr"]
    assert (trace["answer"], trace["stop_reason"], len(reasoner.asked)) == ("5", "budget", calls)
    assert (trace["limit"], trace["limit_scope"]) == (limit, "run")
    assert [message.text for message in out["messages"]] == ["What is 2 + 2?", "Answer: 5"]
    assert list(read_runs(log.path)) == [trace]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_turns": 1}, "max_turns"),
        ({"policy": ThresholdPolicy(threshold=0.1)}, "accepted"),
        ({"max_turns": 1, "budget": budget(max_calls=1)}, "max_turns"),
    ],
    ids=["turns", "the policy", "turns before a budget"],
)
def test_no_limit_is_named_where_none_ended_the_run(settings, reason):
    trace = make_graph("5", **settings)[0].invoke(QUESTION)["drr"]
    assert trace["stop_reason"] == reason
    assert not {"limit", "limit_scope", "usd"} & trace.keys()


class AcceptsAtTheEnd:
    abstain_below = 0.0

    def decide(self, attempts):
        return Decision("continue", 0, 0.6, exhausted="accept")


def test_a_limit_is_named_also_where_the_policy_accepts_at_it():
    graph, _ = make_graph("5", policy=AcceptsAtTheEnd(), budget=budget(max_calls=1))
    trace = graph.invoke(QUESTION)["drr"]
    assert (trace["stop_reason"], trace["limit"]) == ("accepted", "calls")


def budget_events(graph, config=None):
    events = graph.stream(QUESTION, config, stream_mode="custom")
    kept = [event for event in events if event["type"] == "drr.budget"]
    return [(event["turn"], event["scope"], event["limit"], event["spent"], event["max"]) for event in kept]


@pytest.mark.parametrize(
    ("limits", "turns", "told"),
    [
        pytest.param({"max_calls": 5}, 3, [], id="not yet"),
        pytest.param({"max_calls": 5}, 8, [(4, "run", "calls", 4, 5)], id="once, at 80 %"),
        pytest.param({"max_tokens": 250}, 8, [(2, "run", "tokens", 200, 250)], id="tokens"),
        pytest.param({"max_calls": 1}, 8, [(1, "run", "calls", 1, 1)], id="at once"),
        pytest.param(
            {"max_calls": 4, "max_tokens": 400},
            8,
            [(4, "run", "calls", 4, 4), (4, "run", "tokens", 400, 400)],
            id="each of two",
        ),
    ],
)
def test_an_event_tells_of_80_percent(limits, turns, told):
    assert budget_events(make_graph(*["3"] * 8, max_turns=turns, budget=budget(**limits))[0]) == told


@pytest.mark.parametrize(
    ("limits", "replies", "usd", "told"),
    [
        pytest.param({"max_usd": 9, **PRICED}, ["3", "3"], 0.36, [], id="known"),
        pytest.param({**PRICED}, ["3", "3"], 0.36, [], id="prices without a limit"),
        pytest.param({"max_usd": 9}, ["3", "3"], None, [(1, "run", "usd", None, 9)], id="no price"),
        pytest.param(
            {"max_usd": 9, **PRICED},
            ["3", AIMessage("Answer: 3")],
            None,
            [(2, "run", "usd", None, 9)],
            id="a reply that tells no tokens",
        ),
        pytest.param(
            {"max_usd": 0.4, **PRICED},
            [AIMessage("Answer: 3"), "3", "3"],
            None,
            [(1, "run", "usd", None, 0.4), (3, "run", "usd", pytest.approx(0.36), 0.4)],
            id="at least so much",
        ),
    ],
)
def test_an_unknown_cost_is_unknown_and_said_once(limits, replies, usd, told):
    settings = {"max_turns": len(replies), "budget": budget(**limits)}
    assert budget_events(make_graph(*replies, **settings)[0]) == told
    trace = make_graph(*replies, **settings)[0].invoke(QUESTION)["drr"]
    assert trace["usd"] == (None if usd is None else pytest.approx(usd))
    assert trace["stop_reason"] == "max_turns", "what is not known ends nothing"


def test_list_prices_count_by_the_name_of_the_reasoner(monkeypatch):
    pytest.importorskip("genai_prices")
    monkeypatch.setattr("drr_agent.graphs.drr.describe_reasoner", lambda reasoner: "openai:gpt-4o-mini")
    graph, _ = make_graph(*["3"] * 8, budget=budget(max_usd=2e-5))
    trace = graph.invoke(QUESTION)["drr"]
    assert (trace["stop_reason"], trace["limit"]) == ("budget", "usd")
    assert trace["usd"] >= 2e-5


def thread_usage(graph, config=THREAD):
    """Calls of the thread's earlier runs, as the next one will count them."""
    return graph.get_state(config).values["drr_thread"]["usage"]["calls"]


def ask(graph, text="And 1 + 3?", config=THREAD):
    return graph.invoke({"messages": [HumanMessage(text)]}, config)


def test_a_thread_counts_all_its_runs(run):
    graph, reasoner = make_graph(
        *["3"] * 9, max_turns=2, thread_budget=budget(max_calls=3), checkpointer=InMemorySaver()
    )
    first, second, third = (run(graph, {"messages": [HumanMessage(text)]}, THREAD) for text in ("a?", "b?", "c?"))
    assert "limit" not in first["drr"]
    assert [len(out["drr"]["attempts"]) for out in (first, second, third)] == [2, 1, 0]
    for out in (second, third):
        assert (out["drr"]["stop_reason"], out["drr"]["limit"], out["drr"]["limit_scope"]) == (
            "budget",
            "calls",
            "thread",
        )
    assert (third["drr"]["answer"], third["messages"][-1].text, len(reasoner.asked)) == (None, "c?", 3)


def test_another_thread_has_its_own(run):
    graph, _ = make_graph(*["3"] * 9, max_turns=2, thread_budget=budget(max_calls=2), checkpointer=InMemorySaver())
    for name in ("a", "b"):
        out = run(graph, QUESTION, {"configurable": {"thread_id": name}})
        assert len(out["drr"]["attempts"]) == 2


def test_a_thread_tells_of_80_percent_once_a_run():
    graph, _ = make_graph(*["3"] * 9, max_turns=2, thread_budget=budget(max_calls=5), checkpointer=InMemorySaver())
    assert [budget_events(graph, THREAD) for _ in range(3)] == [
        [],
        [(2, "thread", "calls", 4, 5)],
        [(1, "thread", "calls", 5, 5)],
    ]


def test_a_thread_counts_usd_and_seconds():
    graph, _ = make_graph(
        *["3"] * 9, max_turns=1, thread_budget=budget(max_usd=0.3, **PRICED), checkpointer=InMemorySaver()
    )
    traces = [ask(graph)["drr"] for _ in range(3)]
    assert [trace["stop_reason"] for trace in traces] == ["max_turns", "max_turns", "budget"]
    assert [trace["usd"] for trace in traces] == [pytest.approx(0.18), pytest.approx(0.18), 0.0]
    spent = graph.get_state(THREAD).values["drr_thread"]["seconds"]
    assert spent == pytest.approx(sum(trace["seconds"] for trace in traces[:2]), abs=1e-3)


def test_without_memory_a_thread_is_one_run():
    graph, _ = make_graph(*["3"] * 4, max_turns=2, thread_budget=budget(max_calls=3))
    assert [ask(graph, config=None)["drr"]["stop_reason"] for _ in range(2)] == ["max_turns"] * 2


def test_a_run_that_is_resumed_counts_its_replies_once():
    graph, reasoner = make_graph("3", KeyError("crash"), "3", "3", max_turns=3, checkpointer=InMemorySaver())
    with pytest.raises(KeyError):
        graph.invoke(QUESTION, THREAD)
    resumed = graph.invoke(None, THREAD)["drr"]
    assert (resumed["usage"]["calls"], len(reasoner.asked)) == (3, 4)
    graph.invoke(None, THREAD)
    assert thread_usage(graph) == 0, "nothing before the one run"
    reasoner.replies.append(reply("4"))
    ask(graph)
    assert thread_usage(graph) == 3


def ask_until_it_ends(graph, text):
    question = {"messages": [HumanMessage(text)]}
    while True:
        try:
            return graph.invoke(question, THREAD)
        except KeyError:
            question = None  # resumed


@settings(max_examples=30)
@given(st.lists(st.booleans(), min_size=1, max_size=8))
@example([False] * 5 + [True])
def test_whatever_crashes_every_reply_counts_once(crashes):
    script = [KeyError("crash") if crash else reply("3") for crash in crashes] + [reply("3")] * 6
    graph, reasoner = make_graph(*script, max_turns=2, checkpointer=InMemorySaver())
    for runs, text in enumerate(("a?", "b?", "c?")):
        ask_until_it_ends(graph, text)
        crashed = sum(isinstance(given, KeyError) for given in script[: len(reasoner.asked)])
        assert len(reasoner.asked) - crashed == 2 * (runs + 1)
        assert thread_usage(graph) == 2 * runs


def test_a_run_that_never_ended_counts():
    graph, _ = make_graph("3", KeyError("crash"), "4", checkpointer=InMemorySaver())
    with pytest.raises(KeyError):
        graph.invoke(QUESTION, THREAD)
    ask(graph)
    assert thread_usage(graph) == 1


@pytest.mark.parametrize("node", ["begin", "think", "score", "decide"])
def test_a_replay_counts_what_its_own_history_holds(node):
    """Whichever step of the first run is replayed, the branch has two attempts when the next question comes."""
    graph, _ = make_graph(*["3"] * 9, max_turns=2, checkpointer=InMemorySaver())
    graph.invoke(QUESTION, THREAD)
    past = [state for state in graph.get_state_history(THREAD) if state.next == (node,)]
    for state in past:
        graph.invoke(None, state.config)
    ask(graph)
    assert thread_usage(graph) == 2


def test_a_fork_by_hand_counts_once():
    graph, _ = make_graph(*["3"] * 9, max_turns=2, checkpointer=InMemorySaver())
    graph.invoke(QUESTION, THREAD)
    forked = graph.update_state(THREAD, {"messages": [AIMessage("a word of mine")]}, as_node="decide")
    ask(graph, config=forked)
    ask(graph)
    assert thread_usage(graph) == 4


def test_attempts_made_elsewhere_are_no_spending_of_the_thread():
    graph, _ = make_graph(
        "3", "3", "4", "4", max_turns=3, checkpointer=InMemorySaver(), thread_budget=budget(max_calls=4)
    )
    prior = [make_attempt("3", 0.1, turn=1)]
    trace = graph.invoke({**QUESTION, "drr_assignment": {"prior": prior}}, THREAD)["drr"]
    assert trace["usage"]["calls"] == 3
    assert ask(graph)["drr"]["stop_reason"] == "accepted"
    assert thread_usage(graph) == 2


@pytest.mark.parametrize(
    ("memory", "calls"), [(True, [2, 1]), (None, [2, 2])], ids=["a memory of its own", "fresh at every call"]
)
def test_within_a_host_a_thread_is_what_the_subgraph_remembers(run, memory, calls):
    graph, _ = make_graph(*["3"] * 9, max_turns=2, thread_budget=budget(max_calls=3), checkpointer=memory)
    host = in_host(graph, checkpointer=InMemorySaver())
    outs = [run(host, {"messages": [HumanMessage(text)]}, THREAD) for text in ("a?", "b?")]
    assert [len(out["drr"]["attempts"]) for out in outs] == calls


@pytest.mark.parametrize("place", ["top", "subgraph"])
@pytest.mark.parametrize("limit", range(3, 15))
def test_the_recursion_limit_ends_a_run_with_its_best_answer(run, limit, place):
    """Begin and the first turn are four steps, each further turn three, and LangGraph wants one to spare."""
    graph, reasoner = make_graph("5", *["3"] * 7)
    built = in_host(graph) if place == "subgraph" else graph
    trace = run(built, QUESTION, {"recursion_limit": limit})["drr"]
    assert len(reasoner.asked) == max(0, (limit - 2) // 3)
    assert (trace["stop_reason"], trace["limit"], trace["limit_scope"]) == ("budget", "recursion", "run")
    assert trace["answer"] == ("5" if limit >= 5 else None)


@pytest.mark.parametrize("limit", [5, 6])
def test_an_answer_within_the_recursion_limit_is_accepted(run, limit):
    trace = run(make_graph("4")[0], QUESTION, {"recursion_limit": limit})["drr"]
    assert (trace["stop_reason"], "limit" in trace) == ("accepted", False)
