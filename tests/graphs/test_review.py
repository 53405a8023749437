"""A run that its policy ends for review: a stronger Reasoner, an LLM judge or a human decides, and it ends once."""

import asyncio
import json

import pytest
from fakes import ScriptedChatModel, TableDM
from graphs.ways import WAYS
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from drr_agent import Budget, ConfigError, RunLog, create_drr_graph, read_runs
from drr_agent.policy import Decision
from drr_agent.review import Escalate, Human, Judge
from drr_agent.training.harvest import harvest

QUESTION = {"messages": [HumanMessage("What is 2 + 2?", id="q")]}
TABLE = {"3": 0.3, "4": 0.9, "5": 0.25, "6": 0.05}
USAGE = {"input_tokens": 100, "output_tokens": 25, "total_tokens": 125}
THREAD = {"configurable": {"thread_id": "1"}}


class Unsure:
    """Accepts a score of 0.8; ends for review at the second attempt, with the best-scored."""

    abstain_below = 0.0

    def __init__(self, at=1, exhausted="continue"):
        self.at, self.exhausted = at, exhausted

    def __repr__(self):
        return "Unsure()"

    def decide(self, attempts):
        answered = [i for i, attempt in enumerate(attempts) if attempt["answer"] is not None]
        if not answered:
            return Decision("review" if len(attempts) >= self.at else "continue", None, None, self.exhausted)
        best = max(answered, key=lambda i: attempts[i]["score"] or 0.0)
        score = attempts[best]["score"]
        if score is not None and score >= 0.8:
            return Decision("accept", best, score)
        return Decision("review" if len(attempts) == self.at else "continue", best, score, self.exhausted)


def reply(answer, **changes):
    return AIMessage(f"thinking\nAnswer: {answer}", usage_metadata=USAGE, **changes)


def reviewed_by(review, answers="3", **settings):
    """A graph whose Reasoner gives these answers, and the Reasoner."""
    reasoner = ScriptedChatModel(replies=[reply(answer, id=f"m{answer}") for answer in answers])
    settings = {"policy": Unsure(at=len(answers)), "max_turns": 8, **settings}
    return create_drr_graph(reasoner, TableDM(TABLE), review=review, **settings), reasoner


def escalate(*replies, **settings):
    return Escalate(reasoner=ScriptedChatModel(replies=list(replies)), **settings)


def judge(*replies):
    return Judge(model=ScriptedChatModel(replies=list(replies)))


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def way(request):
    return request.param


@pytest.mark.parametrize(
    ("review", "answer", "accepted", "choice", "reviewed"),
    [
        pytest.param(lambda: escalate(reply("4")), "4", True, 1, ("accept", "4"), id="escalation accepted"),
        pytest.param(lambda: escalate(reply("5")), "5", False, 1, ("accept", "5"), id="escalation a little worse"),
        pytest.param(lambda: escalate(reply("6")), "3", False, 0, ("reject", None), id="escalation surely worse"),
        pytest.param(lambda: escalate(reply("6"), margin=1), "6", False, 1, ("accept", "6"), id="a wide margin"),
        pytest.param(lambda: escalate(AIMessage("hm")), "3", False, 0, ("reject", None), id="escalation has no answer"),
        pytest.param(lambda: escalate(ValueError("401")), "3", False, 0, (None, None), id="escalation fails"),
        pytest.param(lambda: judge("Yes."), "3", True, 0, ("accept", None), id="judge says yes"),
        pytest.param(lambda: judge("**No**, it is 4"), None, False, None, ("reject", None), id="judge says no"),
        pytest.param(lambda: judge("Perhaps"), "3", False, 0, (None, None), id="judge says neither"),
        pytest.param(lambda: judge(ValueError("401")), "3", False, 0, (None, None), id="judge fails"),
    ],
)
def test_a_model_reviews(way, review, answer, accepted, choice, reviewed):
    graph, reasoner = reviewed_by(review())
    out = way(graph, QUESTION)
    run = out["drr"]
    assert (run["answer"], run["accepted"], run["choice"], run["stop_reason"]) == (answer, accepted, choice, "review")
    assert (run["reviewed"]["verdict"], run["reviewed"].get("answer")) == reviewed
    assert len(reasoner.asked) == 1
    ends = [message.text for message in out["messages"][1:]]
    assert ends == ([] if answer is None else [f"thinking\nAnswer: {answer}"])


ANSWERS = {
    "accept": ({"verdict": "accept"}, "3", True, "correct"),
    "reject": ({"verdict": "reject"}, None, False, "incorrect"),
    "another answer": ({"answer": "4"}, "4", True, "incorrect"),
    "the same answer": ({"answer": " 3 "}, "3", True, "correct"),
}


