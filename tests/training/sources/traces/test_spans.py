"""What of a trace is an attempt, whatever store it is in."""

import random
from typing import Any

import pytest
from fakes import make_attempt, make_run
from hypothesis import given, settings
from hypothesis import strategies as st

from drr_agent.parsing import get_parser
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LoggedRun, LostEntry, Unit
from drr_agent.training.sources.traces.span_tree import Span, plant, read_span_id, seconds_between
from drr_agent.training.sources.traces.spans import group_entries, trace_entries
from drr_agent.training.sources.traces.verdicts import make_judgment

HUMAN = make_judgment("human", "ann", 1)
HUMAN_LABEL = {"turn": None, "value": "correct", "source": "human:ann", "at": None}


def span(own: str, parent: str | None = None, kind: Any = "call", **changes: Any) -> Span:
    """A model call that was asked `q` and answered with its own name, unless told otherwise."""
    given = {"request": "q", "response": own, **changes}
    return Span(id=own, parent=parent, place=f"span {own}", kind=kind, **given)


def tool(own: str, parent: str | None = None, **changes: Any) -> Span:
    return span(own, parent, "other", **changes)


def agent(own: str, parent: str | None = None, **changes: Any) -> Span:
    return span(own, parent, "agent", **changes)


def mute(own: str, parent: str | None = None, kind: str = "agent", **changes: Any) -> Span:
    """One whose messages were not recorded."""
    return span(own, parent, kind, **{"request": None, "response": None, **changes})


ASKS_TOOLS = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}


def unheard(place: str) -> LostEntry:
    return LostEntry(place, Flaw("bad value", "1 judgment that goes with no attempt's answer"))


def read(*spans: Span, unit: Unit = "auto") -> list[LoggedRun | LostEntry]:
    return list(group_entries(trace_entries("t", spans, unit=unit, parser=get_parser("message"))))


def found(*spans: Span, unit: Unit = "auto") -> set[str]:
    """The ids of the attempts, and what is lost."""
    said = set()
    for entry in read(*spans, unit=unit):
        if isinstance(entry, LostEntry):
            said.add(f"{entry.place}: {entry.flaw.reason}")
        else:
            said |= {own.removeprefix("t:") for own in entry.ids or [entry.run["run_id"]]}
    return said


ONE_CALL = [span("a")]
AGENT = [agent("r"), span("a", "r", response=ASKS_TOOLS), tool("t", "r"), span("b", "r")]
MUTE_ROOT = [mute("r"), agent("x", "r"), span("a", "x"), span("b", "r", request="other")]
FAILED_ROOT = [agent("r", response=None, error="boom"), span("a", "r")]
WEB = [tool("GET /"), span("a", "GET /")]
DEEP_FUNCTION = [mute("r"), agent("format", "r"), span("a", "r")]

CHOICES: dict[str, tuple[list[Span], dict[Unit, set[str]]]] = {
    "one call": (ONE_CALL, {"auto": {"a"}, "root": {"a"}, "call": {"a"}}),
    "an agent": (AGENT, {"auto": {"r"}, "root": {"r"}, "call": {"b"}}),
    "an agent that says nothing": (MUTE_ROOT, {"auto": {"x", "b"}, "root": {"x"}, "call": {"a", "b"}}),
    "an agent that failed": (FAILED_ROOT, {"auto": {"r"}, "root": {"r"}, "call": {"a"}}),
    "an agent that failed, in an agent that says nothing": (
        [mute("g"), agent("r", "g", response=None, error="boom"), span("a", "r")],
        {"auto": {"a"}, "root": {"span g: no question"}, "call": {"a"}},
    ),
    "an agent that failed, in a trace that says nothing": (
        [mute("", None, "trace"), agent("r", "", response=None, error="boom"), span("a", "r")],
        {"auto": {"r"}, "root": {"r"}, "call": {"a"}},
    ),
    "an agent that failed and was not asked": (
        [mute("r", error="boom"), span("a", "r")],
        {"auto": {"a"}, "root": {"span r: no question"}, "call": {"a"}},
    ),
    "an agent that failed after it answered": (
        [agent("r", error="boom"), span("a", "r")],
        {"auto": {"r"}, "root": {"r"}},
    ),
    "a call in a web request": (WEB, {"auto": {"a"}, "root": {"a"}, "call": {"a"}}),
    "a function beside a call": (DEEP_FUNCTION, {"auto": {"a"}, "root": {"span r: no question"}, "call": {"a"}}),
    "an agent in a web request": ([tool("GET /"), agent("r", "GET /")], {"auto": {"r"}, "root": {"r"}}),
    "tools alone": ([tool("t")], {"auto": set(), "root": set(), "call": set()}),
    "only a request for tools": (
        [span("a", response=ASKS_TOOLS)],
        {unit: {"span a: no reply"} for unit in ("auto", "root", "call")},
    ),
    "a request for tools that failed": (
        [span("a", response=ASKS_TOOLS, error="boom")],
        {unit: {"a"} for unit in ("auto", "root", "call")},
    ),
    "nothing recorded": (
        [mute("a", kind="call")],
        {unit: {"span a: no question"} for unit in ("auto", "root", "call")},
    ),
    "no reply": ([span("a", response=None)], {unit: {"span a: no reply"} for unit in ("auto", "root", "call")}),
    "a whole trace": (
        [span("", None, "trace", response="x"), span("a", "")],
        {"auto": {"t"}, "root": {"t"}, "call": {"a"}},
    ),
    "an agent without a call": ([agent("r")], {"auto": {"r"}, "root": {"r"}, "call": {"span r: no reply"}}),
    "no parent": (
        [span("a", "gone"), agent("r", "gone")],
        {unit: {"a", "span r: no reply"} for unit in ("auto", "root", "call")},
    ),
    "no parent, but a model was called": (
        [agent("r", "gone"), span("a", "r")],
        {"auto": {"r"}, "root": {"r"}, "call": {"a"}},
    ),
    "no parent, and failed": (
        [agent("r", "gone", error="boom"), span("a", "r"), agent("f", "gone", error="boom")],
        {"auto": {"r", "span f: no reply"}, "root": {"r", "span f: no reply"}},
    ),
    "a call that two tracers saw": ([span("a"), span("b", "a")], {unit: {"a"} for unit in ("auto", "root", "call")}),
    "a call that the inner tracer saw better": (
        [mute("a", kind="call"), span("b", "a")],
        {"auto": {"b"}, "call": {"b"}},
    ),
    "a circle": ([agent("a", "b"), span("b", "a")], {"auto": {"a"}, "call": {"b"}}),
    "its own parent": ([span("a", "a")], {"auto": {"a"}}),
    "seen twice": ([span("a", response="old"), span("a", response="new")], {"auto": {"a"}}),
}


