"""Run trees as runs: of drr graphs, whole and cut short, and of agents that never used this package."""

import copy
import json

import pytest
from fakes import make_attempt, make_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from traces import make_call, make_row

from drr_agent.parsing import get_parser
from drr_agent.runs import check_run
from drr_agent.training.sources.protocol import LoggedRun, LostEntry
from drr_agent.training.sources.traces.run_trees import read_trees
from drr_agent.training.sources.traces.trace_tree import Tree, merge_runs, read_runs

RUN = make_run("d1", labels=[])
START = {
    "run_id": "d1",
    "started_at": "2026-01-01T00:00:00.000+00:00",
    "clock": 1.0,
    "question": "2 + 2?",
    "context": "",
    "question_message": {"type": "human", "content": "2 + 2?"},
    "context_messages": [],
    "assignment": {"sample_id": "s1", "target": "4", "draw": 2, "origin": "distilled"},
    "identity": {"reasoner": "m", "dm": "d", "prompts": "p", "policy": "x"},
}
NOT_HEARD = ("bad value", "1 judgment that goes with no attempt's answer")
THUMB_UP = {"key": "thumb", "score": 1, "created_at": "2026-02-01T00:00:00Z"}


def read(*rows, unit="auto", parser="message"):
    """What a trace of these rows gives."""
    found = [entry for row in rows for entry in read_runs(row, place="line 1")]
    runs = merge_runs([entry for entry in found if not isinstance(entry, LostEntry)])
    lost = [entry for entry in found if isinstance(entry, LostEntry)]
    return list(read_trees([*lost, Tree("line 1", runs)], parser=get_parser(parser), unit=unit))


def only(entries):
    (entry,) = entries
    assert isinstance(entry, LoggedRun), entry
    return entry.run


def flaws(entries):
    return [tuple(entry.flaw) for entry in entries if isinstance(entry, LostEntry)]


def graph(outputs=None, **changes):
    """The run of a drr graph, or of what holds one."""
    return make_row("g1", outputs={"drr": RUN} if outputs is None else outputs, **changes)


def node(run_id, inputs=None, outputs=None, parent="g1", **changes):
    return make_row(run_id, inputs=inputs or {}, outputs=outputs or {}, parent_run_id=parent, trace_id="g1", **changes)


class TestWholeRuns:
    @pytest.mark.parametrize(
        "outputs",
        [
            pytest.param({"messages": [], "drr": RUN}, id="graph"),
            pytest.param({"output": {"graph": None, "update": {"drr": RUN}, "goto": "__end__"}}, id="command"),
            pytest.param({"output": {"drr": RUN}}, id="function"),
            pytest.param({"update": {}, "drr": RUN}, id="node"),
        ],
    )
    def test_wherever_a_run_is_shown(self, outputs):
        assert only(read(graph(outputs))) == RUN

    def test_a_store_may_drop_the_point_of_a_number(self):
        assert only(read(graph({"drr": {**RUN, "score": 1, "seconds": 2}})))["score"] == 1

    def test_host_subgraph_and_node_show_one_run(self):
        rows = [
            make_row("g1", outputs={"drr": RUN}),
            node("n1", outputs={"drr": RUN}),
            node("n2", outputs={"drr": RUN}),
        ]
        assert only(read(*rows)) == RUN

    def test_a_host_may_run_several(self):
        rows = [make_row("g1"), node("n1", outputs={"drr": RUN}), node("n2", outputs={"drr": make_run("d2")})]
        assert [entry.run["run_id"] for entry in read(*rows)] == ["d1", "d2"]

    def test_a_sound_sighting_counts_over_a_broken_one(self):
        rows = [graph({"drr": {**RUN, "attempts": None}}), node("n1", outputs={"drr": RUN})]
        assert only(read(*rows)) == RUN

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"schema": 99}, "a run of schema 99, not 1"),
            ({"attempts": [{}]}, "an attempt without rationale"),
            ({"score": float("nan")}, "nan is no number"),
            ({"seconds": "long"}, "a run with a wrong seconds (Input should be a valid number)"),
        ],
        ids=["schema", "attempt", "nan", "type"],
    )
    def test_a_broken_run_is_told_of(self, changes, reason):
        assert flaws(read(graph({"drr": {**RUN, **changes}}))) == [("unreadable", reason)]

    @pytest.mark.parametrize("mine", [{"my": "own"}, "text", None, [], {"run_id": 5, "question": "", "attempts": []}])
    def test_a_key_of_somebody_elses_is_no_run(self, mine):
        outputs = {"drr": mine, "answer": "4"}
        assert only(read(graph(outputs)))["origin"] == "traced"