@pytest.mark.parametrize(("resume", "answer", "accepted", "label"), ANSWERS.values(), ids=ANSWERS)
def test_a_human_reviews(way, resume, answer, accepted, label, tmp_path):
    log = tmp_path / "runs.jsonl"
    graph, reasoner = reviewed_by(Human(), "53", checkpointer=InMemorySaver(), run_log=RunLog(path=log))
    asked = way(graph, QUESTION, THREAD)
    assert "drr" not in asked
    assert not log.exists()
    (waiting,) = graph.get_state(THREAD).interrupts
    assert json.loads(json.dumps(waiting.value)) == {
        "type": "drr.review",
        "question": "What is 2 + 2?",
        "answer": "3",
        "score": 0.3,
        "reasons": ["P(right) is 0.30", "2 attempts gave 2 different answers"],
        "attempts": [{"turn": 1, "answer": "5", "score": 0.25}, {"turn": 2, "answer": "3", "score": 0.3}],
        "error": None,
    }
    out = way(graph, Command(resume=resume), THREAD)
    run = out["drr"]
    assert (run["answer"], run["accepted"], run["stop_reason"]) == (answer, accepted, "review")
    assert run["reviewed"]["by"] == "human"
    assert [(entry["turn"], entry["value"], entry["source"]) for entry in run["labels"]] == [(2, label, "human")]
    assert len(reasoner.asked) == 2
    assert [message.id for message in out["messages"]][:1] == ["q"]
    assert len(out["messages"]) == (1 if answer is None else 2)
    assert list(read_runs(log)) == [run]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(True, id="a bare yes"),
        pytest.param("accept", id="a bare word"),
        pytest.param([], id="a list"),
        pytest.param({"verdict": None}, id="nothing"),
        pytest.param({"verdict": "maybe"}, id="an unknown verdict"),
        pytest.param({"verdict": "accept", "answer": "4"}, id="both"),
        pytest.param({"answer": " "}, id="an empty answer"),
        pytest.param({"answer": 4}, id="a number"),
        pytest.param({"verdict": "accept", "note": "x"}, id="an unknown key"),
    ],
)
def test_a_bad_reply_is_told_and_the_interrupt_stays(way, bad):
    graph, reasoner = reviewed_by(Human(), checkpointer=InMemorySaver())
    way(graph, QUESTION, THREAD)
    for _ in range(2):
        way(graph, Command(resume=bad), THREAD)
        (waiting,) = graph.get_state(THREAD).interrupts
        assert waiting.value["error"].startswith('expected {"verdict": "accept"}')
        assert "resume once more" in waiting.value["error"]
    assert way(graph, Command(resume={"verdict": "accept"}), THREAD)["drr"]["accepted"]
    assert len(reasoner.asked) == 1


def test_nobody_can_accept_where_no_answer_stands():
    reasoner = ScriptedChatModel(replies=["hm"])
    graph = create_drr_graph(reasoner, None, policy=Unsure(), review=Human(), checkpointer=InMemorySaver())
    graph.invoke(QUESTION, THREAD)
    graph.invoke(Command(resume={"verdict": "accept"}), THREAD)
    (waiting,) = graph.get_state(THREAD).interrupts
    assert "no answer stands" in waiting.value["error"]
    run = graph.invoke(Command(resume={"answer": "4"}), THREAD)["drr"]
    assert (run["answer"], run["choice"], run.get("labels")) == ("4", None, None)


@pytest.mark.parametrize(
    ("review", "label"),
    [
        pytest.param(lambda: judge("yes"), ("correct", "judge:ScriptedChatModel"), id="judge"),
        pytest.param(lambda: judge("well"), (None, None), id="judge without a verdict"),
        pytest.param(lambda: escalate(reply("4")), (None, None), id="escalation"),
    ],
)
def test_harvest_reads_the_verdict_as_a_label(review, label, tmp_path):
    log = tmp_path / "runs.jsonl"
    graph, _ = reviewed_by(review(), run_log=RunLog(path=log))
    graph.invoke(QUESTION)
    behavior, *_ = harvest([log], progress=False).behaviors
    assert (behavior["label"], behavior["label_source"]) == label


def test_harvest_knows_whose_attempt_an_escalation_is(tmp_path):
    log = tmp_path / "runs.jsonl"
    graph, _ = reviewed_by(escalate(reply("4")), run_log=RunLog(path=log), explore=0.5)
    graph.invoke(QUESTION)
    rows = harvest([log], progress=False).behaviors
    attempt = next(read_runs(log))["attempts"][-1]
    assert attempt["reasoner"] == rows[-1]["reasoner"] == "ScriptedChatModel"
    assert [(row["origin"], row["propensity"]) for row in rows] == [("live", 1.0)] * len(rows)


