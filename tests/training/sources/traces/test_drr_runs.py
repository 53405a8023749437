"""Runs of drr graphs in traces, whole or as far as they came, wherever a tracer puts what nodes say."""

import json
from typing import Any

import pytest
from fakes import make_attempt, make_run
from hypothesis import given, settings
from hypothesis import strategies as st

from drr_agent.parsing import get_parser
from drr_agent.runs import check_run
from drr_agent.training.sources.protocol import LoggedRun, LostEntry, Unit
from drr_agent.training.sources.traces.drr_runs import find_runs
from drr_agent.training.sources.traces.span_tree import Span, read_turn
from drr_agent.training.sources.traces.spans import group_entries, trace_entries
from drr_agent.training.sources.traces.verdicts import make_judgment

RUN = make_run("d1", labels=[])
FIRST, SECOND = make_attempt("3", 0.1, turn=1), make_attempt("4", 0.2, turn=2)
JUDGED = {**FIRST, "verdict": "reject"}
START = {
    "run_id": "d1",
    "started_at": "2026-01-01T00:00:00.000+00:00",
    "question": "2 + 2?",
    "context": "",
    "assignment": {},
}
UP = make_judgment("human", "ok", 1)


def node(own: str, response: Any = None, request: Any = None, parent: str | None = "g", **changes: Any) -> Span:
    kind = changes.pop("kind", "agent")
    return Span(id=own, parent=parent, place=f"span {own}", kind=kind, request=request, response=response, **changes)


def read(*spans: Span, unit: Unit = "auto") -> list[LoggedRun | LostEntry]:
    return list(group_entries(trace_entries("t", spans, unit=unit, parser=get_parser("message"))))


def only(*spans: Span) -> Any:
    (entry,) = read(*spans)
    assert isinstance(entry, LoggedRun), entry
    return entry.run


SHOWN = {
    "outright": {"drr": RUN, "messages": []},
    "as text": json.dumps({"drr": RUN}),
    "as text in text": {"output": json.dumps({"drr": RUN})},
    "in an output": {"output": {"drr": RUN}},
    "in outputs": {"outputs": {"drr": RUN}},
    "in a command": {"graph": None, "update": {"drr": RUN}, "goto": "__end__"},
    "in a command in an output": {"output": {"update": {"drr": RUN}}},
    "in a command in outputs in an output": {"output": {"outputs": {"update": {}}, "update": {"drr": RUN}}},
}


@pytest.mark.parametrize("kind", ["agent", "other", "trace"])
@pytest.mark.parametrize("response", SHOWN.values(), ids=SHOWN)
def test_a_run_is_found_wherever_it_is_shown(response: Any, kind: str):
    assert only(node("g", response, parent=None, kind=kind)) == RUN


NONE = {
    "too deep": {"output": {"output": {"output": {"drr": RUN}}}},
    "in a list": {"output": [{"drr": RUN}]},
    "without a mark": {"drr": {"run_id": "d1", "question": "q"}},
    "of no id": {"drr": {**RUN, "run_id": 5}},
    "torn text": json.dumps({"drr": RUN})[:-1],
    "text that is too deep": '{"drr": ' + "[" * 99_999,
    "something else": "4",
}


@pytest.mark.parametrize("response", NONE.values(), ids=NONE)
def test_what_is_no_run(response: Any):
    assert find_runs([node("g", response, parent=None)]) == {}


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        ({"run_id": "d1", "question": "q", "attempts": []}, "a run of schema"),  # with nothing but its marks
        ({**RUN, "attempts": 3}, "a run"),
    ],
)
def test_a_broken_run_is_told_of(record: Any, detail: str):
    (entry,) = read(node("g", {"drr": record}, parent=None))
    assert (entry.place, entry.flaw.reason) == ("span g", "unreadable")
    assert detail in entry.flaw.detail


def test_of_several_sightings_the_first_sound_one_counts():
    broken, other = {**RUN, "attempts": 3}, {**RUN, "score": 0.5}
    spans = [node(own, {"drr": run}) for own, run in (("a", broken), ("b", RUN), ("c", other))]
    (found,) = find_runs(spans).values()
    assert (found.place, found.record, found.holders) == ("span b", RUN, {"a", "b", "c"})
    assert find_runs(spans[:1])["d1"].record == broken


