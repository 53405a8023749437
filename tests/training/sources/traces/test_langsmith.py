"""Exports of LangSmith in all their shapes, and the feedback on their runs."""

import gzip
import json
import random
from datetime import datetime
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import ScriptedChatModel, make_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.tracers import LangChainTracer
from langsmith._internal._serde import dumps_json
from traces import (
    QUESTION,
    as_flat,
    as_nested,
    behaviors_of,
    drr_graph,
    kept_of,
    lost_of,
    make_call,
    make_row,
    runs_of,
    traced,
    write_lines,
)

from drr_agent.errors import DataError
from drr_agent.tracing import TraceLog
from drr_agent.training.sources.traces.langsmith import LangSmithReader, is_langsmith_export
from drr_agent.training.sources.traces.tracer import TracerReader


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A trace log of two drr runs, and of an agent that was asked twice in a thread."""
    path = tmp_path_factory.mktemp("log") / "traces.jsonl"
    for answers in (["3", "4"], ["4"]):
        traced(drr_graph(*(f"Answer: {answer}" for answer in answers)), QUESTION, path)
    agent = create_agent(ScriptedChatModel(replies=["three", "four"]))
    return traced(agent, {"messages": [("user", "2+2?")]}, path, times=2, metadata={"thread_id": "t"})


def nested(log, folder):
    return write_lines(folder / "runs.jsonl", as_nested(log))


def flat(log, folder):
    return write_lines(folder / "runs.jsonl", as_flat(log))


def shuffled(log, folder):
    rows = as_flat(log)
    random.Random(7).shuffle(rows)
    return write_lines(folder / "runs.jsonl", rows)


def gzipped(log, folder):
    path = folder / "runs.jsonl.gz"
    path.write_bytes(gzip.compress(flat(log, folder).read_bytes()))
    return path


def both(log, folder):
    return write_lines(folder / "runs.jsonl", as_flat(log)[::-1] + as_nested(log))


def parents_alone(log, folder):
    rows = [{**row, "trace_id": None, "dotted_order": None} for row in as_flat(log)]
    random.Random(7).shuffle(rows)
    return write_lines(folder / "runs.jsonl", rows)


def orders_alone(log, folder):
    rows = [{name: row[name] for name in row if name not in ("trace_id", "parent_run_id")} for row in as_flat(log)]
    random.Random(7).shuffle(rows)
    return write_lines(folder / "runs.jsonl", rows)


def parquet(log, folder):
    """Objects as JSON text and times as times, as bulk exports have them."""
    rows = [
        {
            **row,
            **{name: json.dumps(row[name]) for name in ("inputs", "outputs", "extra", "tags")},
            "start_time": datetime.fromisoformat(row["start_time"]),
            "run_type": row["run_type"],
        }
        for row in as_flat(log)
    ]
    random.Random(7).shuffle(rows)
    pq.write_table(pa.Table.from_pylist(rows), folder / "runs.parquet", row_group_size=5)
    return folder / "runs.parquet"


@pytest.mark.parametrize("shape", [nested, flat, shuffled, gzipped, both, parents_alone, orders_alone, parquet])
def test_every_shape_gives_what_the_trace_log_gives(shape, log, tmp_path):
    path = shape(log, tmp_path)
    assert is_langsmith_export(path)
    harvested = behaviors_of(LangSmithReader(path=path))
    assert harvested == behaviors_of(TracerReader(path=log))
    assert [row["answer"] for row in harvested if row["origin"] == "live"].count("4") == 2
    assert sorted(row["turn"] for row in harvested if row["origin"] == "traced") == [1, 2]


def sent_to_langsmith(agent, asked, *, folder):
    """What LangSmith's own tracer sends of an agent, as rows; and the same as a trace log."""
    rows = {}

    def keep(**fields):
        sent = json.loads(dumps_json(fields))
        run = rows.setdefault(sent.get("id") or sent["run_id"], {})
        run.update({name: value for name, value in sent.items() if value is not None})

    client = SimpleNamespace(create_run=keep, update_run=lambda run_id, **fields: keep(id=run_id, **fields))
    log = TraceLog(path=folder / "t.jsonl")
    agent.invoke(asked, config={"callbacks": [LangChainTracer(client=client), log], "metadata": {"thread_id": "t"}})
    return write_lines(folder / "runs.jsonl", rows.values()), log.path


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: drr_graph("Answer: 3", "Answer: 4"), id="drr"),
        pytest.param(lambda: create_agent(ScriptedChatModel(replies=["four"])), id="create_agent"),
        pytest.param(lambda: ScriptedChatModel(replies=["four"]), id="model"),
    ],
)
def test_what_langsmiths_own_tracer_sends(build, tmp_path):
    agent = build()
    asked = "What is 2 + 2?" if isinstance(agent, ScriptedChatModel) else QUESTION
    export, log = sent_to_langsmith(agent, asked, folder=tmp_path)
    assert is_langsmith_export(export)
    # each tracer looks at the clock for itself
    harvested, ours = (
        [{**row, "started_at": None} for row in behaviors_of(reader)]
        for reader in (LangSmithReader(path=export), TracerReader(path=log))
    )
    assert harvested == ours
    assert len(harvested) == (2 if harvested[0]["origin"] == "live" else 1)