class TestPartialRuns:
    def partial(self, *rows):
        run = only(read(make_row("g1", outputs=None, error="GraphInterrupt()"), *rows))
        assert check_run(run) is None
        assert (run["answer"], run["accepted"], run["choice"], run["score"]) == (None, False, None, None)
        assert run["stop_reason"] == "interrupted"
        return run

    def test_a_run_that_began(self):
        run = self.partial(node("n1", outputs={"drr_start": START, "drr_attempts": []}))
        assert (run["run_id"], run["attempts"], run["reasoner"], run["dm"]) == ("d1", [], "m", "d")
        assert (run["sample_id"], run["target"], run["draw"], run["origin"]) == ("s1", "4", 2, "distilled")

    def test_its_latest_attempts(self):
        attempts = [make_attempt("3", 0.1, turn=1), make_attempt("4", 0.2, turn=2)]
        judged = [{**attempts[0], "verdict": "reject"}, attempts[1]]
        run = self.partial(
            node("n1", outputs={"drr_start": START, "drr_attempts": []}),
            node("n2", {"drr_start": START, "drr_attempts": []}, {"drr_attempts": attempts[:1]}),
            node(
                "n3",
                {"drr_start": START, "drr_attempts": attempts[:1]},
                {"output": {"update": {"drr_attempts": judged[:1]}}},
            ),
            node("n4", {"drr_start": START, "drr_attempts": judged[:1]}, {"drr_attempts": judged}),
        )
        assert run["attempts"] == judged
        assert run["usage"] == {"calls": 2, "unmetered_calls": 0, "input_tokens": 20, "output_tokens": 10}

    def test_a_resumed_run_is_told_by_what_its_nodes_were_given(self):
        attempts = [make_attempt("3", 0.1)]
        assert self.partial(node("n1", {"drr_start": START, "drr_attempts": attempts}))["attempts"] == attempts

    def test_what_a_thread_remembers_is_another_run(self):
        old = {"drr_start": {**START, "run_id": "old"}, "drr_attempts": [make_attempt("9")]}
        run = self.partial(node("n1", old, {"drr_start": START, "drr_attempts": []}))
        assert (run["run_id"], run["attempts"]) == ("d1", [])

    def test_hidden_inputs(self):
        attempts = [make_attempt("3", 0.1)]
        begun = node("n1", outputs={"drr_start": START, "drr_attempts": []})
        assert self.partial(begun, node("n2", outputs={"drr_attempts": attempts}))["attempts"] == attempts

    def test_an_older_version_did_not_say_who_it_was(self):
        older = {name: value for name, value in START.items() if name != "identity"}
        run = self.partial(node("n1", outputs={"drr_start": older}))
        assert (run["reasoner"], run["dm"], run["prompts"], run["policy"]) == ("unknown", None, "", "")

    def test_a_run_that_ended_is_whole(self):
        rows = [graph(), node("n1", outputs={"drr_start": START, "drr_attempts": []})]
        assert only(read(*rows)) == RUN

    @pytest.mark.parametrize(
        "said",
        [
            pytest.param({"drr_start": {"run_id": "d1"}}, id="start"),
            pytest.param({"drr_start": {**START, "assignment": 5}}, id="assignment"),
            pytest.param({"drr_start": {**START, "identity": "me"}}, id="identity"),
            pytest.param({"drr_start": START, "drr_attempts": [5]}, id="attempt"),
            pytest.param({"drr_start": START, "drr_attempts": [{"usage": {}, "seconds": 1}]}, id="usage"),
            pytest.param({"drr_start": {**START, "question": None}}, id="question"),
        ],
    )
    def test_a_broken_beginning_is_told_of(self, said):
        ((reason, _),) = flaws(read(graph({}), node("n1", outputs=said)))
        assert reason == "unreadable"


