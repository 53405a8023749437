"""Thinking on after the policy has ended a run: for the log alone, and never at the cost of what it ended with."""

import asyncio
import json
import math

import pytest
from fakes import FailingDM, FunctionChatModel, ScriptedChatModel, TableDM, make_attempt
from graphs.ways import WAYS, run_ainvoke
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from drr_agent import Budget, ConfigError, NoProgress, RunLog, ThresholdPolicy, create_drr_graph
from drr_agent.budget import Limits
from drr_agent.dm.protocol import Score
from drr_agent.evaluation.samples import read_samples
from drr_agent.graphs.baselines import BASELINES, create_baseline
from drr_agent.nodes.decide import Decide
from drr_agent.parsing import AnswerLine
from drr_agent.policy import Decision, first_ended
from drr_agent.training.distill import distill
from drr_agent.training.harvest import harvest

QUESTION = {"messages": [HumanMessage("What is 2 + 2?", id="q")]}
TABLE = {"3": 0.1, "4": 0.9, "5": 0.3, "6": 0.95}
POLICY = ThresholdPolicy(threshold=0.8)


def reply(answer, **changes):
    return AIMessage(f"thinking\nAnswer: {answer}", **changes)


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def run(request):
    return request.param


def explorer(replies, dm=None, **settings):
    """A graph that always explores, and its Reasoner."""
    reasoner = ScriptedChatModel(replies=replies)
    settings = {"policy": POLICY, "explore": 1.0, **settings}
    return create_drr_graph(reasoner, TableDM(TABLE) if dm is None else dm, **settings), reasoner


@pytest.mark.parametrize(
    ("explore", "answers", "settings", "made"),
    [
        pytest.param(0, ["4"], {}, 1, id="never"),
        pytest.param(0.0, ["5", "4"], {}, 2, id="never, though it rejected before"),
        pytest.param(1, ["4", "3", "6", "5"], {}, 4, id="to the last turn"),
        pytest.param(1.0, ["5", "4", "3", "3"], {}, 4, id="after a rejection"),
        pytest.param(1.0, ["5", "5", "5", "4"], {}, 4, id="nothing is left after the last turn"),
        pytest.param(1.0, ["4"], {"max_turns": 1}, 1, id="one turn leaves nothing to explore"),
        pytest.param(1.0, ["4", "3"], {"budget": Budget(max_calls=2)}, 2, id="to the end of the calls"),
        pytest.param(1.0, ["4"], {"budget": Budget(max_calls=1)}, 1, id="no calls are left"),
        pytest.param(1.0, ["4", "3"], {"feedback": "history", "max_turns": 2}, 2, id="history"),
        pytest.param(1.0, ["4", "3"], {"feedback": "contrast", "max_turns": 2}, 2, id="contrast"),
    ],
)
def test_the_accepted_answer_stands(run, explore, answers, settings, made):
    replies = [reply(answer, id=f"m{turn}") for turn, answer in enumerate(answers, start=1)]
    graph, reasoner = explorer(replies, explore=explore, **settings)
    out = run(graph, QUESTION)
    trace, place = out["drr"], answers.index("4")
    assert len(reasoner.asked) == len(trace["attempts"]) == trace["usage"]["calls"] == made
    assert (trace["answer"], trace["score"], trace["choice"]) == ("4", 0.9, place)
    assert (trace["accepted"], trace["stop_reason"], trace["explore"]) == (True, "accepted", explore)
    verdicts = ["reject"] * place + ["accept"] + [None] * (made - place - 1)
    assert [attempt["verdict"] for attempt in trace["attempts"]] == verdicts
    assert [attempt["turn"] for attempt in trace["attempts"]] == list(range(1, made + 1))
    assert [(message.type, message.id) for message in out["messages"]] == [("human", "q"), ("ai", f"m{place + 1}")]


def test_what_it_makes_after_the_accept_is_scored(run):
    graph, _ = explorer([reply("4"), reply("6"), reply("3")], max_turns=3)
    assert [attempt["score"] for attempt in run(graph, QUESTION)["drr"]["attempts"]] == [0.9, 0.95, 0.1]


def test_without_an_accept_there_is_nothing_to_explore(run):
    graph, _ = explorer([reply("5"), reply("3")], max_turns=2)
    trace = run(graph, QUESTION)["drr"]
    assert (trace["answer"], trace["accepted"], trace["stop_reason"]) == ("5", False, "max_turns")
    assert [attempt["verdict"] for attempt in trace["attempts"]] == ["reject", "reject"]