def test_what_a_reader_is(tmp_path):
    reader = LangSmithReader(path=tmp_path / "runs.jsonl")
    assert (reader.location, reader.kind, reader.unit) == (str(tmp_path / "runs.jsonl"), "langsmith", "auto")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([make_row()], True, id="run"),
        pytest.param([{"id": "f", "run_id": "r1", "key": "k"}] * 19 + [make_row()], True, id="after-much-feedback"),
        pytest.param([{"id": "f", "run_id": "r1", "key": "k"}] * 20 + [make_row()], False, id="feedback-alone"),
        pytest.param([{"id": "f", "run_id": "r1", "key": "k", "score": 1}, make_row()], True, id="after-feedback"),
        pytest.param([{"id": "a", "run_type": "llm", "outputs": {}, "parent_run_id": None}], True, id="few-columns"),
        pytest.param([{**make_row(), "drr_trace": 1}], False, id="our-trace-log"),
        pytest.param([make_run()], False, id="our-run-log"),
        pytest.param([{"id": "a", "run_type": "llm", "inputs": {}}], False, id="without-kin"),
        pytest.param([{"id": "a", "run_type": "llm", "trace_id": "a"}], False, id="without-payload"),
        pytest.param([{"question": "q", "answer": "4"}], False, id="table"),
    ],
)
def test_what_an_export_is(rows, expected, tmp_path):
    assert is_langsmith_export(write_lines(tmp_path / "runs.jsonl", rows)) is expected


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="expected a file"):
        list(LangSmithReader(path=tmp_path / "no.jsonl").entries())


def read(folder, *rows, feedback=None):
    path = write_lines(folder / "runs.jsonl", rows)
    said = None if feedback is None else write_lines(folder / "feedback.jsonl", feedback)
    return LangSmithReader(path=path, feedback=said)


class TestBrokenExports:
    def test_a_row_that_is_none_costs_that_row(self, tmp_path):
        path = write_lines(tmp_path / "runs.jsonl", [make_row("a"), make_row("b", inputs=5), make_row("c")])
        path.write_text(path.read_text() + "{torn")
        reader = LangSmithReader(path=path)
        assert sorted(entry.ids for entry in kept_of(reader)) == [["a"], ["c"]]
        assert [(place, flaw) for place, flaw, _ in lost_of(reader)] == [
            ("line 2", "bad value"),
            ("line 4", "unreadable"),
        ]

    def test_a_trace_without_its_root_gives_what_it_has(self, tmp_path):
        reader = read(tmp_path, make_call("c1"), make_call("c2"))
        assert [entry.ids for entry in kept_of(reader)] == [["c1", "c2"]]

    def test_a_circle_of_parents(self, tmp_path):
        rows = [
            make_call(a, b, trace_id=None, dotted_order=None)
            for a, b in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"))
        ]
        assert sorted(entry.ids for entry in kept_of(read(tmp_path, *rows))) == [["a"], ["b"], ["c"], ["d"]]

    def test_a_run_twice_is_one(self, tmp_path):
        assert [entry.ids for entry in kept_of(read(tmp_path, make_row(), make_row(outputs=None), make_row()))] == [
            ["r1"]
        ]

    def test_half_a_character_in_an_id(self, tmp_path):
        assert [entry.ids for entry in kept_of(read(tmp_path, make_row("\ud83d")))] == [["?"]]


