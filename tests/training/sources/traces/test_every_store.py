"""The same agents in every trace store: attempts, labels and losses are the same, whoever kept the trace.

What our tracer wrote is put in the other stores' forms here, span by span. What differs by nature is left out of the
comparison: ids of attempts, which are made of trace and span where a span has none of its own, and places.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedChatModel
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langgraph.graph import START, MessagesState, StateGraph
from traces import QUESTION, as_flat, behaviors_of, drr_graph, find_run, lost_of, make_call, make_row, traced
from typing_extensions import TypedDict

from drr_agent.state import Run
from drr_agent.training.behaviors import Behavior
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LostEntry, RunReader, Unit
from drr_agent.training.sources.traces.langfuse import LangfuseReader
from drr_agent.training.sources.traces.langsmith import LangSmithReader
from drr_agent.training.sources.traces.mlflow import MlflowReader
from drr_agent.training.sources.traces.otel import OtelReader
from drr_agent.training.sources.traces.tracer import TracerReader

Row = dict[str, Any]
AGENTS: dict[str, Callable[[], Any]] = {
    "a drr graph": lambda: drr_graph("Answer: 3", "Answer: 4"),
    "an agent": lambda: create_agent(ScriptedChatModel(replies=["four"])),
    "a model": lambda: ScriptedChatModel(replies=["four"]),
}


def model_of(row: Row) -> str | None:
    return row["extra"]["metadata"].get("ls_model_name")


def write(path: Path, rows: Iterator[Row] | list[Row]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def in_langsmith(rows: list[Row], folder: Path, unit: Unit) -> RunReader:
    return LangSmithReader(path=write(folder / "runs.jsonl", rows), unit=unit)


def in_langfuse(rows: list[Row], folder: Path, unit: Unit) -> RunReader:
    kinds = {"llm": "GENERATION", "chain": "CHAIN", "tool": "TOOL"}
    observations = [
        {
            "id": row["id"],
            "traceId": row["trace_id"],
            "parentObservationId": row["parent_run_id"],
            "type": kinds[row["run_type"]],
            "name": row["name"],
            "startTime": row["start_time"],
            "endTime": row["end_time"],
            "input": json.dumps(row["inputs"]),
            "output": json.dumps(row["outputs"]),
            "model": model_of(row),
            "metadata": json.dumps(row["extra"]["metadata"]),
            "level": "DEFAULT" if row["error"] is None else "ERROR",
            "statusMessage": row["error"],
        }
        for row in rows
    ]
    scores = [
        {"id": "s", "traceId": row["trace_id"], "observationId": row["id"], "source": "ANNOTATION", "value": 1}
        | {"name": said["key"], "dataType": "NUMERIC", "timestamp": said["created_at"], "authorUserId": said["by"]}
        | {"value": said["score"]}
        for row in rows
        for said in row.get("feedback", ())
    ]
    return LangfuseReader(path=write(folder / "observations.jsonl", observations + scores), unit=unit)


def in_mlflow(rows: list[Row], folder: Path, unit: Unit) -> RunReader:
    kinds = {"llm": "CHAT_MODEL", "chain": "CHAIN", "tool": "TOOL"}
    spans = [
        {
            "span_id": row["id"],
            "parent_span_id": row["parent_run_id"],
            "name": row["name"],
            "start_time": row["start_time"],
            "end_time": row["end_time"],
            "status": {"code": "OK"} if row["error"] is None else {"code": "ERROR", "message": row["error"]},
            "attributes": {
                "mlflow.spanType": json.dumps(kinds[row["run_type"]]),
                "mlflow.spanInputs": json.dumps(row["inputs"]),
                "mlflow.spanOutputs": json.dumps(row["outputs"]),
                "mlflow.llm.model": json.dumps(model_of(row)),
                "metadata": json.dumps(row["extra"]["metadata"]),
            },
        }
        for row in rows
    ]
    said = [
        {"assessment_name": said["key"], "span_id": row["id"], "feedback": {"value": said["score"]}}
        | {"source": {"source_type": "HUMAN", "source_id": said["by"]}, "create_time": said["created_at"]}
        for row in rows
        for said in row.get("feedback", ())
    ]
    info = {"trace_id": rows[0]["trace_id"], "state": "OK", "assessments": said}
    return MlflowReader(path=write(folder / "traces.jsonl", [{"info": info, "data": {"spans": spans}}]), unit=unit)


def in_otel(rows: list[Row], folder: Path, unit: Unit) -> RunReader:
    """As LangSmith's own exporter writes them."""
    spans = [
        {
            "traceId": row["trace_id"],
            "spanId": row["id"],
            "parentSpanId": row["parent_run_id"] or "",
            "name": row["name"],
            "startTimeUnixNano": row["start_time"],
            "endTimeUnixNano": row["end_time"],
            "status": {} if row["error"] is None else {"code": 2, "message": row["error"]},
            "attributes": {
                "langsmith.span.kind": row["run_type"],
                "gen_ai.prompt": json.dumps(row["inputs"]),
                "gen_ai.completion": json.dumps(row["outputs"]),
                **({} if model_of(row) is None else {"gen_ai.request.model": model_of(row)}),
                **{f"langsmith.metadata.{name}": value for name, value in row["extra"]["metadata"].items()},
            },
        }
        for row in rows
    ]
    return OtelReader(path=write(folder / "spans.jsonl", spans), unit=unit)