class Says:
    """A policy that ends the run as it is told to."""

    abstain_below = 0.0

    def __init__(self, outcome):
        self.outcome = outcome

    def decide(self, attempts):
        return Decision(self.outcome, 0, 0.7)


class Ends:
    """A policy that ends the run at its turn `at`, with a decision of its own."""

    def __init__(self, decision, *, at, abstain_below=0.0):
        self.decision, self.at, self.abstain_below = decision, at, abstain_below

    def decide(self, attempts):
        return self.decision if len(attempts) == self.at else Decision("continue", 0, 0.5)


def outcome_of(out):
    """What a caller gets of a run."""
    trace = out["drr"]
    told = {name: trace[name] for name in ("answer", "stop_reason", "choice", "accepted", "score")}
    return {**told, "messages": [message.text for message in out["messages"]]}


@pytest.mark.parametrize(
    ("decision", "abstain_below", "reason", "answer", "verdict"),
    [
        pytest.param(Decision("accept", 1, 0.7), 0.0, "accepted", "5", "accept", id="accept"),
        pytest.param(Decision("stop", 0, 0.3), 0.0, "stopped", "4", "stop", id="stop"),
        pytest.param(Decision("stop", 0, 0.3), 0.4, "stopped", None, "stop", id="stop, abstaining"),
        pytest.param(Decision("stop", None, None), 0.0, "stopped", None, "stop", id="stop without an answer"),
        pytest.param(Decision("stop", 1, 0.3, reason="no_progress"), 0.0, "no_progress", "5", "stop", id="no progress"),
        pytest.param(Decision("review", 0, 0.3), 0.0, "review", "4", "review", id="review"),
        pytest.param(Decision("review", 0, 0.3), 0.4, "review", None, "review", id="review, abstaining"),
    ],
)
def test_whatever_the_policy_ends_is_explored_and_what_it_ended_with_stands(
    run, decision, abstain_below, reason, answer, verdict
):
    def once(explore):
        policy = Ends(decision, at=2, abstain_below=abstain_below)
        return run(explorer([reply(answer) for answer in "4563"], policy=policy, explore=explore)[0], QUESTION)

    cut, explored = once(0.0), once(1.0)
    assert outcome_of(explored) == outcome_of(cut)
    assert (cut["drr"]["stop_reason"], cut["drr"]["answer"]) == (reason, answer)
    for out, tail in ((cut, []), (explored, [None, None])):
        assert [attempt["verdict"] for attempt in out["drr"]["attempts"]] == ["reject", verdict, *tail]


decisions = st.builds(
    Decision,
    st.sampled_from(["accept", "continue", "continue", "stop", "review"]),
    st.sampled_from([None, 0]),
    st.sampled_from([None, 0.2, 0.8]),
    st.sampled_from(["continue", "accept", "review"]),
    st.sampled_from([None, None, "no_progress"]),
)


@given(
    script=st.lists(decisions, min_size=3, max_size=3),
    replies=st.lists(st.sampled_from(["4", "5", "3"]), min_size=3, max_size=3),
    abstain_below=st.sampled_from([0.0, 0.5]),
    calls=st.sampled_from([1, 2, 20]),
)
@hypothesis_settings(max_examples=40)
def test_exploring_never_changes_an_outcome(script, replies, abstain_below, calls):
    class Scripted:
        def decide(self, attempts):
            return script[len(attempts) - 1]

    policy, budget = Scripted(), Budget(max_calls=calls)
    policy.abstain_below = abstain_below
    made = [
        explorer([reply(r) for r in replies], policy=policy, max_turns=3, budget=budget, explore=explore)[0]
        for explore in (0.0, 1.0)
    ]
    cut, explored = (graph.invoke(QUESTION) for graph in made)
    assert outcome_of(explored) == outcome_of(cut)
    before, after = ([attempt["verdict"] for attempt in out["drr"]["attempts"]] for out in (cut, explored))
    assert after == [*before, *[None] * (len(after) - len(before))]


def test_a_run_that_goes_in_circles_is_explored(run):
    policy = NoProgress(policy=POLICY, same_answer=2, same_rationale=None)
    graph, _ = explorer([reply("5"), reply("5"), reply("4"), reply("6")], policy=policy)
    trace = run(graph, QUESTION)["drr"]
    assert (trace["stop_reason"], trace["answer"], trace["accepted"]) == ("no_progress", "5", False)
    assert [attempt["verdict"] for attempt in trace["attempts"]] == ["reject", "stop", None, None]