@pytest.mark.parametrize(
    ("spans", "unit", "expected"),
    [
        pytest.param(spans, unit, ids, id=f"{name}, {unit}")
        for name, (spans, expected) in CHOICES.items()
        for unit, ids in expected.items()
    ],
)
def test_what_is_an_attempt(spans: list[Span], unit: Unit, expected: set[str]):
    assert found(*spans, unit=unit) == expected


def test_no_order_of_spans_matters_but_that_of_their_times():
    for seed in range(10):
        shuffled = random.Random(seed).sample(MUTE_ROOT, len(MUTE_ROOT))
        assert found(*shuffled) == {"x", "b"}


def test_calls_that_ask_the_same_in_a_conversation_are_turns():
    calls = [span(own, started_at=f"2026-01-0{day}", thread="s") for day, own in ((2, "b"), (1, "a"))]
    (entry,) = read(*calls)
    assert [attempt["answer"] for attempt in entry.run["attempts"]] == ["a", "b"]
    assert entry.ids == ["t:a", "t:b"]


def test_the_trace_is_the_conversation_where_none_is_known():
    first, second = read(span("a"), span("b"), span("c", request="other"))
    assert {len(first.run["attempts"]), len(second.run["attempts"])} == {1, 2}


BOTH = {"choices": [{"message": {"role": "assistant", "content": text}} for text in "45"]}
USAGE = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}


def test_several_choices_are_turns_of_one_run():
    entry, lost = sorted(read(span("a", response=BOTH, judgments=[HUMAN])), key=lambda entry: type(entry).__name__)
    assert [attempt["answer"] for attempt in entry.run["attempts"]] == ["4", "5"]
    assert entry.ids == ["t:a", "t:a:2"]
    assert (entry.run["labels"], lost) == ([], unheard("span a"))  # of which of them?


def test_the_tokens_of_a_call_are_counted_once_for_all_its_choices():
    (entry,) = read(span("a", response=BOTH, usage=USAGE, finish="length"))
    first, second = entry.run["attempts"]
    assert first["usage"] == {"calls": 1, "unmetered_calls": 0, "input_tokens": 5, "output_tokens": 3}
    assert second["usage"] == {"calls": 1, "unmetered_calls": 1, "input_tokens": 0, "output_tokens": 0}
    assert (first["truncated"], second["truncated"]) == (True, None)


def test_an_agent_knows_what_its_last_call_says_of_the_same_answer():
    logprobs = {"content": [{"token": "4", "logprob": -0.5}]}
    told = {"role": "assistant", "content": " 4 ", "response_metadata": {"logprobs": logprobs}}
    calls = [span("a", "r", response="5", finish="length"), span("b", "r", response=told, finish="stop")]
    for answer, expected in (("4", ([-0.5], False)), ("5", (None, None))):
        (attempt,) = read(agent("r", response=answer), *calls)[0].run["attempts"]
        assert (attempt["answer"], attempt["logprobs"], attempt["truncated"]) == (answer, *expected)