def by(source: str, value: str | None, at: str | None = None, turn: int | None = None) -> dict[str, Any]:
    return {"turn": turn, "value": value, "source": f"human:{source}", "at": at}


def judged(own: str, *labels: Any, parent: str | None = "h", **changes: Any) -> Span:
    return node(own, {"drr": {**RUN, "labels": [*labels], **changes}}, None, parent)


MAY, JUNE = "2026-05-01T00:00:00Z", "2026-06-01"
NO, YES = by("ann", "incorrect"), by("ann", "correct")
HOST = node("h", {"verdict": 1}, None, None)
JOINED: dict[str, tuple[list[Span], list[Any]]] = {
    "nobody": ([HOST, judged("g")], []),
    "a review after the run": ([HOST, judged("g"), judged("review", NO)], [NO]),
    "a review that the host shows": ([judged("h", NO, parent=None), judged("g")], [NO]),
    "the later of two": ([HOST, judged("g"), judged("r1", NO), judged("r2", YES)], [YES]),
    "the end of the host over what came before": (
        [judged("h", YES, parent=None), judged("g"), judged("r1", NO), judged("n", NO, parent="r1")],
        [YES],
    ),
    "what was said last, wherever it is shown": (
        [HOST, judged("r1", by("ann", "correct", JUNE)), judged("r2", by("ann", "incorrect", MAY))],
        [by("ann", "correct", JUNE)],
    ),
    "a word with a time over one without": (
        [HOST, judged("r1", by("ann", "correct", MAY)), judged("r2", NO)],
        [by("ann", "correct", MAY)],
    ),
    "a later word that is none": (
        [HOST, judged("r1", NO), judged("r2", by("ann", None, MAY))],
        [by("ann", None, MAY)],
    ),
    "of each source its own": (
        [HOST, judged("r1", NO), judged("r2", by("bob", "correct"))],
        [NO, by("bob", "correct")],
    ),
    "of each turn its own": (
        [HOST, judged("r1", NO), judged("r2", by("ann", "correct", turn=1))],
        [NO, by("ann", "correct", turn=1)],
    ),
    "two of a source in one breath": ([HOST, judged("r1", NO, YES)], [NO, YES]),
    "a sighting that is not sound": ([HOST, judged("g"), judged("r1", NO, attempts=3)], []),
    "a label that is none": ([HOST, judged("g"), judged("r1", {"value": "great"}), judged("r2", NO)], [NO]),
    "another run": ([HOST, judged("g"), judged("o", NO, run_id="d2")], []),
    "in another tree of the trace": ([judged("g", parent=None), judged("r1", NO, parent=None)], [NO]),
    "twice in one span": (
        [node("g", {"drr": {**RUN, "labels": [NO]}, "output": {"drr": RUN}}, None, None)],
        [NO],
    ),
}


@pytest.mark.parametrize(("spans", "labels"), JOINED.values(), ids=JOINED)
def test_labels_are_joined_over_all_sightings_of_a_run(spans: list[Span], labels: list[Any]):
    runs = {entry.run["run_id"]: entry.run for entry in read(*spans) if isinstance(entry, LoggedRun)}
    assert runs["d1"] == {**RUN, "labels": labels}


def test_a_run_without_labels_is_given_as_it_was_shown():
    bare = {name: value for name, value in RUN.items() if name != "labels"}
    assert only(HOST, node("g", {"drr": bare}, None, "h"), judged("r1")) == bare


TOLD: dict[str, tuple[list[Span], list[Any]]] = {
    "only its beginning": ([node("b", {"drr_start": START, "drr_attempts": []})], []),
    "by what nodes gave": (
        [node("b", {"drr_start": START}), node("t", {"drr_attempts": [FIRST]}, {"drr_start": START})],
        [FIRST],
    ),
    "by what a node was given": ([node("t", None, {"drr_start": START, "drr_attempts": [FIRST]})], [FIRST]),
    "given in inputs": ([node("t", None, {"inputs": {"drr_start": START, "drr_attempts": [FIRST]}})], [FIRST]),
    "as text": ([node("t", None, json.dumps({"drr_start": START, "drr_attempts": [FIRST]}))], [FIRST]),
    "by a command": (
        [node("b", {"drr_start": START}), node("d", {"update": {"drr_attempts": [JUDGED]}, "goto": "think"})],
        [JUDGED],
    ),
    "more attempts": (
        [node("b", {"drr_start": START, "drr_attempts": []}), node("t", {"drr_attempts": [FIRST, SECOND]})],
        [FIRST, SECOND],
    ),
    "a later word on as many": (
        [node("b", {"drr_start": START}), node("t", {"drr_attempts": [FIRST]}), node("d", {"drr_attempts": [JUDGED]})],
        [JUDGED],
    ),
    "an older state that comes late": (
        [
            node("b", {"drr_start": START}),
            node("t", {"drr_attempts": [FIRST, SECOND]}),
            node("d", None, {"drr_start": START, "drr_attempts": [FIRST]}),
        ],
        [FIRST, SECOND],
    ),
    "a run before that the thread remembers": (
        [node("b", {"drr_start": START}, {"drr_start": {**START, "run_id": "old"}, "drr_attempts": [SECOND]})],
        [],
    ),
}