class Sends(Says):
    """Goes on, and asks for a review where turns or budget end."""

    def decide(self, attempts):
        return Decision("continue", 0, 0.7, "review")


@pytest.mark.parametrize(
    ("answers", "limits"),
    [
        pytest.param(["4", "5"], {"max_turns": 2}, id="turns"),
        pytest.param(["4"], {"budget": Budget(max_calls=1)}, id="budget"),
    ],
)
def test_a_review_that_limits_brought_about_hides_nothing(run, answers, limits):
    graph, reasoner = explorer([reply(answer) for answer in answers], policy=Sends("continue"), **limits)
    trace = run(graph, QUESTION)["drr"]
    assert (trace["stop_reason"], len(reasoner.asked)) == ("review", len(answers))
    assert {attempt["verdict"] for attempt in trace["attempts"]} == {"reject"}


class Doubts(Says):
    """Goes on, and accepts where turns or budget end."""

    def decide(self, attempts):
        return Decision("continue", 0, 0.7, "accept")


@pytest.mark.parametrize(
    ("answers", "limits"),
    [
        pytest.param(["4", "5"], {"max_turns": 2}, id="turns"),
        pytest.param(["4"], {"budget": Budget(max_calls=1)}, id="budget"),
    ],
)
def test_an_accept_where_turns_or_budget_end_leaves_nothing_to_explore(run, answers, limits):
    graph, reasoner = explorer([reply(answer) for answer in answers], policy=Doubts("continue"), **limits)
    trace = run(graph, QUESTION)["drr"]
    assert (trace["answer"], trace["accepted"], trace["stop_reason"]) == ("4", True, "accepted")
    assert len(reasoner.asked) == len(answers)
    assert first_ended(trace["attempts"]) == len(answers) - 1


@pytest.mark.parametrize(("outcome", "answer"), [("accept", "4"), ("stop", None), ("review", None)])
def test_what_is_withheld_does_not_hang_on_exploring(run, outcome, answer):
    class Unsure(Says):
        abstain_below = 0.9

    graph, _ = explorer([reply("4"), reply("3")], policy=Unsure(outcome), max_turns=2)
    assert run(graph, QUESTION)["drr"]["answer"] == answer


@pytest.mark.parametrize("outcome", ["accept", "stop", "review"])
def test_the_policy_sees_what_it_ended_at_and_nothing_later(run, outcome):
    seen = []

    class Watching(Ends):
        def decide(self, attempts):
            seen.append([(attempt["answer"], attempt["verdict"]) for attempt in attempts])
            return super().decide(attempts)

    policy = Watching(Decision(outcome, 0, 0.7), at=2)
    graph, _ = explorer([reply("5"), reply("4"), reply("6")], policy=policy, max_turns=3)
    run(graph, QUESTION)
    ended = [("5", "reject"), ("4", None)]
    assert seen == [[("5", None)], ended, ended]


class TurnDM(TableDM):
    """Fails at every answer that is not in its table, in the way it is told to."""

    def __init__(self, error):
        super().__init__({"4": 0.9})
        self.error = error

    def score(self, requests):
        if any(request.answer not in self.table for request in requests):
            raise self.error
        return super().score(requests)


@pytest.mark.parametrize("on_dm_failure", ["continue", "raise"])
@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(TimeoutError("slow"), id="a time-out"),
        pytest.param(KeyError("bug"), id="a bug"),
        pytest.param(ConfigError("no such model"), id="an error of ours"),
        pytest.param(AssertionError("odd"), id="an assertion"),
        pytest.param("", id="an empty reply"),
        pytest.param(reply("99"), id="a DM that fails"),
    ],
)
def test_no_error_in_the_tail_is_worth_the_answer(run, tail, on_dm_failure):
    graph, reasoner = explorer(
        [reply("4", id="kept"), tail, tail], dm=TurnDM(RuntimeError("dead")), max_turns=3, on_dm_failure=on_dm_failure
    )
    out = run(graph, QUESTION)
    trace = out["drr"]
    assert (trace["answer"], trace["score"], trace["stop_reason"], trace["choice"]) == ("4", 0.9, "accepted", 0)
    assert out["messages"][-1].id == "kept"
    assert len(reasoner.asked) == len(trace["attempts"]) == 3
    for attempt in trace["attempts"][1:]:
        assert attempt["verdict"] is attempt["score"] is None
        assert attempt["error"] == (f"{type(tail).__name__}: {tail}" if isinstance(tail, Exception) else None)
        assert attempt["score_error"] == ("RuntimeError: dead" if isinstance(tail, AIMessage) else None)