@pytest.mark.parametrize(
    ("review", "calls", "tokens"),
    [
        pytest.param(lambda: escalate(reply("4")), 2, 250, id="escalation"),
        pytest.param(lambda: judge(AIMessage("yes", usage_metadata=USAGE)), 2, 250, id="judge"),
        pytest.param(lambda: judge(ValueError("down")), 2, 125, id="a failed judge"),
    ],
)
def test_what_a_review_costs_counts(review, calls, tokens):
    thread = Budget(max_calls=2, max_tokens=None, max_seconds=None)
    graph, _ = reviewed_by(review(), checkpointer=InMemorySaver(), thread_budget=thread)
    usage = graph.invoke(QUESTION, THREAD)["drr"]["usage"]
    assert (usage["calls"], usage["input_tokens"] + usage["output_tokens"]) == (calls, tokens)
    assert graph.invoke({"messages": [("user", "And 3 + 3?")]}, THREAD)["drr"]["limit_scope"] == "thread"


def test_a_price_that_is_unknown_makes_the_cost_unknown():
    graph, _ = reviewed_by(judge(AIMessage("yes", usage_metadata=USAGE)), budget=Budget(price_in=1.0, price_out=1.0))
    assert graph.invoke(QUESTION)["drr"]["usd"] is None


@pytest.mark.parametrize("review", [escalate, judge], ids=["escalation", "judge"])
def test_no_model_is_asked_beyond_a_limit(way, review):
    graph, _ = reviewed_by(review(), policy=Unsure(at=9, exhausted="review"), budget=Budget(max_calls=1))
    run = way(graph, QUESTION)["drr"]
    assert (run["stop_reason"], run["answer"], run["accepted"], run["limit"]) == ("review", "3", False, "calls")
    assert run["reviewed"]["error"] == "the run's limit is reached: calls"
    assert "labels" not in run


@pytest.mark.parametrize("limit", range(5, 12))
def test_a_recursion_limit_never_costs_the_answer(limit):
    graph, _ = reviewed_by(judge("yes"), "3555", policy=Unsure(at=4, exhausted="review"))
    run = graph.invoke(QUESTION, {"recursion_limit": limit})["drr"]
    assert run["stop_reason"] in ("review", "budget")
    assert run["answer"] == (None if limit == 5 else "3")
    assert ("reviewed" in run) == (limit > 5)


def test_an_explored_run_is_reviewed_once(way, tmp_path):
    log = tmp_path / "runs.jsonl"
    reasoner = ScriptedChatModel(replies=[reply("3"), reply("6"), reply("4")])
    settings = {"policy": Unsure(), "max_turns": 3, "explore": 1.0, "run_log": RunLog(path=log)}
    graph = create_drr_graph(reasoner, TableDM(TABLE), review=escalate(reply("5")), **settings)
    run = way(graph, QUESTION)["drr"]
    assert [attempt["verdict"] for attempt in run["attempts"]] == ["review", None, None, None]
    assert (run["answer"], run["choice"], run["accepted"]) == ("5", 3, False)
    assert list(read_runs(log)) == [run]
    origins = [row["origin"] for row in harvest([log], progress=False).behaviors]
    assert origins == ["live", "explored", "explored", "live"]


def test_a_run_that_needs_none_is_not_reviewed():
    graph, _ = reviewed_by(judge(), "4")
    assert "reviewed" not in graph.invoke(QUESTION)["drr"]


def test_a_thread_goes_on_after_a_review_that_nobody_answered():
    graph, _ = reviewed_by(Human(), "34", policy=Unsure(), checkpointer=InMemorySaver())
    graph.invoke(QUESTION, THREAD)
    run = graph.invoke({"messages": [("user", "And 1 + 3?")]}, THREAD)["drr"]
    assert (run["answer"], run["accepted"], run["question"]) == ("4", True, "And 1 + 3?")


def hosted(*names, **settings):
    """A host with a human's review under each name, one after the other, and the Reasoners."""
    host, before, reasoners = StateGraph(MessagesState), START, []
    for name in names:
        graph, reasoner = reviewed_by(Human(), name=name, **settings)
        host.add_node(name, graph)
        host.add_edge(before, name)
        before = name
        reasoners.append(reasoner)
    return host.compile(checkpointer=InMemorySaver()), reasoners