class TestFeedbackOnDrrRuns:
    def labels(self, *rows):
        return only(read(*rows))["labels"]

    def label(self, turn=None):
        return {"turn": turn, "value": "correct", "source": "feedback:thumb", "at": "2026-02-01T00:00:00.000+00:00"}

    @pytest.mark.parametrize(
        ("place", "turn"),
        [("root", None), ("graph", None), ("decide", None), ("call", 1), ("begin", "none")],
    )
    def test_where_it_stands(self, place, turn):
        said = {place: {"feedback": [THUMB_UP]}}
        rows = [
            make_row("r1", outputs={}, **said.get("root", {})),
            node("g1", outputs={"drr": RUN}, parent="r1", **said.get("graph", {})),
            node("n0", outputs={"drr_start": START}, **said.get("begin", {})),
            node("n1", outputs={"output": {"update": {"drr": RUN}}}, **said.get("decide", {})),
            node("t1", outputs={"drr_draft": {}}),
            make_call("c1", "t1", **{"extra": {"metadata": {"drr_turn": 1}}, **said.get("call", {})}),
        ]
        entries = read(*rows)
        (run,) = [entry.run for entry in entries if isinstance(entry, LoggedRun)]
        assert run["labels"] == ([] if turn == "none" else [self.label(turn)])
        assert flaws(entries) == ([NOT_HEARD] if turn == "none" else [])

    def test_a_root_of_several_does_not_tell_which(self):
        entries = read(
            make_row("r1", outputs={}, feedback=[THUMB_UP]),
            node("n1", outputs={"drr": RUN}, parent="r1"),
            node("n2", outputs={"drr": make_run("d2", labels=[])}, parent="r1"),
        )
        assert [entry.run["labels"] for entry in entries if isinstance(entry, LoggedRun)] == [[], []]
        assert flaws(entries) == [NOT_HEARD]

    def test_it_joins_what_the_run_holds(self):
        held = {"turn": None, "value": "incorrect", "source": "human:ann", "at": None}
        assert self.labels(graph({"drr": {**RUN, "labels": [held]}}, feedback=[THUMB_UP])) == [held, self.label()]

    @pytest.mark.parametrize(("target", "expected"), [(None, "5"), ("4", "4")], ids=["unknown", "known"])
    def test_a_correction_is_the_target_of_a_run_without_one(self, target, expected):
        feedback = [{"key": "fix", "correction": {"output": "5"}}]
        assert only(read(graph({"drr": {**RUN, "target": target}}, feedback=feedback)))["target"] == expected


ASKED = {"messages": [{"role": "user", "content": "What is 2 + 2?"}]}
EARLIER = [{"type": "human", "content": "Hi"}, {"type": "ai", "content": "Hello"}]
LC_HUMAN = {
    "lc": 1,
    "type": "constructor",
    "id": ["langchain", "HumanMessage"],
    "kwargs": {"content": "What is 2 + 2?"},
}
AI = {"type": "ai", "content": "4"}


