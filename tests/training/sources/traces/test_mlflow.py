"""MLflow traces.

`tests/data/mlflow_3.jsonl` is what mlflow 3.18.0 gave for five traces in a SQLite store by `Trace.to_json`: a chat
model, a chain and a graph of LangChain (`mlflow.langchain.autolog`), a traced agent with assessments, and one that
failed; `mlflow_2.jsonl` is what mlflow 2.20.4 gave for the latter two without assessments. Stack traces, sizes and
sources are cut out of both. The table has the columns of `mlflow.search_traces` of 3.18.0, `trace` filled as it does.
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import make_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drr_agent.parsing import get_parser
from drr_agent.training.sources.protocol import LoggedRun, LostEntry, Unit
from drr_agent.training.sources.traces.langfuse import is_langfuse
from drr_agent.training.sources.traces.mlflow import MlflowReader, is_mlflow
from drr_agent.training.sources.traces.mlflow_spans import read_spans
from drr_agent.training.sources.traces.otel import is_otel
from drr_agent.training.sources.traces.span_tree import Span

DATA = Path(__file__).parents[3] / "data"
TRACES = [json.loads(line) for line in (DATA / "mlflow_3.jsonl").read_text().splitlines()]
OLD = [json.loads(line) for line in (DATA / "mlflow_2.jsonl").read_text().splitlines()]


def span(own: str, parent: str | None = None, kind: str = "CHAT_MODEL", **changes: Any) -> dict[str, Any]:
    """A span that was asked `2+2?`."""
    attributes = {
        "mlflow.spanType": kind,
        "mlflow.spanInputs": {"messages": [{"role": "user", "content": "2+2?"}], "model": "m"},
        "mlflow.spanOutputs": {
            "choices": [{"message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}]
        },
        **changes,
    }
    return {
        "span_id": own,
        "parent_span_id": parent,
        "name": own,
        "start_time_unix_nano": 1_767_225_600_000_000_000,
        "end_time_unix_nano": 1_767_225_601_500_000_000,
        "status": {"code": "STATUS_CODE_OK"},
        "attributes": {name: json.dumps(value) for name, value in attributes.items()},
    }


def trace(*spans: dict[str, Any], own: str = "tr-1", **info: Any) -> dict[str, Any]:
    about = {"trace_id": own, "request_time": "2026-01-01T00:00:00.000Z", "state": "OK", "trace_metadata": {}, **info}
    return {"info": about, "data": {"spans": list(spans)}}


def assessment(name: str, value: Any, by: str = "HUMAN", kind: str = "feedback", **more: Any) -> dict[str, Any]:
    source = {"source_type": by, "source_id": "someone"}
    row = {"assessment_name": name, "source": source, kind: {"value": value}, "valid": True}
    return {**row, "create_time": "2026-01-02T00:00:00Z", **more}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def read(path: Path, unit: Unit = "auto", parser: str = "message") -> list[LoggedRun | LostEntry]:
    return list(MlflowReader(path=path, unit=unit, parser=get_parser(parser)).entries())


def one(path: Path, unit: Unit = "auto") -> LoggedRun:
    (entry,) = read(path, unit)
    assert isinstance(entry, LoggedRun)
    return entry


def said(path: Path, unit: Unit = "auto") -> dict[str, tuple[str, str | None]]:
    """Context and answer by question."""
    runs = [entry.run for entry in read(path, unit, "number") if isinstance(entry, LoggedRun)]
    return {run["question"]: (run["context"], run["answer"]) for run in runs}


CALLS = {"2+2?": ("system: be terse", "4"), "4+5?": ("", "9"), "3+4?": ("", "7")}
RECORDED: dict[Unit, dict[str, tuple[str, str | None]]] = {
    "auto": CALLS | {"3+2?": ("", "5"), "x": ("", None)},
    "root": CALLS | {"3+2?": ("", "5"), "x": ("", None)},
    "call": CALLS | {"3+2?": ("system: s", "5")},
}


def as_array(path: Path) -> Path:
    path.write_text(json.dumps(TRACES, indent=1))
    return path


def as_batch(path: Path) -> Path:
    return write(path, {"traces": TRACES, "next_page_token": None})


def as_csv(path: Path) -> Path:
    names = ("trace_id", "trace", "state", "request_time", "request", "response", "spans", "assessments")
    with path.open("w", newline="") as stream:
        table = csv.DictWriter(stream, names)
        table.writeheader()
        for item in TRACES:
            table.writerow(
                {"trace_id": item["info"]["trace_id"], "trace": json.dumps(item), "spans": "[{'name': 'x'}]"}
            )
    return path


def as_parquet(path: Path) -> Path:
    """Without the column that holds the whole trace."""
    rows = [
        {
            **{name: item["info"].get(name) for name in ("trace_id", "state", "request_time", "assessments")},
            "trace_metadata": list(item["info"]["trace_metadata"].items()),
            "spans": [
                {**held, "attributes": list(held["attributes"].items()), "events": []} for held in item["data"]["spans"]
            ],
            "request": None,
            "response": None,
            "trace": None,
        }
        for item in TRACES
    ]
    texts = pa.map_(pa.string(), pa.string())
    # feedback is a truth here and a number there, which no column of Parquet can be
    for row in rows:
        row["assessments"] = None if row["assessments"] is None else json.dumps(row["assessments"])
    kept = [{name: value for name, value in row.items() if name not in ("trace_metadata", "spans")} for row in rows]
    table = pa.Table.from_pylist(kept)
    table = table.append_column("trace_metadata", pa.array([row["trace_metadata"] for row in rows], texts))
    shape = {**dict.fromkeys(("span_id", "parent_span_id", "name"), pa.string()), "attributes": texts}
    shape |= {"start_time_unix_nano": pa.int64(), "end_time_unix_nano": pa.int64()}
    shape |= {"status": pa.struct([("code", pa.string()), ("message", pa.string())])}
    spans = [[{name: held[name] for name in shape} for held in row["spans"]] for row in rows]
    pq.write_table(table.append_column("spans", pa.array(spans, pa.list_(pa.struct(shape.items())))), path)
    return path


FORMS: dict[str, Callable[[Path], Path]] = {
    "lines": lambda path: write(path, *TRACES),
    "array": as_array,
    "batch": as_batch,
    "csv": as_csv,
    "parquet": as_parquet,
}


@pytest.mark.parametrize("unit", RECORDED)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_what_mlflow_writes_is_read_in_every_form(tmp_path: Path, form: Callable[[Path], Path], unit: Unit):
    path = form(tmp_path / f"traces.{'csv' if form is as_csv else 'json'}")
    assert is_mlflow(path)
    assert not is_langfuse(path)
    assert not is_otel(path)
    assert said(path, unit) == RECORDED[unit]


def test_version_two_is_read_too():
    assert is_mlflow(DATA / "mlflow_2.jsonl")
    assert said(DATA / "mlflow_2.jsonl") == {"3+4?": ("", "7"), "x": ("", None)}
    assert said(DATA / "mlflow_2.jsonl", "call") == {"3+4?": ("", "7")}


def test_assessments_are_labels_and_the_expected_response_is_the_target():
    (run,) = [
        entry.run for entry in read(DATA / "mlflow_3.jsonl") if isinstance(entry, LoggedRun) and entry.run["labels"]
    ]
    assert {label["source"]: label["value"] for label in run["labels"]} == {
        "human:right": "correct",
        "judge:judge": "correct",
        "environment:tests": "incorrect",
        "judge:broke": None,  # the judge failed
    }
    assert {label["turn"] for label in run["labels"]} == {1}
    assert all(label["at"] and label["at"].startswith("2026-") for label in run["labels"])
    assert run["target"] == "7"


def test_ids_times_costs_and_models_are_kept(tmp_path: Path):
    usage = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
    entry = one(write(tmp_path / "t.jsonl", trace(span("AAAAAAAAAAE=", **{"mlflow.chat.tokenUsage": usage}))))
    run = entry.run
    assert entry.ids == ["tr-1:0000000000000001"]
    assert entry.place == "trace tr-1 span 0000000000000001"
    assert run["usage"] == {"calls": 1, "unmetered_calls": 0, "input_tokens": 5, "output_tokens": 3}
    assert (run["reasoner"], run["seconds"], run["started_at"]) == ("m", 1.5, "2026-01-01T00:00:00.000+00:00")
    assert run["attempts"][0]["truncated"] is False


def test_the_id_is_the_same_in_either_version(tmp_path: Path):
    old = json.loads(json.dumps(OLD[0]))
    old["data"]["spans"] = [{"name": "a", "context": {"span_id": "0x0000000000000001"}, "parent_id": None}]
    old["data"]["spans"][0] |= {
        "attributes": span("x")["attributes"],
        "start_time": 1,
        "end_time": 2,
        "status_code": "OK",
    }
    (entry,) = read(write(tmp_path / "t.jsonl", old))
    assert entry.ids == [f"{OLD[0]['info']['request_id']}:0000000000000001"]


def test_a_failed_agent_says_why():
    for name in ("mlflow_2", "mlflow_3"):
        errors = [
            entry.run["attempts"][0]["error"] for entry in read(DATA / f"{name}.jsonl") if isinstance(entry, LoggedRun)
        ]
        assert list(filter(None, errors)) == ["ValueError: rate limit"]


def test_a_trace_whose_spans_are_elsewhere_is_read_where_it_holds_its_ends(tmp_path: Path):
    old = {**OLD[0], "data": {**OLD[0]["data"], "spans": []}}
    entry = one(write(tmp_path / "t.jsonl", old))
    assert (entry.ids, entry.run["question"], entry.run["answer"]) == ([old["info"]["request_id"]], "3+4?", "Answer: 7")
    new = {**TRACES[0], "data": {"spans": []}}
    (lost,) = read(write(tmp_path / "u.jsonl", new))
    assert lost == LostEntry(f"trace {new['info']['trace_id']}", lost.flaw)
    assert lost.flaw.reason == "no question"


def test_calls_of_a_session_that_ask_the_same_are_turns(tmp_path: Path):
    session = {"trace_metadata": {"mlflow.trace.session": "s"}}
    later = {**span("a"), "start_time_unix_nano": 1_767_225_700_000_000_000}
    first = span("a", **{"mlflow.spanOutputs": "5"})
    path = write(tmp_path / "t.jsonl", trace(later, own="tr-2", **session), trace(first, own="tr-1", **session))
    assert [attempt["answer"] for attempt in one(path).run["attempts"]] == ["5", "4"]


VERDICTS: dict[str, tuple[dict[str, Any], tuple[str, str | None] | None]] = {
    "a person's truth": (assessment("ok", False), ("human:ok", "incorrect")),
    "a judge's word": (assessment("ok", "yes", "LLM_JUDGE"), ("judge:ok", "correct")),
    "a judge of old": (assessment("ok", "no", "AI_JUDGE"), ("judge:ok", "incorrect")),
    "a program's number": (assessment("ok", 0.75, "CODE"), ("environment:ok", "correct")),
    "another source": (assessment("ok", True, "SOMETHING"), ("feedback:ok", "correct")),
    "a scale of its own": (assessment("ok", 4), ("human:ok", None)),
    "a list": (assessment("ok", ["a"]), ("human:ok", None)),
    "one that was replaced": (assessment("ok", True, valid=False), None),
    "an issue": ({"assessment_name": "ok", "issue": {"id": 1}}, None),
    "what is none": ({"hello": 1}, None),
}


@pytest.mark.parametrize(("given_", "expected"), VERDICTS.values(), ids=VERDICTS.keys())
def test_feedback_is_a_label(tmp_path: Path, given_: dict[str, Any], expected: tuple[str, str | None] | None):
    labels = one(write(tmp_path / "t.jsonl", trace(span("a"), assessments=[given_]))).run["labels"]
    at = "2026-01-02T00:00:00.000+00:00"
    wanted = [] if expected is None else [{"turn": 1, "value": expected[1], "source": expected[0], "at": at}]
    assert labels == wanted


def test_a_span_whose_parent_is_not_there_is_of_the_trace(tmp_path: Path):
    held = trace(span("a", "elsewhere"), assessments=[assessment("ok", True)])
    assert [label["source"] for label in one(write(tmp_path / "t.jsonl", held)).run["labels"]] == ["human:ok"]


def test_feedback_on_a_span_counts_for_it_alone(tmp_path: Path):
    other = span("b" * 16, **{"mlflow.spanInputs": "3+3?", "mlflow.spanOutputs": "6"})
    path = write(
        tmp_path / "t.jsonl", trace(span("a" * 16), other, assessments=[assessment("ok", True, span_id="b" * 16)])
    )
    labels = {entry.run["question"]: len(entry.run["labels"]) for entry in read(path) if isinstance(entry, LoggedRun)}
    assert labels == {"2+2?": 0, "3+3?": 1}


@pytest.mark.parametrize(
    ("name", "value", "target"),
    [("expected_response", "4", "4"), ("ground_truth", 4, "4"), ("expected_facts", ["a"], None), ("notes", "4", None)],
)
def test_expectations_with_usual_names_are_targets(tmp_path: Path, name: str, value: Any, target: str | None):
    expected = assessment(name, value, kind="expectation")
    run = one(write(tmp_path / "t.jsonl", trace(span("a"), assessments=[expected]))).run
    assert (run["target"], run["labels"]) == (target, [])


def test_a_finished_run_in_an_output_is_that_run(tmp_path: Path):
    graph = span("g", kind="CHAIN", **{"mlflow.spanOutputs": {"messages": [], "drr": make_run("r1")}})
    entry = one(write(tmp_path / "t.jsonl", trace(graph, span("a", "g"), assessments=[assessment("ok", True)])))
    assert entry.run["run_id"] == "r1"
    assert [label["source"] for label in entry.run["labels"]] == ["human:ok"]


LOST: dict[str, tuple[str, str, str]] = {
    "torn line": ('{"info": {', "line 2", "unreadable"),
    "no trace": ('{"hello": 1}', "line 2", "unreadable"),
    "no id": (json.dumps(trace(span("a"), own="")), "line 2", "bad value"),
    "data of another type": ('{"info": {"trace_id": "t"}, "data": 7}', "trace t", "no question"),
    "a span without an id": (json.dumps(trace({"name": "a"}, span("b"), own="t")), "line 2 span 1", "bad value"),
    "no trace in a batch": ('{"traces": [7]}', "line 2 item 1", "unreadable"),
    "no reply": (json.dumps(trace(span("a", **{"mlflow.spanOutputs": None}), own="t")), "trace t span a", "no reply"),
    "a tool alone": (json.dumps(trace(span("a", kind="TOOL"), own="t")), "trace t", "no question"),
    "too deep": (
        json.dumps(trace({**span("a"), "attributes": {"mlflow.spanInputs": "[" * 99_999}}, own="t")),
        *("line 2", "unreadable"),
    ),
}


@pytest.mark.parametrize(("line", "place", "reason"), LOST.values(), ids=LOST.keys())
def test_what_cannot_be_read_is_lost_alone(tmp_path: Path, line: str, place: str, reason: str):
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join([json.dumps(trace(span("a"))), line]))
    entries = read(path)
    assert [(entry.place, entry.flaw.reason) for entry in entries if isinstance(entry, LostEntry)] == [(place, reason)]
    assert "tr-1:a" in [own for entry in entries if isinstance(entry, LoggedRun) for own in entry.ids or ()]


def test_a_table_without_its_traces_says_what_to_do(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("trace_id,trace,spans,request,response\nt,Trace(trace_id=t),[{'a': 1}],q,a\n")
    assert is_mlflow(path)
    (lost,) = read(path)
    assert "Trace.to_json" in lost.flaw.detail


def test_messages_of_ten_megabytes_pass(tmp_path: Path):
    long = span("a", **{"mlflow.spanInputs": "x" * 10_000_000})
    assert len(one(write(tmp_path / "t.jsonl", trace(long))).run["question"]) == 10_000_000


def test_location_and_kind(tmp_path: Path):
    reader = MlflowReader(path=tmp_path / "t.jsonl")
    assert (reader.location, reader.kind, reader.unit) == (str(tmp_path / "t.jsonl"), "mlflow", "auto")


FOREIGN = [*DATA.glob("otel_*.jsonl"), *DATA.glob("langfuse_*.jsonl")]


@pytest.mark.parametrize("path", FOREIGN, ids=[path.stem for path in FOREIGN])
def test_other_tools_files_are_not_taken_for_mlflows(path: Path):
    assert not is_mlflow(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)
PLACES = [
    *(("info", name) for name in ("state", "trace_metadata", "assessments", "request_time", "tags")),
    *(("span", name) for name in span("a") if name not in ("span_id", "attributes")),
    *(("attributes", name) for name in span("a")["attributes"] if name != "mlflow.spanType"),
]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(PLACES), JSON), max_size=6),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 200)), max_size=2),
)
def test_every_mangled_trace_is_given_or_lost(tmp_path: Path, fields: Any, cuts: Any):
    rows = [trace(span("a", **{"mlflow.spanInputs": f"{number}+1?"}), own=f"tr-{number}") for number in range(4)]
    for number, (where, name), value in fields:
        (held,) = rows[number]["data"]["spans"]
        {"info": rows[number]["info"], "span": held, "attributes": held["attributes"]}[where][name] = value
    texts = [json.dumps(row) for row in rows]
    for number, cut in cuts:
        texts[number] = texts[number][: max(1, len(texts[number]) - cut)]
    path = tmp_path / "mangled.jsonl"
    path.write_text("\n".join(texts))
    entries = read(path)
    ids = [own for entry in entries if isinstance(entry, LoggedRun) for own in entry.ids or ()]
    assert len(set(ids)) == len(ids)
    assert len(ids) + sum(isinstance(entry, LostEntry) for entry in entries) == 4
    for entry in entries:
        json.dumps(entry, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("info", "name", "started_at"),
    [
        ({}, "", None),
        ({"request_time": "2026-01-01"}, "", "2026-01-01T00:00:00.000+00:00"),
        ({"timestamp_ms": 1_767_225_600_000}, "", "2026-01-01T00:00:00.000+00:00"),
        ({"request_time": "2026-01-02", "timestamp_ms": 1_767_225_600_000}, "", "2026-01-02T00:00:00.000+00:00"),
        ({"tags": {"mlflow.traceName": "agent"}}, "agent", None),
        ({"tags": {"traceName": "agent"}}, "", None),
    ],
    ids=["nothing", "version 3", "version 2", "both", "named", "another tag"],
)
def test_what_a_trace_says_of_itself(info: Any, name: str, started_at: str | None):
    (whole,) = read_spans("tr-1", info, {"spans": []}, "line 1")
    assert isinstance(whole, Span)
    assert (whole.name, whole.started_at, whole.parent) == (name, started_at, None)