@pytest.mark.parametrize("settings", [{}, {"checkpointer": True}], ids=["stateless", "stateful"])
def test_within_a_host_twice(way, settings):
    host, reasoners = hosted("one", "two", **settings)
    way(host, QUESTION, THREAD)
    way(host, Command(resume={"verdict": "maybe"}), THREAD)
    way(host, Command(resume={"answer": "7"}), THREAD)
    (waiting,) = host.get_state(THREAD).interrupts
    assert waiting.value["error"] is None
    out = way(host, Command(resume={"verdict": "accept"}), THREAD)
    assert [message.text for message in out["messages"]] == ["What is 2 + 2?", "7", "thinking\nAnswer: 3"]
    assert [len(reasoner.asked) for reasoner in reasoners] == [1, 1]


def test_side_by_side_in_a_host():
    host, reasoners = StateGraph(MessagesState), []
    for name in ("one", "two"):
        graph, reasoner = reviewed_by(Human(), name=name)
        host.add_node(name, graph).add_edge(START, name)
        reasoners.append(reasoner)
    app = host.compile(checkpointer=InMemorySaver())
    app.invoke(QUESTION, THREAD)
    waiting = app.get_state(THREAD).interrupts
    resume = {item.id: {"answer": str(place)} for place, item in enumerate(waiting)}
    out = asyncio.run(app.ainvoke(Command(resume=resume), THREAD))
    assert sorted(message.text for message in out["messages"][1:]) == ["0", "1"]
    assert [len(reasoner.asked) for reasoner in reasoners] == [1, 1]


def test_the_stream_tells_of_it_once_and_hides_the_judge():
    graph, _ = reviewed_by(judge("yes"))
    parts = list(graph.stream(QUESTION, stream_mode=["messages", "custom"]))
    told = [data for mode, data in parts if mode == "custom" and data["type"] == "drr.review"]
    expected = {"type": "drr.review", "turn": 1, "by": "judge", "verdict": "accept", "answer": None, "error": None}
    assert told == [expected]
    assert [data[0].text for mode, data in parts if mode == "messages"] == ["thinking\nAnswer: 3"]


def test_a_judge_sees_the_attempt_quoted():
    reviewer = judge("yes")
    graph, _ = reviewed_by(reviewer)
    graph.invoke(QUESTION)
    ((asked,),) = reviewer.model.asked
    assert "The question:\n> What is 2 + 2?" in asked.text
    assert "The answer of the attempt:\n> 3" in asked.text
    assert asked.text.endswith("Reply with one word: yes or no.")


def test_an_escalation_is_asked_afresh():
    reviewer = escalate(reply("4"))
    reasoner = ScriptedChatModel(replies=["no answer here"])
    graph = create_drr_graph(reasoner, TableDM(TABLE), policy=Unsure(), review=reviewer, feedback="history")
    graph.invoke(QUESTION)
    ((asked,),) = reviewer.reasoner.asked
    assert asked.text.startswith("What is 2 + 2?")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"review": Human(), "checkpointer": False}, "needs a checkpointer", id="no checkpointer"),
        pytest.param({"review": "human"}, "`review` must be Escalate", id="a word"),
    ],
)
def test_what_cannot_work_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        create_drr_graph(ScriptedChatModel(replies=[]), None, **settings)


def test_a_margin_is_a_probability():
    with pytest.raises(ConfigError, match="`margin` must be in"):
        escalate(margin=2)


def test_the_node_is_there_only_when_wired():
    plain = create_drr_graph(ScriptedChatModel(replies=[]), None).get_graph().draw_mermaid()
    assert "review" not in plain
    wired = reviewed_by(Human())[0].get_graph().draw_mermaid()
    for edge in ("decide -.-> review", "review --> __end__"):
        assert f"\t{edge};" in wired


def test_a_shadowed_run_is_not_reviewed():
    graph, _ = reviewed_by(judge(), mode="shadow")
    run = graph.invoke(QUESTION)["drr"]
    assert (run["stop_reason"], "reviewed" in run) == ("shadow", False)


@pytest.mark.parametrize("resume", [{"verdict": "accept"}, {"answer": "4"}], ids=["accept", "another answer"])
def test_a_checkpointer_gives_the_reviewed_run_to_another_process_and_to_harvest(resume, tmp_path):
    path = tmp_path / "checkpoints.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as saver:
        reviewed_by(Human(), checkpointer=saver)[0].invoke(QUESTION, THREAD)
    with SqliteSaver.from_conn_string(str(path)) as saver:
        graph, reasoner = reviewed_by(Human(), checkpointer=saver)
        graph.invoke(Command(resume=resume), THREAD)
        assert reasoner.asked == []
    (row,) = harvest([path], progress=False).behaviors
    assert (row["label"], row["label_source"]) == ("correct" if "verdict" in resume else "incorrect", "human")