def test_a_parser_that_fails_costs_the_attempt():
    class Broken:
        def parse(self, reply):
            return reply.nothing

    (entry,) = trace_entries("t", [span("a")], unit="auto", parser=Broken())
    assert (entry.place, entry.flaw.reason) == ("span a", "bad value")
    assert "nothing" in entry.flaw.detail


def test_an_agent_costs_what_its_calls_cost_and_is_named_by_its_only_model():
    usage = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
    (entry,) = read(agent("r", name="graph"), span("a", "r", usage=usage, model="m"), span("b", "r", model="m"))
    assert entry.run["usage"] == {"calls": 2, "unmetered_calls": 1, "input_tokens": 5, "output_tokens": 3}
    assert entry.run["reasoner"] == "m"
    (entry,) = read(agent("r", name="graph"), span("a", "r", model="m"), span("b", "r", model="n"))
    assert entry.run["reasoner"] == "graph"


LABELS: dict[str, tuple[list[Span], Unit, list[str]]] = {
    "on the attempt": ([span("a", judgments=[HUMAN])], "auto", ["a"]),
    "on the agent, for the call that answered": (
        [agent("r", response="b", judgments=[HUMAN]), span("a", "r", request="p"), span("b", "r")],
        "call",
        ["b"],
    ),
    "on the call, for the agent": ([agent("r", response="a"), span("a", "r", judgments=[HUMAN])], "auto", ["r"]),
    "on an inner agent, for the outer one": (
        [agent("r", response="x"), agent("i", "r", response="x", judgments=[HUMAN]), span("a", "i")],
        "auto",
        ["r"],
    ),
    "on another call": (
        [agent("r", response="b"), span("a", "r", judgments=[HUMAN]), span("b", "r")],
        "auto",
        ["span a: lost"],
    ),
    "on one of two attempts that said the same": (
        [mute("r"), span("a", "r", response="x", judgments=[HUMAN]), span("b", "r", request="p", response="x")],
        "auto",
        ["a"],
    ),
    "on a silent trace, for its only attempt": (
        [mute("", None, "trace", judgments=[HUMAN]), span("a", "")],
        "auto",
        ["a"],
    ),
    "on a silent trace with two": (
        [mute("", None, "trace", judgments=[HUMAN]), span("a", ""), span("b", "", request="p")],
        "auto",
        ["span : lost"],
    ),
    "on a silent agent, for the only one of two attempts that is in it": (
        [mute("", None, "trace"), mute("g", "", judgments=[HUMAN]), span("a", "g"), span("b", "", request="p")],
        "auto",
        ["a"],
    ),
    "on a silent step beside the answer": (
        [agent("r", response="a"), mute("docs", "r", judgments=[HUMAN]), span("a", "r")],
        "auto",
        ["span docs: lost"],
    ),
    "on a web request, for what it asked": ([tool("GET /", judgments=[HUMAN]), span("a", "GET /")], "auto", ["a"]),
    "on a tool": (
        [agent("r", response="x"), tool("t", "r", response="x", judgments=[HUMAN])],
        "auto",
        ["span t: lost"],
    ),
    "on tools alone": ([tool("t", judgments=[HUMAN])], "auto", ["span t: lost"]),
    "on an agent that failed": ([agent("r", response=None, error="boom", judgments=[HUMAN])], "auto", ["r"]),
    "on a call in an agent that failed": (
        [agent("r", response=None, error="boom"), span("a", "r", judgments=[HUMAN])],
        "auto",
        ["span a: lost"],
    ),
    "on what is lost": ([mute("a", kind="call", judgments=[HUMAN])], "auto", ["span a: lost"]),
    "in another tree": ([span("a", response="x"), agent("b", response="x", judgments=[HUMAN])], "auto", ["b"]),
}


@pytest.mark.parametrize(("spans", "unit", "expected"), LABELS.values(), ids=LABELS.keys())
def test_a_judgment_goes_with_the_answer_it_judges(spans: list[Span], unit: Unit, expected: list[str]):
    heard = []
    for entry in read(*spans, unit=unit):
        if isinstance(entry, LostEntry):
            heard.append(f"{entry.place}: lost")
        else:
            heard += [(entry.ids or [])[label["turn"] - 1].removeprefix("t:") for label in entry.run["labels"]]
    assert heard == expected


def test_raters_of_one_answer_are_heard_together_wherever_they_stand():
    up, down = (make_judgment("human", "ok", value, author=str(value), at=f"2026-01-0{value + 1}") for value in (1, 0))
    (entry,) = read(agent("r", response="a", judgments=[up]), span("a", "r", judgments=[down]))
    assert entry.run["labels"] == [
        {"turn": 1, "value": None, "source": "human:ok", "at": "2026-01-02T00:00:00.000+00:00"}
    ]