STORES = {"langsmith": in_langsmith, "langfuse": in_langfuse, "mlflow": in_mlflow, "otel": in_otel}
JUDGED = {name: store for name, store in STORES.items() if name != "otel"}  # whose raters nobody tells apart


def comparable(found: list[Behavior | Flaw | None]) -> list[Any]:
    return [{**row, "id": None} if isinstance(row, dict) else row for row in found]


def without_end(rows: list[Row]) -> list[Row]:
    """The trace of a graph that was killed before its run ended."""
    for row in rows:
        if row["outputs"].pop("drr", None) is not None:
            row["outputs"] = {}
        output = row["outputs"].get("output")
        if isinstance(output, dict):
            output.get("update", output).pop("drr", None)
    return rows


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """Runs of each agent, one a row."""
    folder, logs = tmp_path_factory.mktemp("logs"), {}
    for number, (name, build) in enumerate(AGENTS.items()):
        agent = build()
        given = "What is 2 + 2?" if isinstance(agent, BaseChatModel) else QUESTION
        logs[name] = as_flat(traced(agent, given, folder / f"{number}.jsonl"))
    logs["a drr graph that was killed"] = without_end(as_flat(folder / "0.jsonl"))
    return logs


@pytest.mark.parametrize("unit", ["auto", "root", "call"])
@pytest.mark.parametrize("name", [*AGENTS, "a drr graph that was killed"])
def test_every_store_gives_the_same_attempts(tmp_path: Path, logs: dict[str, list[Row]], name: str, unit: Unit):
    found = {store: comparable(behaviors_of(build(logs[name], tmp_path, unit))) for store, build in STORES.items()}
    assert [row["answer"] for row in found["langsmith"]] == (["3", "4"] if "drr" in name else ["four"])
    assert {row["origin"] for row in found["langsmith"]} == ({"live"} if "drr" in name else {"traced"})
    for rows in found.values():
        assert rows == found["langsmith"]


class Host(MessagesState):
    drr: Run


class Told(TypedDict):
    answer: str


def review(state: Host) -> dict[str, Any]:
    label = {"turn": None, "value": "incorrect", "source": "human:review", "at": None}
    return {"drr": {**state["drr"], "labels": [label]}, "answer": "no"}


@pytest.mark.parametrize("schema", [None, Told], ids=["the host shows its run", "the host does not"])
@pytest.mark.parametrize("store", STORES.values(), ids=STORES)
def test_a_review_by_the_host_is_heard(tmp_path: Path, store: Any, schema: Any):
    host = StateGraph(Host, output_schema=schema)
    host.add_sequence([("agent", drr_graph("Answer: 3", "Answer: 4")), review])
    host.add_edge(START, "agent")
    log = traced(host.compile(), QUESTION, tmp_path / "log.jsonl")
    for reader in (TracerReader(path=log), store(as_flat(log), tmp_path, "auto")):
        rows = [(row["answer"], row["label"], row["label_source"]) for row in behaviors_of(reader)]
        assert sorted(rows, key=str) == [("3", None, None), ("4", "incorrect", "human:review")]


def said(by: str, score: float, day: int = 1, *, key: str = "ok") -> Row:
    source = {"type": "app", "user_id": by}
    at = f"2026-02-0{day}T00:00:00Z"
    return {"key": key, "score": score, "by": by, "feedback_source": source, "created_at": at}