class TestPlainAgents:
    @pytest.mark.parametrize(
        ("inputs", "context"),
        [
            pytest.param(ASKED, "", id="roles"),
            pytest.param(
                {"messages": [*EARLIER, {"type": "human", "content": "What is 2 + 2?"}]},
                "human: Hi\nai: Hello",
                id="types",
            ),
            pytest.param({"messages": [["user", "What is 2 + 2?"]]}, "", id="pairs"),
            pytest.param({"messages": [[LC_HUMAN]]}, "", id="constructors-in-a-batch"),
            pytest.param({"messages": [{"type": "human", "data": {"content": "What is 2 + 2?"}}]}, "", id="data"),
            pytest.param({"messages": ["What is 2 + 2?"]}, "", id="texts"),
            pytest.param({"input": "What is 2 + 2?"}, "", id="input"),
            pytest.param({"input": {"messages": [LC_HUMAN]}}, "", id="nested"),
            pytest.param({"question": "What is 2 + 2?"}, "", id="question"),
            pytest.param(
                {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is 2 + 2?"}]}]},
                "",
                id="blocks",
            ),
        ],
    )
    def test_what_was_asked(self, inputs, context):
        run = only(read(make_row(inputs=inputs)))
        assert (run["question"], run["context"]) == ("What is 2 + 2?", context)

    @pytest.mark.parametrize(
        "outputs",
        [
            pytest.param({"messages": [{"type": "human", "content": "What is 2 + 2?"}, AI]}, id="messages"),
            pytest.param({"output": AI}, id="message"),
            pytest.param({"output": "4"}, id="text"),
            pytest.param({"answer": "4", "documents": []}, id="answer"),
            pytest.param({"output": {"messages": [AI]}}, id="nested"),
            pytest.param({"generations": [[{"text": "4"}]]}, id="generations"),
            pytest.param({"choices": [{"message": {"role": "assistant", "content": "4"}}]}, id="choices"),
        ],
    )
    def test_what_came_back(self, outputs):
        assert only(read(make_row(outputs=outputs)))["answer"] == "4"

    @pytest.mark.parametrize(
        ("unit", "ids"),
        [("auto", [["r1"]]), ("root", [["r1"]]), ("call", [["c1", "c2"]])],
        ids=["auto", "root", "call"],
    )
    def test_units(self, unit, ids):
        entries = read(make_row(), make_call("c1"), make_call("c2"), unit=unit)
        assert sorted(entry.ids for entry in entries) == ids

    @pytest.mark.parametrize(
        ("root", "unit", "expected"),
        [
            pytest.param({"inputs": {}}, "auto", ["c1"], id="no-question"),
            pytest.param({"outputs": {}}, "auto", ["c1"], id="no-answer"),
            pytest.param(
                {"outputs": {"messages": [{"type": "human", "content": "2?"}], "user": "ann"}},
                "auto",
                ["c1"],
                id="asks-last",
            ),
            pytest.param(
                {"outputs": {}}, "root", [("no reply", "nothing of it was recorded")], id="root-wanted-without-answer"
            ),
            pytest.param(
                {"inputs": {}},
                "root",
                [("no question", "nothing of it was recorded")],
                id="root-wanted-without-question",
            ),
            pytest.param({"outputs": {}, "error": "Boom()"}, "auto", ["r1"], id="failed-root"),
            pytest.param({"parent_run_id": "elsewhere"}, "auto", ["r1"], id="no-root"),
        ],
    )
    def test_what_stands_for_a_trace(self, root, unit, expected):
        entries = read(make_row(**root), make_call("c1"), unit=unit)
        kept = [row_id for entry in entries if isinstance(entry, LoggedRun) for row_id in entry.ids]
        assert kept + flaws(entries) == expected

    def test_a_model_that_was_called_outright(self):
        entry = read(make_call("c1", None, trace_id="c1"))[0]
        assert (entry.ids, entry.run["answer"], entry.run["reasoner"]) == (["c1"], "4", "small-1")

    def test_turns_of_a_thread(self):
        metadata = {"extra": {"metadata": {"thread_id": "t"}}}
        later = {"start_time": "2026-01-01T00:01:00", "outputs": {"output": "four"}}
        run = only(read_all([make_row("b", **metadata, **later)], [make_row("a", **metadata)]))
        assert [attempt["answer"] for attempt in run["attempts"]] == ["4", "four"]
        assert [attempt["feedback"] for attempt in run["attempts"]] == ["first", "fresh"]
        assert (run["choice"], run["seconds"], run["started_at"]) == (1, 1.5, "2026-01-01T00:00:00.000+00:00")

    def test_a_failed_call_is_no_wrong_answer(self):
        trail = "RateLimitError('slow down')Traceback (most recent call last):\n  File x\nRateLimitError: slow down"
        (attempt,) = only(read(make_call("c1", None, outputs=None, error=trail)))["attempts"]
        assert (attempt["error"], attempt["answer"]) == ("RateLimitError('slow down')", None)

    def test_several_replies_of_one_call_are_attempts(self):
        said = {"generations": [[{"text": "4"}, {"text": "5"}]]}
        entries = read(make_call("c1", None, outputs=said))
        assert [attempt["answer"] for attempt in only(entries)["attempts"]] == ["4", "5"]
        assert entries[0].ids == ["c1", "c1:2"]

    def test_a_chat_that_was_written_down_as_text(self):
        prompts = ["System: be brief\nHuman: What is\n2 + 2?"]
        run = only(read(make_call("c1", None, inputs={"prompts": prompts})))
        assert (run["question"], run["context"]) == ("What is\n2 + 2?", "system: be brief")

    def test_a_request_for_tools_is_no_reply(self):
        asks = {"role": "assistant", "content": "", "tool_calls": [{"name": "add", "args": {}, "id": "1"}]}
        entries = read(make_call("c1", None, outputs={"choices": [{"message": asks}]}))
        assert flaws(entries) == [("no reply", "it asks for tools alone")]

    def test_what_a_root_cost_is_what_its_calls_cost(self):
        def told(text, given, made, **metadata):
            usage = {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}
            message = {"type": "ai", "content": text, "usage_metadata": usage, "response_metadata": metadata}
            return {"generations": [[{"message": message}]]}

        logprobs = {"content": [{"token": "4", "logprob": -0.5}]}
        calls = [
            make_call("c1", outputs=told("let me see", 10, 2)),
            make_call("c2", outputs=told("4", 20, 3, logprobs=logprobs, finish_reason="stop")),
            make_call("c3", outputs=None, error="Timeout()"),
        ]
        (attempt,) = only(read(make_row(outputs={"output": "4"}), *calls[:2]))["attempts"]
        assert attempt["usage"] == {"calls": 2, "unmetered_calls": 0, "input_tokens": 30, "output_tokens": 5}
        assert (attempt["logprobs"], attempt["truncated"]) == ([-0.5], False)
        (attempt,) = only(read(make_row(), *calls))["attempts"]
        assert (attempt["usage"]["calls"], attempt["usage"]["unmetered_calls"]) == (3, 1)

    def test_the_parser_is_the_callers(self):
        outputs = {"output": "Two and two.\nAnswer: 4"}
        (attempt,) = only(read(make_row(outputs=outputs), parser="answer"))["attempts"]
        assert (attempt["rationale"], attempt["answer"]) == ("Two and two.", "4")

    def test_a_parser_that_fails_costs_an_attempt(self):
        assert [reason for reason, _ in flaws(read(make_row(), parser="structured"))] == ["bad value"]

    def test_feedback_and_corrections(self):
        fix = {"key": "fix", "correction": "5", "score": 0}
        run = only(read(make_row(feedback=[THUMB_UP, fix])))
        assert {(label["source"], label["value"], label["turn"]) for label in run["labels"]} == {
            ("feedback:thumb", "correct", 1),
            ("feedback:fix", "incorrect", 1),
        }
        assert run["target"] == "5"

    @pytest.mark.parametrize(
        ("calls", "labels", "lost"),
        [
            pytest.param(1, [1], [], id="one-call"),
            pytest.param(2, [], [NOT_HEARD], id="two-calls"),
        ],
    )
    def test_feedback_on_a_root_that_is_no_attempt(self, calls, labels, lost):
        rows = [make_call(f"c{n}") for n in range(calls)]
        entries = read(make_row(outputs={}, feedback=[THUMB_UP]), *rows)
        found = [label["turn"] for entry in entries if isinstance(entry, LoggedRun) for label in entry.run["labels"]]
        assert found == labels
        assert flaws(entries) == lost


def read_all(*trees):
    built = [Tree("t", merge_runs([run for row in rows for run in read_runs(row, place="t")])) for rows in trees]
    return list(read_trees(built, parser=get_parser("message"), unit="auto"))


class TestBrokenTrees:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            pytest.param({"id": None}, "a run without an id", id="no-id"),
            pytest.param({"id": 7}, "a run without an id", id="number-for-id"),
            pytest.param({"inputs": 5}, "inputs that are not an object but int", id="number-for-inputs"),
            pytest.param({"inputs": [1]}, "inputs that are not an object but list", id="list-for-inputs"),
            pytest.param({"outputs": "{torn"}, "outputs that are not an object but str", id="torn-outputs"),
        ],
    )
    def test_a_run_that_is_none_is_told_of(self, changes, reason):
        assert ("bad value", reason) in flaws(read(make_row(**changes)))

    def test_what_is_nested_too_deeply(self):
        deep = "x"
        for _ in range(300):
            deep = {"output": deep}
        assert flaws(read(make_row(outputs=deep), make_call()))[0] == ("bad value", "outputs nested deeper than 200")

    def test_a_broken_root_costs_no_child(self):
        row = {**make_row(inputs=5), "child_runs": [make_call()]}
        entries = read(row)
        assert [entry.ids for entry in entries if isinstance(entry, LoggedRun)] == [["c1"]]

    @pytest.mark.parametrize("children", [5, "no", {"a": 1}, [5], [None], ["text"]], ids=str)
    def test_children_that_are_none(self, children):
        kept = [entry for entry in read({**make_row(), "child_runs": children}) if isinstance(entry, LoggedRun)]
        assert [entry.ids for entry in kept] == [["r1"]]

    @pytest.mark.parametrize(
        "known", [{}, {"trace_id": "t"}, {"dotted_order": "20260101T000000000000Zt.20260101T1Zr1"}]
    )
    def test_children_are_of_the_trace_of_what_they_are_nested_in(self, known):
        unknown = {"trace_id": None, "dotted_order": None}
        leaf = make_call("c2", None, **unknown)
        row = make_row(**unknown | known, child_runs=[make_call("c1", None, **unknown, child_runs=[leaf])])
        found = [(run["id"], run["trace"], run["parent"] is None) for run in read_runs(row, place="line 1")]
        top, has_parent = ("t", "dotted_order" in known) if known else ("r1", False)
        assert found == [("r1", top, not has_parent), ("c1", top, False), ("c2", top, False)]

    def test_a_row_alone_does_not_know_its_trace(self):
        (run,) = read_runs(make_row(trace_id=None, dotted_order=None), place="line 1")
        assert run["trace"] is None

    def test_a_circle_of_parents_has_no_root(self):
        rows = [make_row("a", parent_run_id="b"), make_row("b", parent_run_id="a"), make_call("c", "a")]
        assert only(read(*rows))["reasoner"] == "small-1"

    def test_its_own_parent_is_a_root(self):
        assert only(read(make_row("a", parent_run_id="a")))["answer"] == "4"

    def test_of_one_run_twice_the_fuller_counts(self):
        begun = make_row(outputs=None, feedback=[THUMB_UP])
        for rows in ([begun, make_row()], [make_row(), begun]):
            run = only(read(*rows))
            assert (run["answer"], len(run["labels"])) == ("4", 1)

    def test_a_trace_of_tools_alone(self):
        entries = read(make_row(run_type="tool", inputs={}, outputs={}))
        assert entries == []