UP = {"key": "thumb", "score": 1, "created_at": "2026-02-01T00:00:00"}


def labels_of(reader):
    return [(label["source"], label["value"]) for run in runs_of(reader) for label in run["labels"]]


class TestFeedback:
    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            pytest.param({"score": 1}, [("feedback:k", "correct")], id="one"),
            pytest.param({"score": 0.5}, [("feedback:k", "correct")], id="half"),
            pytest.param({"score": 0.49}, [("feedback:k", "incorrect")], id="below-half"),
            pytest.param({"score": False}, [("feedback:k", "incorrect")], id="false"),
            pytest.param({"score": 4}, [("feedback:k", None)], id="an-unknown-scale"),
            pytest.param({"score": -1}, [("feedback:k", None)], id="negative"),
            pytest.param({"score": None, "value": "correct"}, [("feedback:k", "correct")], id="word"),
            pytest.param({"score": None, "value": "so-so"}, [("feedback:k", None)], id="unknown-word"),
            pytest.param({"score": None, "value": 0}, [("feedback:k", "incorrect")], id="number-as-value"),
            pytest.param({"score": None, "comment": "hm"}, [], id="comment"),
            pytest.param({"score": {}}, [("feedback:k", None)], id="object"),
            pytest.param({"score": 1, "feedback_source": {"type": "model"}}, [("judge:k", "correct")], id="evaluator"),
            pytest.param({"score": 1, "feedback_source": {"type": "app"}}, [("human:k", "correct")], id="annotator"),
            pytest.param({"score": 1, "feedback_source": {"type": "api"}}, [("feedback:k", "correct")], id="user"),
        ],
    )
    def test_what_a_record_says(self, said, expected, tmp_path):
        assert labels_of(read(tmp_path, make_row(feedback=[{"key": "k", **said}]))) == expected

    @pytest.mark.parametrize(
        ("stats", "expected"),
        [
            pytest.param({"n": 1, "avg": 1.0}, "correct", id="one-rater"),
            pytest.param({"n": 1, "avg": 0.2}, "incorrect", id="one-low-rater"),
            pytest.param({"avg": 0.7}, "correct", id="nobody-counted"),
            pytest.param({"n": 5, "avg": 1}, "correct", id="all-up"),
            pytest.param({"n": 5, "avg": 0}, "incorrect", id="all-down"),
            pytest.param({"n": 3, "avg": 0.66}, None, id="mixed"),
            pytest.param({"n": 3, "avg": 0.8, "min": 0.7, "max": 0.9}, "correct", id="agreed-though-not-equal"),
            pytest.param({"n": 3, "avg": 0.8, "min": 0.2, "max": 1}, None, id="disagreed"),
            pytest.param({"n": 3, "avg": 0.8, "stdev": 0}, "correct", id="equal"),
            pytest.param({"n": 2, "avg": None, "values": {"yes": 2}}, "correct", id="word"),
            pytest.param({"n": 2, "avg": None, "values": {"yes": 1, "no": 1}}, None, id="two-words"),
            pytest.param({"n": 0, "avg": None}, "nothing", id="none"),
            pytest.param({"n": 1, "avg": 4.5}, None, id="an-unknown-scale"),
            pytest.param("text", "nothing", id="text"),
        ],
    )
    def test_what_statistics_say(self, stats, expected, tmp_path):
        labels = labels_of(read(tmp_path, make_row(feedback_stats={"k": stats})))
        assert labels == ([] if expected == "nothing" else [("feedback:k", expected)])

    @pytest.mark.parametrize("said", [{"avg": 0.2}, {"avg": None, "values": {"no": 1}}], ids=["number", "word"])
    def test_statistics_of_another_matter_say_nothing(self, said, tmp_path):
        row = make_row(feedback_stats={name: {"n": 1, **said} for name in ("ok", "latency")})
        assert labels_of(read(tmp_path, row)) == [("feedback:latency", None), ("feedback:ok", "incorrect")]

    @pytest.mark.parametrize(
        ("sources", "source"),
        [
            (["api"], "feedback:k"),
            (["model"], "judge:k"),
            (['{"type": "auto_eval"}'], "judge:k"),
            (["app"], "human:k"),
            (["app", {"type": "app"}], "human:k"),
            ([{"type": "model"}, "api"], "feedback:k"),
            (["app", "model"], "feedback:k"),
            ([], "feedback:k"),
            (5, "feedback:k"),
        ],
        ids=str,
    )
    def test_who_statistics_are_of(self, sources, source, tmp_path):
        row = make_row(feedback_stats={"k": {"n": 1, "avg": 1, "sources": sources}})
        assert labels_of(read(tmp_path, row)) == [(source, "correct")]

    @pytest.mark.parametrize(
        ("records", "expected"),
        [
            pytest.param([(1, "a", 1), (1, "b", 2)], "correct", id="agree"),
            pytest.param([(1, "a", 1), (0, "b", 2)], None, id="disagree"),
            pytest.param([(1, "a", 1), (0, "a", 2)], "incorrect", id="changed-their-mind"),
            pytest.param([(0, "a", 2), (1, "a", 1)], "incorrect", id="in-any-order"),
            pytest.param([(1, "a", 1), (7, "b", 2)], "correct", id="one-says-nothing"),
        ],
    )
    def test_raters_who_disagree_say_nothing(self, records, expected, tmp_path):
        feedback = [
            {"key": "k", "score": score, "feedback_source": {"user_id": who}, "created_at": f"2026-01-0{day}T00:00:00Z"}
            for score, who, day in records
        ]
        (run,) = runs_of(read(tmp_path, make_row(feedback=feedback)))
        assert run["labels"] == [
            {"turn": 1, "value": expected, "source": "feedback:k", "at": "2026-01-02T00:00:00.000+00:00"}
        ]

    def test_records_stand_for_themselves_where_they_are_known(self, tmp_path):
        row = make_row(feedback_stats={"thumb": {"n": 2, "avg": 0.5}}, feedback=[UP])
        assert labels_of(read(tmp_path, row)) == [("feedback:thumb", "correct")]
        reviewed = {**UP, "feedback_source": {"type": "app"}}  # which the sum does not say
        row = make_row(feedback_stats={"thumb": {"n": 1, "avg": 0}, "other": {"n": 1, "avg": 0}}, feedback=[reviewed])
        assert labels_of(read(tmp_path, row)) == [("feedback:other", "incorrect"), ("human:thumb", "correct")]

    @pytest.mark.parametrize(
        ("rows", "second_file"),
        [
            pytest.param([make_row(feedback=[UP])], None, id="records"),
            pytest.param([make_row(feedback=json.dumps([UP]))], None, id="records-as-text"),
            pytest.param([make_row(feedback_stats={"thumb": {"n": 1, "avg": 1}})], None, id="statistics"),
            pytest.param([make_row(feedback_stats='{"thumb": {"n": 1, "avg": 1}}')], None, id="statistics-as-text"),
            pytest.param([{"run_id": "r1", **UP}, make_row()], None, id="rows-between"),
            pytest.param([make_row()], [{"run_id": "r1", **UP}], id="second-file"),
            pytest.param([make_row()], [{"run_id": None, "trace_id": "r1", **UP}], id="of-a-trace"),
        ],
    )
    def test_wherever_it_stands(self, rows, second_file, tmp_path):
        assert labels_of(read(tmp_path, *rows, feedback=second_file)) == [("feedback:thumb", "correct")]

    @pytest.mark.parametrize(
        ("name", "which", "expected"),
        [
            pytest.param("drr", 0, (2, "4"), id="graph"),
            pytest.param("decide", -1, (2, "4"), id="last-node"),
            pytest.param("ScriptedChatModel", 0, (1, "3"), id="call-of-the-first-attempt"),
            pytest.param("ScriptedChatModel", 1, (2, "4"), id="call-of-the-second-attempt"),
        ],
    )
    @pytest.mark.parametrize("shape", [as_nested, as_flat])
    def test_it_finds_the_attempt_that_it_is_about(self, name, which, expected, shape, log, tmp_path):
        first_trace = as_nested(log)[0]["id"]
        run = [row for row in as_flat(log) if row["name"] == name and row["trace_id"] == first_trace][which]
        reader = read(tmp_path, *shape(log), feedback=[{"run_id": run["id"], **UP}])
        found = [(row["turn"], row["answer"]) for row in behaviors_of(reader) if row["labels"]]
        assert found == [expected]

    @pytest.mark.parametrize(
        ("correction", "target"),
        [
            ("5", "5"),
            ({"output": "5"}, "5"),
            ({"answer": 5, "output": "6"}, "5"),
            ('{"output": "5"}', "5"),
            ({"other": "5"}, None),
            ("  ", None),
            (True, None),
            ({"output": ["5"]}, None),
        ],
        ids=str,
    )
    def test_a_correction_is_the_target(self, correction, target, tmp_path):
        (run,) = runs_of(read(tmp_path, make_row(feedback=[{"key": "fix", "correction": correction}])))
        assert (run["target"], run["labels"]) == (target, [])

    def test_the_latest_correction_counts_and_is_graded(self, tmp_path):
        said = [
            {"key": "fix", "correction": fix, "modified_at": at}
            for fix, at in (("4", "2026-02-02"), ("9", "2026-01-01"))
        ]
        (row,) = behaviors_of(read(tmp_path, make_row(feedback=said)))
        assert (row["target"], row["label"], row["label_source"]) == ("4", "correct", "grader:auto")

    @pytest.mark.parametrize(
        ("row", "detail"),
        [
            ({"run_id": "elsewhere", **UP}, "1 feedback on a run that is not here"),
            ({"key": "k", "score": 1}, "feedback without a key or a run"),
            ({"run_id": "r1", "key": 5, "score": 1}, "feedback without a key or a run"),
        ],
        ids=["unknown-run", "no-run", "no-key"],
    )
    def test_feedback_that_finds_no_run_is_told_of(self, row, detail, tmp_path):
        assert [lost[2] for lost in lost_of(read(tmp_path, make_row(), feedback=[row]))] == [detail]

    def test_feedback_without_a_key_on_a_run_is_told_of(self, tmp_path):
        reader = read(tmp_path, make_row(feedback=[{"score": 1}, UP, 5]))
        assert [lost[2] for lost in lost_of(reader)] == ["feedback without a key"] * 2


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.randoms(use_true_random=False), dropped=st.integers(0, 3), data=st.data())
def test_no_order_and_no_gap_breaks_a_harvest(order, dropped, data, log, tmp_path):
    """Rows out of order, missing, without kin or with cells that are something else: attempts are read, or told of."""
    rows = as_flat(log)
    order.shuffle(rows)
    rows = rows[dropped:]
    for row in rows[: data.draw(st.integers(0, 8))]:
        row[data.draw(st.sampled_from(sorted(row)))] = data.draw(
            st.sampled_from([None, 5, "text", [], {}, "{torn", float("nan"), True, {"drr": {"run_id": "x"}}])
        )
    entries = list(read(tmp_path, *rows).entries())
    assert entries
    for entry in entries:
        json.dumps(entry)