ASKED = {"messages": [{"role": "user", "content": "And 3 + 3?"}]}
TREES: dict[str, list[Row]] = {
    "on the root": [make_row(feedback=[said("ann", 1)]), make_call()],
    "on a call with the root's answer": [make_row(), make_call(feedback=[said("ann", 1)])],
    "on a call with another answer": [
        make_row(outputs={"output": "5"}),
        make_call(feedback=[said("ann", 1)]),
        make_call("c2"),
    ],
    "on a root without an answer": [make_row(outputs={}, feedback=[said("ann", 1)]), make_call()],
    "on a root of two": [
        make_row(outputs={}, feedback=[said("ann", 1)]),
        make_call(),
        make_call("c2", inputs=ASKED),
    ],
    "raters who agree": [make_row(feedback=[said("ann", 1), said("bob", 1, 2)])],
    "raters who disagree": [make_row(feedback=[said("ann", 1), said("bob", 0, 2)])],
    "a rater who changed their mind": [make_row(feedback=[said("ann", 1, 2), said("ann", 0, 3), said("bob", 0)])],
    "raters who disagree about one answer in two places": [
        make_row(feedback=[said("ann", 1)]),
        make_call(feedback=[said("bob", 0)]),
    ],
    "on a failed root": [make_row(error="Boom()", outputs={}, feedback=[said("ann", 0)]), make_call()],
    "on the call of an attempt": [
        make_row(outputs={"drr_start": None}),
        make_call(extra={"metadata": {"drr_turn": 1}}, feedback=[said("ann", 1)]),
    ],
}


def labels_of(reader: RunReader) -> list[Any]:
    runs = [entry.run for entry in reader.entries() if not isinstance(entry, LostEntry)]
    found = [
        (run["answer"], [(label["value"], label["source"], label["at"]) for label in run["labels"]]) for run in runs
    ]
    return sorted(found, key=str) + [flaw for _, *flaw in lost_of(reader)]


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_every_store_hears_the_same(tmp_path: Path, tree: list[Row]):
    found = {store: labels_of(build(tree, tmp_path, "auto")) for store, build in JUDGED.items()}
    for labels in found.values():
        assert labels == found["langsmith"]


@pytest.mark.parametrize("store", JUDGED.values(), ids=JUDGED)
def test_scores_of_another_matter_are_kept_and_say_nothing(tmp_path: Path, store: Any):
    scores = {"thumb": 1, "latency": 0.2, "toxicity": 0}
    tree = [make_row(feedback=[said("ann", score, key=key) for key, score in scores.items()])]
    ((_, labels),) = labels_of(store(tree, tmp_path, "auto"))
    assert [(source, value) for value, source, _ in labels] == [
        ("human:latency", None),
        ("human:thumb", "correct"),
        ("human:toxicity", None),
    ]


RATED = {
    "raters who agree": "correct",
    "raters who disagree": None,
    "a rater who changed their mind": "incorrect",
    "raters who disagree about one answer in two places": None,
}


@pytest.mark.parametrize("store", JUDGED.values(), ids=JUDGED)
@pytest.mark.parametrize(("name", "value"), RATED.items(), ids=RATED)
def test_raters_who_disagree_say_nothing(tmp_path: Path, store: Any, name: str, value: str | None):
    ((_, ((said_, source, _),)),) = labels_of(store(TREES[name], tmp_path, "auto"))
    assert (said_, source) == (value, "human:ok")


@pytest.mark.parametrize("store", JUDGED.values(), ids=JUDGED)
@pytest.mark.parametrize("place", ["drr", "think", "ScriptedChatModel", "begin"])
def test_what_is_said_in_a_drr_run_finds_its_turn(tmp_path: Path, logs: dict[str, list[Row]], store: Any, place: str):
    rows = [dict(row) for row in logs["a drr graph"]]
    find_run(rows, place)["feedback"] = [said("ann", 1)]
    reader = store(rows, tmp_path, "auto")
    found = [(row["turn"], len(row["labels"])) for row in behaviors_of(reader) if isinstance(row, dict)]
    lost = [detail for _, _, detail in lost_of(reader)]
    turn = {"drr": 2, "ScriptedChatModel": 1}.get(place)
    assert sorted(found) == [(1, int(turn == 1)), (2, int(turn == 2))]
    assert len(lost) == (turn is None)