@pytest.mark.parametrize("has_graph", [True, False], ids=["with its graph", "without"])
@pytest.mark.parametrize(("nodes", "attempts"), TOLD.values(), ids=TOLD)
def test_a_run_that_did_not_end_is_pieced_together(nodes: list[Span], attempts: list[Any], has_graph: bool):
    graph = [node("g", None, {"messages": [["user", "2 + 2?"]]}, parent=None, error="GraphInterrupt()")]
    run = only(*graph * has_graph, *nodes)
    assert check_run(run) is None
    assert (run["run_id"], run["stop_reason"], run["answer"]) == ("d1", "interrupted", None)
    assert run["attempts"] == attempts


def test_a_node_that_is_all_there_is_tells_its_run():
    run = only(node("t", {"drr_attempts": [FIRST]}, {"drr_start": START}, parent=None, judgments=[UP]))
    assert (run["attempts"], len(run["labels"])) == ([FIRST], 1)


@pytest.mark.parametrize("said", [{"drr_start": {"run_id": "d1"}}, {"drr_start": START, "drr_attempts": [5]}], ids=str)
def test_a_broken_beginning_is_told_of(said: Any):
    (entry,) = read(node("g", None, {"messages": []}, parent=None), node("b", said))
    assert (entry.place, entry.flaw.reason) == ("span b", "unreadable")


CALL = {"kind": "call", "request": "p", "response": "x"}


@pytest.mark.parametrize("shown", [{"drr": RUN}, {"drr_start": START}], ids=["whole", "partial"])
@pytest.mark.parametrize(
    ("unit", "ids"), [("auto", [None]), ("root", [None]), ("call", [None, ["t:host"]])], ids=["auto", "root", "call"]
)
def test_what_is_around_a_run_is_an_attempt_only_as_a_call(shown: Any, unit: Unit, ids: list[Any]):
    spans = [
        node("h", "4", "2 + 2?", parent=None),
        node("g", None, None, "h"),
        node("n", shown),
        node("inner", parent="n", **CALL),
        node("host", parent="h", **CALL),
    ]
    assert [entry.ids for entry in read(*spans, unit=unit)] == ids


def test_another_tree_of_the_trace_is_read_all_the_same():
    entries = read(node("g", {"drr": RUN}, parent=None), node("a", "x", "p", parent=None, kind="call"))
    assert [entry.ids for entry in entries] == [None, ["t:a"]]


OTHER = make_run("d2", labels=[], answer="5")
HEARD: dict[str, tuple[str, list[Any]]] = {
    # h > s1 > (g > n > c), (o); h > s2 > g2
    "the graph": ("g", ["d1"]),
    "what shows it": ("n", ["d1"]),
    "a host of one": ("s1", ["d1"]),
    "the other's graph": ("g2", ["d2"]),
    "a host of two": ("h", []),
    "a call in it that gave its answer": ("a", ["d1"]),
    "a call in it that gave the other's answer": ("c", []),
    "a call beside that gave its answer": ("b", ["d1"]),
    "a call beside": ("o", []),
}