def test_a_target_goes_with_its_question():
    first, second = read(mute("", None, "trace", target="4"), span("a", ""), span("b", "", request="p"))
    assert {first.run["question"]: first.run["target"], second.run["question"]: second.run["target"]} == {
        "q": "4",
        "p": None,
    }


TARGETS: dict[str, tuple[list[Span], list[str | None]]] = {
    "on the attempt": ([span("a", target="4")], ["4"]),
    "on one of two": ([mute("r"), span("a", "r", request="p"), span("b", "r", target="4")], [None, "4"]),
    "on the call, for the agent": ([agent("r", response="a"), span("a", "r", target="4")], ["4"]),
    "the attempt's own counts": ([agent("r", response="a", target="5"), span("a", "r", target="4")], ["5"]),
    "on another call": ([agent("r", response="b"), span("a", "r", target="4"), span("b", "r")], [None, "span a"]),
    "on a reply of several choices": ([span("a", response=BOTH, target="4")], ["4"]),
}


@pytest.mark.parametrize(("spans", "expected"), TARGETS.values(), ids=TARGETS.keys())
def test_a_correction_goes_with_the_answer_it_corrects(spans: list[Span], expected: list[str | None]):
    entries = sorted(read(*spans), key=lambda entry: str(entry.place))
    runs = [entry.run["target"] for entry in entries if isinstance(entry, LoggedRun)]
    assert runs + [entry.place for entry in entries if isinstance(entry, LostEntry)] == expected


RUN = make_run("r1", [make_attempt("4", 0.9)])


def test_a_finished_run_stands_for_all_that_is_in_its_span():
    spans = [
        agent("host", judgments=[HUMAN], target="5"),
        agent("graph", "host", response={"messages": [["ai", "4"]], "drr": RUN}),
        agent("node", "graph", response={"drr": RUN}),
        span("a", "graph"),
        span("b", "host"),
    ]
    (entry,) = read(*spans)
    assert entry.run == {**RUN, "labels": [HUMAN_LABEL], "target": "5"}
    assert found(*spans, unit="call") == {"r1", "b"}
    assert found(*spans, unit="root") == {"r1"}


def test_a_broken_run_is_lost_and_said():
    assert found(agent("graph", response={"drr": {**RUN, "attempts": 3}}), span("a", "graph")) == {
        "span graph: unreadable"
    }
    assert found(agent("graph", response={"drr": "4", "answer": "5"})) == {"graph"}


def test_damage_that_a_recorder_did_is_said():
    (entry,) = read(span("a", damage="torn JSON"))
    assert entry == LostEntry("span a", entry.flaw)
    assert entry.flaw == ("unreadable", "torn JSON")


def test_a_very_deep_trace_is_walked_without_recursion():
    chain = [mute("0"), *(mute(str(depth), str(depth - 1)) for depth in range(1, 3_000)), span("a", "2999")]
    assert found(*chain) == {"a"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0x00f067aa0ba902b7", "00f067aa0ba902b7"),
        ("00f067aa0ba902b7", "00f067aa0ba902b7"),
        ("APBnqgupArc=", "00f067aa0ba902b7"),
        ("twelve chars", "twelve chars"),
        ("a\ud800", "a?"),
        ("", None),
        (7, None),
    ],
)
def test_ids_are_the_same_however_they_are_written(value: Any, expected: str | None):
    assert read_span_id(value) == expected


def test_seconds_are_known_where_both_ends_are():
    assert seconds_between("2026-01-01T00:00:00.000+00:00", "2026-01-01T00:00:01.500+00:00") == 1.5
    assert seconds_between("2026-01-01T00:00:01.500+00:00", "2026-01-01T00:00:00.000+00:00") == 0.0
    assert seconds_between(None, "2026-01-01T00:00:00.000+00:00") == 0.0


IDS = st.sampled_from("abcdef")


@settings(max_examples=200)
@given(
    st.lists(st.tuples(IDS, IDS | st.none(), st.sampled_from(["call", "agent", "other"]), st.booleans()), max_size=8)
)
def test_every_span_is_in_one_tree_and_every_model_call_is_accounted_for(rows: list[Any]):
    spans = [(span if heard else mute)(own, parent, kind) for own, parent, kind, heard in rows]
    held = {item.id: item for item in spans}
    walked = [item for tree in plant(spans) for item in tree.walk()]
    assert sorted(item.id for item in walked) == sorted(held)
    assert {item.id: item for item in walked} == held
    for tree in plant(spans):
        kinds = {item.kind for item in tree.walk()}
        for unit in ("auto", "root", "call"):
            entries = list(trace_entries("t", list(tree.walk()), unit=unit, parser=get_parser("message")))
            assert bool(entries) == bool(kinds - {"other"})