@pytest.mark.parametrize("scores", [None, [], [Score(float("nan"))]], ids=["none", "too few", "NaN"])
def test_a_dm_that_breaks_its_contract_in_the_tail_costs_a_score(run, scores):
    class Breaking(TableDM):
        def score(self, requests):
            return super().score(requests) if requests[0].answer in self.table else scores

    graph, _ = explorer([reply("4"), reply("7")], dm=Breaking(TABLE), max_turns=2, on_dm_failure="raise")
    trace = run(graph, QUESTION)["drr"]
    assert (trace["answer"], trace["attempts"][1]["score_error"][:8]) == ("4", "DMError:")


class FussyParser(AnswerLine):
    """Cannot read a 7."""

    def parse(self, output):
        parsed = super().parse(output)
        if parsed.answer == "7":
            raise ValueError("a 7")
        return parsed


def seven(given):
    if given.draft["answer"] == "7":
        raise ZeroDivisionError
    return 1.0


@pytest.mark.parametrize(
    ("settings", "error", "signals"),
    [
        pytest.param({"parser": FussyParser()}, "ValueError: a 7", {"seven": 1.0}, id="a parser"),
        pytest.param({}, None, {"seven": None}, id="a signal"),
    ],
)
def test_nor_is_an_error_of_the_users_own_parts(run, settings, error, signals):
    graph, _ = explorer(
        [reply("4"), reply("7")], TableDM({**TABLE, "7": 0.5}), max_turns=2, signals={"seven": seven}, **settings
    )
    trace = run(graph, QUESTION)["drr"]
    assert (trace["answer"], trace["stop_reason"]) == ("4", "accepted")
    assert [trace["attempts"][1][name] for name in ("error", "signals")] == [error, signals]


@pytest.mark.parametrize(
    ("replies", "settings", "error"),
    [
        pytest.param([KeyError("bug")], {}, KeyError, id="Reasoner"),
        pytest.param([reply("5"), KeyError("bug")], {}, KeyError, id="Reasoner, after a rejection"),
        pytest.param([reply("7")], {"parser": FussyParser()}, ValueError, id="parser"),
        pytest.param([reply("7")], {"signals": {"seven": seven}}, ZeroDivisionError, id="signal"),
        pytest.param(
            [reply("4")], {"dm": FailingDM(RuntimeError("dead")), "on_dm_failure": "raise"}, RuntimeError, id="DM"
        ),
    ],
)
def test_before_an_accept_errors_end_the_run_as_ever(run, replies, settings, error):
    graph, _ = explorer(replies, **settings)
    with pytest.raises(error):
        run(graph, QUESTION)


def test_time_that_runs_out_in_the_tail_leaves_the_answer():
    class Hanging(ScriptedChatModel):
        async def _agenerate(self, messages, *arguments, **settings):
            if self.asked:
                await asyncio.Event().wait()
            return self._generate(messages)

    graph = create_drr_graph(
        Hanging(replies=[reply("4")]), TableDM(TABLE), policy=POLICY, explore=1.0, budget=Budget(max_seconds=0.3)
    )
    trace = run_ainvoke(graph, QUESTION)["drr"]
    assert (trace["answer"], trace["stop_reason"]) == ("4", "accepted")
    assert [attempt["error"] for attempt in trace["attempts"]] == [
        None,
        "TimeoutError: no reply within the run's 0.3 seconds",
    ]


def test_every_way_gives_the_same_run():
    def once(call):
        trace = call(explorer([reply("5"), reply("4"), KeyError("bug"), reply("6")])[0], QUESTION)["drr"]
        for part in (trace, *trace["attempts"]):
            part.pop("seconds")
        return {name: value for name, value in trace.items() if name not in ("run_id", "started_at")}

    traces = [once(call) for call in WAYS.values()]
    assert all(trace == traces[0] for trace in traces)


def test_the_events_tell_every_turn():
    graph, _ = explorer([reply("4"), reply("5")], max_turns=2)
    events = list(graph.stream(QUESTION, stream_mode="custom"))
    assert [(event["type"], event["turn"]) for event in events] == [
        (f"drr.{node}", turn) for turn in (1, 2) for node in ("think", "score", "decide")
    ]
    assert [event["stop_reason"] for event in events if event["type"] == "drr.decide"] == [None, "accepted"]