@pytest.mark.parametrize(("place", "expected"), HEARD.values(), ids=HEARD)
def test_of_several_runs_a_judgment_is_about_one(place: str, expected: list[Any]):
    spans = [
        node("h", None, None, None),
        node("s1", None, None, "h"),
        node("s2", None, None, "h"),
        node("g", {"drr": RUN}, None, "s1"),
        node("n", {"drr": RUN}, None, "g"),
        node("c", "5", "p", "n", kind="call"),
        node("a", "4", "p", "n", kind="call"),
        node("b", "4", "p", "s1", kind="call"),
        node("o", "6", "p", "s1", kind="call"),
        node("g2", {"drr": OTHER}, None, "s2"),
    ]
    judged = [Span(**{**vars(span), "judgments": [UP], "target": "9"}) if span.id == place else span for span in spans]
    entries = read(*judged)
    runs = [entry.run for entry in entries if isinstance(entry, LoggedRun)]
    assert [run["run_id"] for run in runs if run["labels"]] == expected
    assert [run["run_id"] for run in runs if run["target"] == "9"] == expected
    lost = [entry.flaw.detail[:11] for entry in entries if isinstance(entry, LostEntry)]
    assert lost == ([] if expected else ["2 judgments"])


def test_a_judgment_of_what_shows_a_run_is_not_about_one_that_ran_in_it():
    host = node("h", {"drr": RUN}, None, None, judgments=[UP])
    runs = [entry.run for entry in read(host, node("g", {"drr": OTHER}, None, "h"))]
    assert {run["run_id"]: len(run["labels"]) for run in runs} == {"d1": 1, "d2": 0}


def test_the_call_of_an_attempt_is_of_the_innermost_run():
    spans = [
        node("h", {"drr": OTHER}, None, None),
        node("g", {"drr": RUN}, None, "h"),
        node("c", "x", "p", "g", kind="call", turn=1, judgments=[UP]),
    ]
    runs = [entry.run for entry in read(*spans)]
    assert {run["run_id"]: len(run["labels"]) for run in runs} == {"d1": 1, "d2": 0}


def test_the_call_of_an_attempt_tells_its_turn():
    spans = [node("g", {"drr": RUN}, parent=None), node("t"), node("c", "x", "p", "t", kind="call", turn=2)]
    judged = Span(**{**vars(spans[2]), "judgments": [UP]})
    assert [label["turn"] for label in only(*spans[:2], judged)["labels"]] == [2]


def test_judgments_of_the_run_come_before_those_of_its_turns():
    calls = [node(f"c{turn}", "x", "p", kind="call", turn=turn, judgments=[UP]) for turn in (2, 1)]
    run = only(node("g", {"drr": RUN}, parent=None, judgments=[UP]), *calls)
    assert [label["turn"] for label in run["labels"]] == [None, 1, 2]


def test_a_known_target_stays_and_what_the_run_holds_too():
    held = {"turn": None, "value": "incorrect", "source": "human:ann", "at": None}
    run = only(node("g", {"drr": {**RUN, "target": "4", "labels": [held]}}, parent=None, judgments=[UP], target="9"))
    assert (run["target"], [label["source"] for label in run["labels"]]) == ("4", ["human:ann", "human:ok"])


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (1, 1),
        ("2", 2),
        (0, None),
        (-1, None),
        (True, None),
        (2**31, None),
        ("x", None),
        ("9" * 5_000, None),
        (1.0, None),
    ],
    ids=lambda value: str(value)[:9],
)
def test_turns_in_metadata(turn: Any, expected: int | None):
    assert read_turn({"drr_turn": turn}) == expected
    assert read_turn({}) is None


PARTS = st.sampled_from([None, 5, "x", [], {}, START, RUN, [FIRST], [5], {"update": {"drr": RUN}}, "d1", float("nan")])
STATES = st.dictionaries(st.sampled_from(["drr", "drr_start", "drr_attempts", "output", "update"]), PARTS, max_size=3)


@settings(max_examples=200)
@given(st.lists(st.tuples(STATES | PARTS, STATES | PARTS, st.sampled_from(["g", "a0", None])), min_size=1, max_size=4))
def test_no_state_breaks_a_harvest(states: list[Any]):
    spans = [node(f"a{number}", response, request, parent) for number, (response, request, parent) in enumerate(states)]
    for unit in ("auto", "root", "call"):
        entries = read(*spans, node("z", {"drr": RUN}, None, None), unit=unit)
        runs = [entry.run for entry in entries if isinstance(entry, LoggedRun)]
        assert [check_run(run) for run in runs if run["run_id"] != "d1"] == [None] * (len(runs) - 1)
        assert [run for run in runs if run["run_id"] == "d1"] == [RUN]
