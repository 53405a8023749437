"""Langfuse exports.

`tests/data/langfuse_observations.jsonl` is what langfuse 5.0.4 recorded of a chat model, a LangGraph graph and two
traced functions (its exporter swapped for one in memory), written by the SDK's own `ObservationV2`, as the API gives
it; `langfuse_scores.jsonl` is written by its `NumericScore`, `BooleanScore` and `CategoricalScore`. The rows of blob
storage follow the documented fields: the same in snake case, objects as JSON text, no value as an empty string.
"""

import csv
import gzip
import json
import shutil
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
from drr_agent.training.sources.traces.langfuse import LangfuseReader, is_langfuse
from drr_agent.training.sources.traces.mlflow import is_mlflow
from drr_agent.training.sources.traces.otel import is_otel

DATA = Path(__file__).parents[3] / "data"
OBSERVATIONS = [json.loads(line) for line in (DATA / "langfuse_observations.jsonl").read_text().splitlines()]
SCORES = [json.loads(line) for line in (DATA / "langfuse_scores.jsonl").read_text().splitlines()]


def call(own: str = "o1", trace: str = "t1", **changes: Any) -> dict[str, Any]:
    """A generation that was asked `2+2?`."""
    row = {
        "id": own,
        "traceId": trace,
        "parentObservationId": None,
        "type": "GENERATION",
        "name": "llm",
        "startTime": "2026-01-01T00:00:00.000Z",
        "endTime": "2026-01-01T00:00:01.500Z",
        "model": "m",
        "input": [{"role": "user", "content": "2+2?"}],
        "output": {"role": "assistant", "content": "4"},
        "usageDetails": {"input": 5, "output": 3, "total": 8},
        "level": "DEFAULT",
    }
    return {**row, **changes}


def trace(own: str = "t1", **changes: Any) -> dict[str, Any]:
    row = {"id": own, "timestamp": "2026-01-01T00:00:00.000Z", "name": "app", "sessionId": None, "userId": "u"}
    return {**row, "input": None, "output": None, "public": False, "bookmarked": False, **changes}


def score(value: Any, kind: str = "NUMERIC", source: str = "API", **changes: Any) -> dict[str, Any]:
    row = {"id": "s1", "traceId": "t1", "name": "right", "source": source, "dataType": kind, "value": value}
    return {**row, "timestamp": "2026-01-02T00:00:00Z", **changes}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def read(path: Path, unit: Unit = "auto", parser: str = "message") -> list[LoggedRun | LostEntry]:
    return list(LangfuseReader(path=path, unit=unit, parser=get_parser(parser)).entries())


def one(path: Path, unit: Unit = "auto") -> LoggedRun:
    (entry,) = read(path, unit)
    assert isinstance(entry, LoggedRun)
    return entry


def said(path: Path, unit: Unit = "auto") -> dict[str, tuple[str | None, dict[str, str | None]]]:
    """Answer and labels by question."""
    runs = [entry.run for entry in read(path, unit, "answer") if isinstance(entry, LoggedRun)]
    return {
        run["question"]: (run["answer"], {label["source"]: label["value"] for label in run["labels"]}) for run in runs
    }


RECORDED = {
    "2+2?": ("4", {}),
    "4+5?": ("9", {"judge:correctness": "correct"}),
    "3+4?": ("7", {"feedback:thumbs": "correct", "human:reviewed": "incorrect"}),
}
FAILED = {"x": (None, {})}


@pytest.mark.parametrize(
    ("unit", "expected"), [("auto", RECORDED | FAILED), ("root", RECORDED | FAILED), ("call", RECORDED)]
)
def test_what_the_sdk_records_is_read_with_the_scores_beside_it(tmp_path: Path, unit: Unit, expected: Any):
    write(tmp_path / "scores.jsonl", *SCORES)
    path = write(tmp_path / "observations.jsonl", *OBSERVATIONS)
    assert is_langfuse(path)
    assert is_langfuse(tmp_path / "scores.jsonl")
    assert said(path, unit) == expected


def test_scores_may_stand_among_the_observations_and_alone_are_no_entries(tmp_path: Path):
    assert said(write(tmp_path / "all.jsonl", *SCORES, *OBSERVATIONS)) == RECORDED | FAILED
    assert read(write(tmp_path / "alone" / "scores.jsonl", *SCORES)) == []


def test_a_failed_agent_says_why():
    runs = [entry.run for entry in read(DATA / "langfuse_observations.jsonl") if isinstance(entry, LoggedRun)]
    errors = [run["attempts"][0]["error"] for run in runs]
    assert sorted(filter(None, errors)) == ["rate limit"]