def test_embedded_in_a_host_only_the_accepted_answer_reaches_its_messages(run):
    graph, _ = explorer([reply("4", id="kept"), reply("6"), KeyError("bug"), reply("3")])
    host = StateGraph(MessagesState)
    host.add_node("drr", graph)
    host.add_edge(START, "drr")
    out = run(host.compile(), QUESTION)
    assert [(message.type, message.id) for message in out["messages"]] == [("human", "q"), ("ai", "kept")]


@pytest.mark.parametrize("verdict", ["accept", "stop", "review"])
def test_harvested_it_knows_how_it_came_to_be(tmp_path, verdict):
    log = RunLog(path=tmp_path / "runs.jsonl")
    told = {"explore": 1.0, "run_log": log, "policy": Ends(Decision(verdict, 0, 0.5), at=2)}
    explorer([reply("5"), reply("4"), TimeoutError("slow"), reply("6")], **told)[0].invoke(QUESTION)
    rows = harvest([log.path], progress=False).behaviors
    assert [(row["turn"], row["verdict"], row["origin"], row["propensity"]) for row in rows] == [
        (1, "reject", "live", 1.0),
        (2, verdict, "live", 1.0),
        (4, None, "explored", 1.0),
    ]


def test_the_propensity_is_the_rate(tmp_path):
    log = RunLog(path=tmp_path / "runs.jsonl")
    reasoner = FunctionChatModel(function=lambda messages: "Answer: 4")
    graph = create_drr_graph(reasoner, TableDM(TABLE), policy=POLICY, max_turns=2, run_log=log, explore=0.5)
    while True:
        trace = graph.invoke(QUESTION)["drr"]
        if len(trace["attempts"]) == 2:  # one run in two; that none explores has no chance worth a name
            break
    rows = [row for row in harvest([log.path], progress=False).behaviors if row["run_id"] == trace["run_id"]]
    assert [(row["origin"], row["propensity"]) for row in rows] == [("live", 1.0), ("explored", 0.5)]


def decide_node(explore):
    return Decide(policy=POLICY, max_turns=4, limits=Limits(run=Budget()), identity={}, run_log=None, explore=explore)


def explored(node, run_id):
    return node._explores({"drr_start": {"run_id": run_id}, "drr_attempts": [make_attempt()]}, None)


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.3, 0.5, 0.99, 1.0])
def test_the_share_of_runs_that_explore_is_near_the_rate(rate):
    count, node = 4_000, decide_node(rate)
    share = sum(explored(node, f"{number:032x}") for number in range(count)) / count
    assert abs(share - rate) <= 4.5 * math.sqrt(rate * (1 - rate) / count)  # run ids are fixed: it cannot flake


def test_a_higher_rate_explores_the_same_runs_and_more():
    few, many = ({n for n in range(500) if explored(decide_node(rate), str(n))} for rate in (0.1, 0.4))
    assert few < many


@pytest.mark.parametrize("limit", range(5, 18))
def test_it_stops_short_of_the_callers_recursion_limit(run, limit):
    """Begin and the first turn are four steps, each further turn is three, and LangGraph wants one to spare."""
    graph, _ = explorer([reply("4", id="kept"), *[reply("3")] * 7], max_turns=8)
    out = run(graph, QUESTION, {"recursion_limit": limit})
    assert (out["drr"]["answer"], out["drr"]["stop_reason"]) == ("4", "accepted")
    assert out["messages"][-1].id == "kept"
    assert len(out["drr"]["attempts"]) == 1 + (limit - 5) // 3


@pytest.mark.parametrize("limit", [24, 25, 26])
def test_so_it_does_after_rejections_and_in_a_host(run, limit):
    graph, _ = explorer([*[reply("5")] * 3, reply("4"), *[reply("3")] * 26], max_turns=30)
    host = StateGraph(MessagesState).add_node("answer", graph).add_edge(START, "answer").compile()
    assert run(host, QUESTION, {"recursion_limit": limit})["messages"][-1].text.endswith("Answer: 4")


class Killed(BaseException):
    """What no node catches."""