KEYS = ("messages", "content", "type", "role", "drr", "text", "usage_metadata", "output", "key", "score", "thread_id")
ODD = st.sampled_from(["ai", "human", "4", "\ud83d", 2**70, -1, ["user", "q"], {"role": "user", "content": "\ud83d"}])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=8,
)
TREES = [
    [make_row(feedback=[THUMB_UP], feedback_stats={"a": {"n": 1, "avg": 1}}), make_call()],
    [graph(), node("n1", {}, {"drr_start": START, "drr_attempts": [make_attempt()]})],
]


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from places(part, (*path, key))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_mangled_tree_breaks_a_harvest(data):
    rows = copy.deepcopy(data.draw(st.sampled_from(TREES)))
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from([place for place in places(rows) if len(place) > 1]))
        holder = rows
        for step in path:
            holder = holder[step]
        holder[last] = copy.deepcopy(data.draw(JSON))
        if not all(isinstance(row, dict) for row in rows):
            return
    entries = read(*rows, unit=data.draw(st.sampled_from(["auto", "root", "call"])))
    assert entries
    for entry in entries:
        if isinstance(entry, LoggedRun):
            assert check_run(entry.run) is None
            json.dumps(entry.run)
            assert entry.ids is None or len(entry.ids) == len(entry.run["attempts"])