def as_blob(row: dict[str, Any]) -> dict[str, Any]:
    """A row of blob storage."""
    names = {name: "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name) for name in row}
    names |= {"model": "provided_model_name"}
    blob = {names[name]: "" if value is None else value for name, value in row.items()}
    for name in ("input", "output"):
        if not isinstance(blob.get(name, ""), str):
            blob[name] = json.dumps(blob[name])
    return {
        name: value.replace("T", " ").replace("Z", "000") if name.endswith("_time") else value
        for name, value in blob.items()
    }


def flat(row: dict[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in row.items()}


def write_as(form: str, path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows in a file of another format, a column for each name in any of them."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    path = path.with_suffix(form)
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == ".json":
        path.write_text(json.dumps(rows, indent=2))
    elif form == ".jsonl.gz":
        path.write_bytes(gzip.compress("".join(f"{json.dumps(row)}\n" for row in rows).encode()))
    elif form == ".csv":
        with path.open("w", newline="") as stream:
            table = csv.DictWriter(stream, names)
            table.writeheader()
            table.writerows(flat(row) for row in rows)
    else:
        costs = pa.map_(pa.string(), pa.int64())
        held = {name: [row.get(name) or None for row in rows] for name in names}
        pq.write_table(
            pa.table(
                {name: pa.array(cells, costs if name == "usage_details" else None) for name, cells in held.items()}
            ),
            path,
        )
    return path


@pytest.mark.parametrize("form", [".json", ".jsonl.gz", ".csv", ".parquet"])
def test_blob_storage_is_read_in_every_format_with_its_folders_of_scores(tmp_path: Path, form: str):
    rows, scores = [as_blob(row) for row in OBSERVATIONS], [as_blob(row) for row in SCORES]
    write_as(form, tmp_path / "p1" / "scores" / "2026-01-01", scores)
    path = write_as(form, tmp_path / "p1" / "observations_v2" / "2026-01-01", rows)
    assert is_langfuse(path)
    assert not is_mlflow(path)
    assert not is_otel(path)
    assert said(path) == RECORDED | FAILED
    usage = {entry.run["question"]: entry.run["usage"] for entry in read(path) if isinstance(entry, LoggedRun)}
    assert usage["3+4?"] == {"calls": 1, "unmetered_calls": 0, "input_tokens": 5, "output_tokens": 2}


def test_a_call_is_a_run_of_one_turn(tmp_path: Path):
    entry = one(write(tmp_path / "o.jsonl", call()))
    run = entry.run
    assert (run["question"], run["answer"], run["reasoner"], run["seconds"]) == ("2+2?", "4", "m", 1.5)
    assert run["usage"] == {"calls": 1, "unmetered_calls": 0, "input_tokens": 5, "output_tokens": 3}
    assert (entry.ids, entry.place, run["started_at"]) == (["t1:o1"], "observation o1", "2026-01-01T00:00:00.000+00:00")


COSTS: dict[str, tuple[dict[str, Any], int | None]] = {
    "details": ({"usageDetails": {"input": 7, "output": 1}}, 7),
    "usage": ({"usageDetails": None, "usage": {"input": 7, "output": 1, "unit": "TOKENS"}}, 7),
    "flat": ({"usageDetails": None, "promptTokens": 7, "completionTokens": 1}, 7),
    "not counted": ({"usageDetails": {}, "promptTokens": 0, "completionTokens": 0}, None),
    "no numbers": ({"usageDetails": {"input": "many", "output": 1}}, None),
    "texts that are numbers": ({"usageDetails": None, "input": "7", "output": "1"}, None),
}


@pytest.mark.parametrize(("changes", "tokens"), COSTS.values(), ids=COSTS.keys())
def test_tokens_are_known_or_unknown(tmp_path: Path, changes: dict[str, Any], tokens: int | None):
    usage = one(write(tmp_path / "o.jsonl", call(**changes))).run["usage"]
    assert (usage["input_tokens"] if usage["unmetered_calls"] == 0 else None) == tokens


def test_a_traces_own_question_and_answer_stand_for_what_is_in_it(tmp_path: Path):
    whole = trace(input={"query": "2 + 2, please"}, output="It is 4", sessionId="s")
    path = write(tmp_path / "o.jsonl", call(), whole)
    assert (one(path).ids, one(path).run["question"], one(path).run["reasoner"]) == (["t1"], "2 + 2, please", "m")
    assert one(path, "call").ids == ["t1:o1"]


def test_a_trace_as_the_api_gives_it_holds_all(tmp_path: Path):
    held = {name: value for name, value in call().items() if name != "traceId"}
    path = write(tmp_path / "t.jsonl", trace(observations=[held], scores=[score(1)]))
    assert is_langfuse(path)
    assert one(path).ids == ["t1:o1"]
    assert one(path).run["labels"][0]["source"] == "feedback:right"
    assert one(write(tmp_path / "u.jsonl", trace(observations=["o1"]), call())).ids == ["t1:o1"]


def test_a_file_of_traces_beside_tells_the_session_but_adds_no_entry(tmp_path: Path):
    write(
        tmp_path / "p" / "traces" / "1.jsonl",
        trace("t1", sessionId="s"),
        trace("t2", sessionId="s", input="q", output="a"),
    )
    first, second = call("o1", "t1"), call("o2", "t3", sessionId="s", startTime="2026-01-01T00:01:00Z")
    path = write(tmp_path / "p" / "observations" / "1.jsonl", second, first)
    assert one(path).ids == ["t1:o1", "t3:o2"]
    assert [attempt["turn"] for attempt in one(path).run["attempts"]] == [1, 2]


def test_other_files_beside_are_left_alone(tmp_path: Path):
    path = write(tmp_path / "o.jsonl", call())
    (tmp_path / "scores.md").write_text("# scores")
    shutil.copy(DATA / "otel_genai.jsonl", tmp_path / "traces.jsonl")
    assert len(read(path)) == 1
    (tmp_path / "scores.jsonl").write_text('{"torn')
    (tmp_path / "scores.parquet").write_bytes(b"PAR1 cut off")
    assert [entry.place for entry in read(path) if isinstance(entry, LostEntry)] == [
        "scores.jsonl line 1",
        "scores.parquet",
    ]


VERDICTS: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "a thumb": (score(1), "feedback:right", "correct"),
    "a low number": (score(0.2), "feedback:right", "incorrect"),
    "half": (score(0.5), "feedback:right", "correct"),
    "stars": (score(4), "feedback:right", None),
    "a reviewer's truth": (score(1, "BOOLEAN", "ANNOTATION", stringValue="True"), "human:right", "correct"),
    "a truth of the third version": (score(False, "BOOLEAN", "ANNOTATION"), "human:right", "incorrect"),
    "a judge's word": (score(0, "CATEGORICAL", "EVAL", stringValue="Correct"), "judge:right", "correct"),
    "a word that is no verdict": (score(1, "CATEGORICAL", "EVAL", stringValue="polite"), "judge:right", None),
    "text in a table": (score("1", "NUMERIC"), "feedback:right", "correct"),
    "not a number": (score("NaN"), "feedback:right", None),
    "no type, a word": (score(None, "", stringValue="no"), "feedback:right", "incorrect"),
    "a source of its own": (score(1, source="SOMEWHERE"), "feedback:right", "correct"),
    "by subject": (
        {**score(1), "traceId": None, "subject": {"kind": "observation", "id": "o1", "traceId": "t1"}},
        "feedback:right",
        "correct",
    ),
    "by subject, of the trace": (
        {**score(1), "traceId": None, "subject": {"kind": "trace", "id": "t1"}},
        "feedback:right",
        "correct",
    ),
}


@pytest.mark.parametrize(("row", "source", "value"), VERDICTS.values(), ids=VERDICTS.keys())
def test_scores_are_labels(tmp_path: Path, row: dict[str, Any], source: str, value: str | None):
    (label,) = one(write(tmp_path / "o.jsonl", call(), row)).run["labels"]
    assert label == {"turn": 1, "value": value, "source": source, "at": "2026-01-02T00:00:00.000+00:00"}


def test_a_text_is_no_label_and_a_correction_is_the_target(tmp_path: Path):
    rows = [score("well said", "TEXT", id="s1"), score(0, "CORRECTION", "ANNOTATION", stringValue="5", id="s2")]
    run = one(write(tmp_path / "o.jsonl", call(), *rows)).run
    assert (run["labels"], run["target"]) == ([], "5")


def test_an_observation_whose_parent_is_in_another_file_is_of_the_trace(tmp_path: Path):
    run = one(write(tmp_path / "o.jsonl", call(parentObservationId="elsewhere"), score(1))).run
    assert [label["source"] for label in run["labels"]] == ["feedback:right"]


def test_a_score_of_an_observation_counts_for_it_alone(tmp_path: Path):
    other = call("o2", input=[{"role": "user", "content": "3+3?"}], output="6")
    labels = said(write(tmp_path / "o.jsonl", call(), other, score(1, observationId="o2")))
    assert labels == {"2+2?": (None, {}), "3+3?": (None, {"feedback:right": "correct"})}


def test_retries_in_a_session_are_turns(tmp_path: Path):
    rows = [
        call("o1", "t1", sessionId="s", startTime="2026-01-01T00:00:05Z"),
        call("o2", "t2", sessionId="s", output="5"),
        call("o3", "t3", sessionId="other"),
    ]
    first, second = read(write(tmp_path / "o.jsonl", *rows))
    turns, alone = sorted((first.run, second.run), key=lambda run: -len(run["attempts"]))
    assert [attempt["answer"] for attempt in turns["attempts"]] == ["5", "4"]
    assert len(alone["attempts"]) == 1


def test_a_finished_run_in_an_output_is_that_run(tmp_path: Path):
    run = make_run("r1")
    graph = call("o1", type="CHAIN", input={"messages": [["user", "q"]]}, output=json.dumps({"drr": run}))
    inner = call("o2", parentObservationId="o1")
    entry = one(write(tmp_path / "o.jsonl", inner, graph, score(1)))
    assert entry.run["run_id"] == "r1"
    assert entry.run["labels"] == [
        {"turn": None, "value": "correct", "source": "feedback:right", "at": "2026-01-02T00:00:00.000+00:00"}
    ]


LOST: dict[str, tuple[str, str, str]] = {
    "torn line": ('{"id": "o2", "tra', "line 2", "unreadable"),
    "a row of something else": ('{"id": "o2"}', "line 2", "unreadable"),
    "no trace": (json.dumps(call("o2", None)), "line 2", "bad value"),  # type: ignore[arg-type]
    "no id": (json.dumps(call(None, "t2")), "line 2", "bad value"),  # type: ignore[arg-type]
    "no question": (json.dumps(call("o2", "t2", input=None)), "observation o2", "no question"),
    "no reply": (json.dumps(call("o2", "t2", output=None)), "observation o2", "no reply"),
    "nothing in a trace": (json.dumps(call("o2", "t2", type="EVENT")), "trace t2", "no question"),
}


@pytest.mark.parametrize(("line", "place", "reason"), LOST.values(), ids=LOST.keys())
def test_what_cannot_be_read_is_lost_alone(tmp_path: Path, line: str, place: str, reason: str):
    path = tmp_path / "o.jsonl"
    path.write_text("\n".join([json.dumps(call()), line]))
    entries = read(path)
    lost = [(entry.place, entry.flaw.reason) for entry in entries if isinstance(entry, LostEntry)]
    assert (place, reason) in lost
    assert len(entries) == 2


def test_messages_of_ten_megabytes_pass(tmp_path: Path):
    assert len(one(write(tmp_path / "o.jsonl", call(input="x" * 10_000_000))).run["question"]) == 10_000_000


def test_location_and_kind(tmp_path: Path):
    reader = LangfuseReader(path=tmp_path / "o.jsonl")
    assert (reader.location, reader.kind, reader.unit) == (str(tmp_path / "o.jsonl"), "langfuse", "auto")


FOREIGN = [*DATA.glob("otel_*.jsonl"), *DATA.glob("mlflow_*.jsonl")]


@pytest.mark.parametrize("path", FOREIGN, ids=[path.stem for path in FOREIGN])
def test_other_tools_files_are_not_taken_for_langfuses(path: Path):
    assert not is_langfuse(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)
MANGLED = [name for name in call() if name not in ("id", "traceId", "type")]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([*MANGLED, "sessionId", "usage", "metadata"]), JSON),
        max_size=6,
    ),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 200)), max_size=2),
    st.dictionaries(st.sampled_from(["value", "stringValue", "source", "name", "dataType", "timestamp"]), JSON),
)
def test_every_mangled_call_is_given_or_lost(tmp_path: Path, fields: Any, cuts: Any, scored: Any):
    rows = [call(f"o{number}", f"t{number}", input=f"{number}+1?") for number in range(4)]
    for number, name, value in fields:
        rows[number][name] = value
    texts = [json.dumps(row) for row in rows]
    for number, cut in cuts:
        texts[number] = texts[number][: max(1, len(texts[number]) - cut)]
    path = tmp_path / "mangled.jsonl"
    path.write_text("\n".join([*texts, json.dumps({**score(1), **scored})]))
    entries = read(path)
    ids = [own for entry in entries if isinstance(entry, LoggedRun) for own in entry.ids or ()]
    lost = [entry for entry in entries if isinstance(entry, LostEntry) and entry.place != "line 5"]
    assert len(set(ids)) == len(ids)
    assert len(ids) + len(lost) == 4
    for entry in entries:
        json.dumps(entry, ensure_ascii=False).encode()