@pytest.mark.parametrize("crash", [pytest.param(2, id="first of the tail"), pytest.param(4, id="last of the tail")])
@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        pytest.param(POLICY, "accepted", id="accepted"),
        pytest.param(Says("stop"), "stopped", id="stopped"),
        pytest.param(Says("review"), "review", id="reviewed"),
    ],
)
def test_a_run_that_crashed_in_its_tail_goes_on_with_its_answer(crash, policy, reason):
    replies = [reply("4", id="kept"), reply("3"), reply("6"), reply("5")]
    replies.insert(crash - 1, Killed())
    graph, reasoner = explorer(replies, policy=policy, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}}
    with pytest.raises(Killed):
        graph.invoke(QUESTION, config)
    before = graph.get_state(config).values
    assert first_ended(before["drr_attempts"]) == 0
    out = graph.invoke(None, config)
    trace = out["drr"]
    assert trace["run_id"] == before["drr_start"]["run_id"]
    assert [attempt["answer"] for attempt in trace["attempts"]] == ["4", "3", "6", "5"]
    assert (trace["answer"], trace["stop_reason"], out["messages"][-1].id) == ("4", reason, "kept")
    assert len(reasoner.asked) == 5


def test_a_resumed_run_does_not_draw_again():
    """At a rate of one half a second draw would end, on resuming, half of the runs that had begun to explore."""
    resumed = 0
    for number in range(40):
        replies = [reply("4"), Killed(), reply("3"), reply("3")]
        graph, reasoner = explorer(replies, explore=0.5, max_turns=3, checkpointer=InMemorySaver())
        config = {"configurable": {"thread_id": str(number)}}
        try:
            graph.invoke(QUESTION, config)
        except Killed:
            resumed += 1
            assert len(graph.invoke(None, config)["drr"]["attempts"]) == 3
            assert len(reasoner.asked) == 4
    assert 4 < resumed < 36  # 20 expected; outside once in a hundred million


def test_the_next_question_on_a_thread_starts_fresh(run):
    graph, _ = explorer([reply("4"), reply("3"), reply("5"), reply("6")], max_turns=2, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}}
    run(graph, QUESTION, config)
    trace = run(graph, {"messages": [HumanMessage("And 3 + 3?")]}, config)["drr"]
    assert [attempt["verdict"] for attempt in trace["attempts"]] == ["reject", "accept"]
    assert trace["answer"] == "6"


@pytest.mark.parametrize(
    ("prior", "answers"),
    [
        pytest.param([("5", 0.3)], ["5", "4"], id="one that ended its run elsewhere"),
        pytest.param([("5", 0.3), ("3", 0.1)], ["5", "3", "4"], id="and one after it"),
    ],
)
@pytest.mark.parametrize("verdict", ["accept", "stop", "review"])
def test_what_another_policy_ended_is_judged_by_this_one(run, prior, answers, verdict):
    attempts = [make_attempt(answer, score, turn=turn) for turn, (answer, score) in enumerate(prior, start=1)]
    attempts[0]["verdict"] = verdict
    graph, _ = explorer([reply("4")], explore=0.0)
    trace = run(graph, {**QUESTION, "drr_assignment": {"prior": attempts}})["drr"]
    assert [attempt["answer"] for attempt in trace["attempts"]] == answers
    assert (trace["answer"], trace["stop_reason"], trace["attempts"][-1]["verdict"]) == ("4", "accepted", "accept")


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_explore_nothing(name):
    def answer(messages):
        return "yes" if "right" in messages[-1].text.lower() and len(messages) > 1 else "Answer: 4"

    trace = create_baseline(name, FunctionChatModel(function=answer), TableDM(TABLE), max_turns=2).invoke(QUESTION)
    assert trace["drr"]["explore"] == 0.0
    assert first_ended(trace["drr"]["attempts"]) in (None, len(trace["drr"]["attempts"]) - 1)


def test_distillation_explores_nothing(tmp_path):
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"question": "2 + 2?", "target": "4"}) + "\n")
    reasoner = ScriptedChatModel(replies=["Answer: 5", "Answer: 4"])
    distill(
        reasoner,
        read_samples(questions),
        log=tmp_path / "runs.jsonl",
        attempts=1,
        feedback="history",
        max_turns=4,
        concurrency=1,
        progress=False,
    )
    rows = harvest([tmp_path / "runs.jsonl"], progress=False).behaviors
    assert [(row["verdict"], row["origin"], row["propensity"]) for row in rows] == [
        ("reject", "distilled", 1.0),
        ("accept", "distilled", 1.0),
    ]


@pytest.mark.parametrize("explore", [-0.1, 1.1, float("nan"), float("inf"), True, "0.5", None], ids=str)
def test_what_is_no_probability_is_refused(explore):
    with pytest.raises(ConfigError, match=r"`explore` must be a probability in \[0, 1\], got"):
        create_drr_graph(ScriptedChatModel(replies=[]), None, explore=explore)
