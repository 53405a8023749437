"""OpenTelemetry spans: those of the real SDK, and exports that real tracers made.

The files `tests/data/otel_*.jsonl` are what these tracers gave `ReadableSpan.to_json` (log records stand among them)
as they called a small server with OpenAI's API on 127.0.0.1; stack traces, resources, tool definitions and settings are
cut out of them:

- `genai`: opentelemetry-instrumentation-openai 0.62.4 (GenAI conventions of today)
- `genai_events`: opentelemetry-instrumentation-openai-v2 2.1b0 (messages as log records)
- `openllmetry`: opentelemetry-instrumentation-openai 0.40.14 (`gen_ai.prompt.0.content`)
- `openllmetry_langgraph`: opentelemetry-instrumentation-langchain 0.62.4, an agent with a tool
- `openinference`: openinference-instrumentation-langchain 0.1.80, the same agent
- `langsmith`: langsmith 0.15.0 with LANGSMITH_OTEL_ONLY, the same agent
- `otlp`: as `genai`, through opentelemetry-exporter-otlp-proto-common 1.45.2 and protobuf's `MessageToJson`
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import make_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode, Tracer

from drr_agent.parsing import get_parser
from drr_agent.training.sources.protocol import LoggedRun, LostEntry, Unit
from drr_agent.training.sources.traces.langfuse import is_langfuse
from drr_agent.training.sources.traces.mlflow import is_mlflow
from drr_agent.training.sources.traces.otel import OtelReader, is_otel

DATA = Path(__file__).parents[3] / "data"


def messages(*pairs: tuple[str, str]) -> str:
    """Messages as the conventions have them."""
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in pairs])


def chat(question: str = "2+2?", answer: str = "4", **more: Any) -> dict[str, Any]:
    """The attributes of a model call."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.input.messages": messages(("user", question)),
        "gen_ai.output.messages": messages(("assistant", answer)),
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.response.finish_reasons": ["stop"],
        **more,
    }


def record(make: Callable[[Tracer], None]) -> list[ReadableSpan]:
    """The spans that a program makes, in the order in which they end."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    make(provider.get_tracer("test"))
    return list(exporter.get_finished_spans())


def calls(*attributes: dict[str, Any]) -> list[ReadableSpan]:
    """One model call a trace."""

    def make(tracer: Tracer) -> None:
        for held in attributes:
            tracer.start_span("chat m", attributes=held).end()

    return record(make)


def as_sdk(spans: list[ReadableSpan]) -> list[dict[str, Any]]:
    return [json.loads(span.to_json(indent=None)) for span in spans]


def otlp_value(value: Any) -> dict[str, Any]:
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [otlp_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [{"key": key, "value": otlp_value(item)} for key, item in value.items()]}}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def otlp_attributes(attributes: Any) -> list[dict[str, Any]]:
    return [{"key": key, "value": otlp_value(value)} for key, value in (attributes or {}).items()]


def otlp_span(span: ReadableSpan) -> dict[str, Any]:
    """A span as a collector writes it."""
    return {
        "traceId": format(span.context.trace_id, "032x"),
        "spanId": format(span.context.span_id, "016x"),
        "parentSpanId": "" if span.parent is None else format(span.parent.span_id, "016x"),
        "name": span.name,
        "kind": 3,
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": otlp_attributes(span.attributes),
        "events": [
            {"name": event.name, "timeUnixNano": str(event.timestamp), "attributes": otlp_attributes(event.attributes)}
            for event in span.events
        ],
        "status": {"code": 2, "message": span.status.description} if not span.status.is_ok else {},
    }


def as_otlp(spans: list[ReadableSpan]) -> list[dict[str, Any]]:
    """All spans in one batch."""
    scopes = [{"scope": {"name": "test"}, "spans": [otlp_span(span) for span in spans]}]
    return [{"resourceSpans": [{"resource": {}, "scopeSpans": scopes}]}]


def snake_cased(value: Any) -> Any:
    """As some tools write OTLP."""
    if isinstance(value, list):
        return [snake_cased(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = {name: "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name) for name in value}
    return {names[name]: snake_cased(item) for name, item in value.items()}


FORMS: dict[str, Callable[[list[ReadableSpan]], list[dict[str, Any]]]] = {
    "SDK": as_sdk,
    "OTLP": as_otlp,
    "OTLP in snake case": lambda spans: snake_cased(as_otlp(spans)),
    "OTLP, one span a line": lambda spans: [otlp_span(span) for span in spans],
}
in_every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


def write(path: Path, records: list[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def read(path: Path, unit: Unit = "auto", parser: str = "message") -> list[LoggedRun | LostEntry]:
    return list(OtelReader(path=path, unit=unit, parser=get_parser(parser)).entries())


def one(path: Path, unit: Unit = "auto") -> LoggedRun:
    (entry,) = read(path, unit)
    assert isinstance(entry, LoggedRun)
    return entry


@in_every_form
def test_a_model_call_is_a_run_of_one_turn(tmp_path: Path, form: Any):
    attributes = chat(**{"gen_ai.system_instructions": json.dumps([{"type": "text", "content": "be terse"}])})
    (span,) = spans = calls(attributes)
    path = write(tmp_path / "spans.jsonl", form(spans))
    assert is_otel(path)
    entry = one(path)
    trace, own = format(span.context.trace_id, "032x"), format(span.context.span_id, "016x")
    assert entry.ids == [f"{trace}:{own}"]
    assert entry.place == f"span {own}"
    run = entry.run
    assert (run["question"], run["context"], run["answer"]) == ("2+2?", "system: be terse", "4")
    assert run["usage"] == {"calls": 1, "unmetered_calls": 0, "input_tokens": 5, "output_tokens": 3}
    assert (run["reasoner"], run["attempts"][0]["truncated"], run["origin"]) == ("m", False, "traced")
    assert run["seconds"] == pytest.approx((span.end_time - span.start_time) / 1e9, abs=0.002)
    assert run["started_at"].endswith("+00:00")


@in_every_form
def test_an_agents_answer_is_the_attempt_and_its_calls_are_on_demand(tmp_path: Path, form: Any):
    def make(tracer: Tracer) -> None:
        agent = chat(**{"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "helper"})
        with tracer.start_as_current_span("POST /ask"), tracer.start_as_current_span("helper", attributes=agent):
            with tracer.start_as_current_span("chat", attributes=chat("plan 2+2?", "add")):
                pass
            tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "add"}
            with tracer.start_as_current_span("execute_tool add", attributes=tool):
                pass
            with tracer.start_as_current_span("chat", attributes=chat()):
                pass

    path = write(tmp_path / "spans.jsonl", form(record(make)))
    assert one(path).run["question"] == "2+2?"
    assert one(path).run["usage"]["calls"] == 2
    assert one(path, "root").run["answer"] == "4"
    assert {entry.run["question"] for entry in read(path, "call")} == {"plan 2+2?", "2+2?"}


@in_every_form
def test_a_failed_call_is_a_failed_attempt(tmp_path: Path, form: Any):
    def make(tracer: Tracer) -> None:
        attributes = {**chat(), "error.type": "RateLimitError"}
        del attributes["gen_ai.output.messages"]
        with tracer.start_as_current_span("chat m", attributes=attributes) as span:
            span.set_status(Status(StatusCode.ERROR, "too many requests"))

    run = one(write(tmp_path / "spans.jsonl", form(record(make)))).run
    assert run["attempts"][0]["error"] == "RateLimitError: too many requests"
    assert run["answer"] is None


def test_an_exception_says_what_failed_without_its_stack(tmp_path: Path):
    def make(tracer: Tracer) -> None:
        attributes = {name: value for name, value in chat().items() if name != "gen_ai.output.messages"}
        with tracer.start_as_current_span("chat m", attributes=attributes) as span:
            span.record_exception(ValueError("boom"))
            span.set_status(StatusCode.ERROR)

    assert one(write(tmp_path / "s.jsonl", as_sdk(record(make)))).run["attempts"][0]["error"] == "ValueError: boom"


@in_every_form
def test_evaluations_are_labels_of_judges(tmp_path: Path, form: Any):
    def make(tracer: Tracer) -> None:
        span = tracer.start_span("chat m", attributes=chat())
        for name, said in {
            "Correctness": {"score.label": "pass", "score.value": 0.2},
            "Relevance": {"score.value": 0.3},
            "Points": {"score.value": 4.0},
            "Latency": {"score.label": "pass", "score.value": 0.2},
        }.items():
            held = {f"gen_ai.evaluation.{key}": value for key, value in said.items()}
            span.add_event("gen_ai.evaluation.result", {"gen_ai.evaluation.name": name, **held})
        span.end()

    labels = one(write(tmp_path / "spans.jsonl", form(record(make)))).run["labels"]
    assert {label["source"]: label["value"] for label in labels} == {
        "judge:Correctness": "correct",
        "judge:Relevance": "incorrect",
        "judge:Points": None,
        "judge:Latency": None,
    }
    assert all(label["turn"] == 1 and label["at"] is not None for label in labels)


@in_every_form
def test_a_finished_run_in_an_output_is_that_run(tmp_path: Path, form: Any):
    run = make_run("r1")
    graph = {"langsmith.span.kind": "chain", "gen_ai.prompt": '{"messages": [["user", "2 + 2?"]]}'}

    def make(tracer: Tracer) -> None:
        output = json.dumps({"messages": [["ai", "4"]], "drr": run})
        with tracer.start_as_current_span("drr", attributes={**graph, "gen_ai.completion": output}):
            tracer.start_span("chat m", attributes=chat()).end()

    assert one(write(tmp_path / "spans.jsonl", form(record(make)))).run == run


@pytest.mark.parametrize(
    "thread",
    [
        "gen_ai.conversation.id",
        "session.id",
        "langsmith.metadata.thread_id",
        "traceloop.association.properties.thread_id",
    ],
)
def test_retries_in_a_conversation_are_turns_in_the_order_of_their_times(tmp_path: Path, thread: str):
    spans = calls(
        *(chat(answer=answer, **{thread: "c1"}) for answer in ("5", "4")), chat("3+3?", "6", **{thread: "c1"})
    )
    lines = as_sdk(spans)
    for number, line in enumerate(lines):
        line["start_time"] = f"2026-01-01T00:00:0{number}.000000Z"
    first, second = read(write(tmp_path / "spans.jsonl", list(reversed(lines))))
    turns, alone = sorted((first.run, second.run), key=lambda run: -len(run["attempts"]))
    assert [attempt["answer"] for attempt in turns["attempts"]] == ["5", "4"]
    assert [attempt["turn"] for attempt in turns["attempts"]] == [1, 2]
    assert alone["answer"] == "6"


CALLS = frozenset({("2+2?", "4", "system: be terse"), ("boom", None, ""), ("use tool 2+2?", "4", "")})
AGENTS = ("openllmetry_langgraph", "openinference", "langsmith")
RECORDED: dict[str, frozenset[tuple[str, str | None, str]]] = {
    **dict.fromkeys(("genai", "genai_events", "openllmetry", *AGENTS), CALLS),
    "otlp": CALLS - {("use tool 2+2?", "4", "")},
}


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        pytest.param(name, unit, runs, id=f"{name}, {unit}")
        for name, runs in RECORDED.items()
        for unit in ("auto", "root", "call")
    ],
)
def test_what_real_tracers_write_is_read(name: str, unit: Unit, expected: frozenset[tuple[str, str | None, str]]):
    path = DATA / f"otel_{name}.jsonl"
    assert is_otel(path)
    entries = read(path, unit, "number")
    runs = [entry.run for entry in entries if isinstance(entry, LoggedRun)]
    assert {(run["question"], run["answer"], run["context"]) for run in runs} == expected
    assert len(runs) == len(expected)
    for run in runs:
        (attempt,) = run["attempts"]
        assert (attempt["error"] is None) == (run["answer"] is not None)
        assert "boom" in (attempt["error"] or "boom")
        if attempt["error"] is None:
            assert (attempt["rationale"], attempt["truncated"]) == ("Thinking.", False)
            assert attempt["usage"]["input_tokens"] == 11 * attempt["usage"]["calls"]
            assert run["reasoner"].startswith("gpt-4o-mini")
    # an agent's trace has an answer; a trace that is a single request for tools has none
    lost = {entry.flaw for entry in entries if isinstance(entry, LostEntry)}
    assert lost <= {("no reply", "it asks for tools alone")}


def test_an_agent_costs_what_its_calls_cost():
    runs = [entry.run for entry in read(DATA / "otel_langsmith.jsonl")]
    assert {run["question"]: run["usage"]["calls"] for run in runs} == {"2+2?": 1, "boom": 1, "use tool 2+2?": 2}


@pytest.mark.parametrize("name", RECORDED)
def test_lines_may_come_in_any_order(tmp_path: Path, name: str):
    lines = (DATA / f"otel_{name}.jsonl").read_text().splitlines()
    expected = sorted(map(str, read(DATA / f"otel_{name}.jsonl")))
    for seed in range(3):
        path = tmp_path / "shuffled.jsonl"
        path.write_text("\n".join(random.Random(seed).sample(lines, len(lines))))
        assert sorted(map(str, read(path))) == expected


EVENTS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "message events": ("gen_ai.user.message", {"content": "2+2?"}, "gen_ai.choice", {"message": '{"content": "4"}'}),
    "Azure's": (
        *("gen_ai.user.message", {"gen_ai.event.content": '{"role": "user", "content": "2+2?"}'}),
        *("gen_ai.choice", {"gen_ai.event.content": '{"message": {"content": "4"}, "finish_reason": "stop"}'}),
    ),
    "content events": (
        *("gen_ai.content.prompt", {"gen_ai.prompt": '[{"role": "user", "content": "2+2?"}]'}),
        *("gen_ai.content.completion", {"gen_ai.completion": '[{"role": "assistant", "content": "4"}]'}),
    ),
    "details": (
        *("gen_ai.client.inference.operation.details", {"gen_ai.input.messages": messages(("user", "2+2?"))}),
        *("gen_ai.client.inference.operation.details", {"gen_ai.output.messages": messages(("assistant", "4"))}),
    ),
}


@in_every_form
@pytest.mark.parametrize(("asked", "request_", "answered", "response"), EVENTS.values(), ids=EVENTS.keys())
def test_messages_may_be_events(tmp_path: Path, form: Any, asked: str, request_: Any, answered: str, response: Any):
    def make(tracer: Tracer) -> None:
        span = tracer.start_span("chat m", attributes={"gen_ai.operation.name": "chat"})
        span.add_event(asked, request_)
        span.add_event(answered, response)
        span.end()

    run = one(write(tmp_path / "spans.jsonl", form(record(make)))).run
    assert (run["question"], run["answer"]) == ("2+2?", "4")


def test_messages_may_be_log_records_in_a_collectors_file(tmp_path: Path):
    (span,) = calls({"gen_ai.operation.name": "chat"})
    ids = {"traceId": format(span.context.trace_id, "032x"), "spanId": format(span.context.span_id, "016x")}
    logs = [
        {**ids, "timeUnixNano": "2", "eventName": "gen_ai.choice", "body": otlp_value({"message": {"content": "4"}})},
        {**ids, "timeUnixNano": "1", "eventName": "gen_ai.user.message", "body": otlp_value({"content": "2+2?"})},
        {"timeUnixNano": "1", "body": otlp_value("a log record of something else")},
    ]
    batches = [{"resourceLogs": [{"scopeLogs": [{"logRecords": logs}]}]}, {"resourceMetrics": [{}]}, *as_otlp([span])]
    run = one(write(tmp_path / "spans.jsonl", batches)).run
    assert (run["question"], run["answer"]) == ("2+2?", "4")


def test_structured_attributes_need_no_json(tmp_path: Path):
    (line,) = as_otlp(calls(chat()))
    (span,) = line["resourceSpans"][0]["scopeSpans"][0]["spans"]
    asked = [{"role": "user", "parts": [{"type": "text", "content": "2+2?"}]}]
    span["attributes"] = otlp_attributes({**chat(), "gen_ai.input.messages": asked})
    assert one(write(tmp_path / "spans.jsonl", [line])).run["question"] == "2+2?"


def test_the_sdks_indented_output_is_read(tmp_path: Path):
    path = tmp_path / "console.txt"
    path.write_text("".join(span.to_json() + "\n" for span in calls(chat(), chat("3+3?", "6"))))
    assert {entry.run["answer"] for entry in read(path)} == {"4", "6"}


LOST: dict[str, tuple[str, str, str]] = {
    "torn line": ('{"name": "chat", "context": {"trace_id"', "line 2", "unreadable"),
    "no object": ("[]", "line 2", "unreadable"),
    "no span": ('{"hello": 1}', "line 2", "unreadable"),
    "no ids": ('{"name": "chat", "context": {}, "start_time": "2026-01-01T00:00:00Z"}', "line 2", "bad value"),
    "broken batch": ('{"resourceSpans": 7}', "line 2 item 1", "unreadable"),
    "broken span in a batch": ('{"resourceSpans": [{"scopeSpans": [{"spans": [7]}]}]}', "line 2 item 1", "unreadable"),
    "nothing captured": (
        '{"context": {"trace_id": "1", "span_id": "2"}, "attributes": {"gen_ai.operation.name": "chat"}}',
        "span 2",
        "no question",
    ),
    "cut off by a limit": (
        json.dumps(
            {
                "context": {"trace_id": "1", "span_id": "2"},
                "attributes": chat(**{"gen_ai.output.messages": messages(("assistant", "x" * 99))[:50]}),
            }
        ),
        "span 2",
        "unreadable",
    ),
}


@pytest.mark.parametrize(("line", "place", "reason"), LOST.values(), ids=LOST.keys())
def test_what_cannot_be_read_is_lost_alone(tmp_path: Path, line: str, place: str, reason: str):
    path = tmp_path / "spans.jsonl"
    good = [json.dumps(span) for span in as_sdk(calls(chat(), chat("3+3?", "6")))]
    path.write_text("\n".join([good[0], line, good[1]]))
    entries = read(path)
    assert [(entry.place, entry.flaw.reason) for entry in entries if isinstance(entry, LostEntry)] == [(place, reason)]
    assert {entry.run["answer"] for entry in entries if isinstance(entry, LoggedRun)} == {"4", "6"}


def test_spans_of_anything_else_are_no_entries(tmp_path: Path):
    spans = calls({"http.request.method": "GET"}, {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "e"})
    path = write(tmp_path / "spans.jsonl", as_sdk(spans))
    assert is_otel(path)
    assert read(path) == []


def test_messages_of_ten_megabytes_pass(tmp_path: Path):
    run = one(write(tmp_path / "spans.jsonl", as_sdk(calls(chat("x" * 10_000_000))))).run
    assert len(run["question"]) == 10_000_000


def test_location_and_kind(tmp_path: Path):
    reader = OtelReader(path=tmp_path / "spans.jsonl")
    assert (reader.location, reader.kind, reader.unit) == (str(tmp_path / "spans.jsonl"), "otel", "auto")


FOREIGN = {
    "langfuse": DATA / "langfuse_observations.jsonl",
    "scores": DATA / "langfuse_scores.jsonl",
    "mlflow 2": DATA / "mlflow_2.jsonl",
    "mlflow 3": DATA / "mlflow_3.jsonl",
}
TABLES: dict[str, dict[str, Any]] = {
    "run log": dict(make_run()),
    "langsmith": {"id": "1", "trace_id": "1", "run_type": "llm", "dotted_order": "x", "inputs": {}, "outputs": {}},
    "langsmith with a span's name": {
        "id": "1",
        "trace_id": "1",
        "type": "span",
        "dotted_order": "x",
        "start_time": "x",
    },
    "attempts": {"id": "1", "trace_id": "1", "question": "q", "answer": "a", "start_time": "x", "session_id": "s"},
    "attempts by input and output": {"id": "1", "timestamp": "x", "input": "q", "output": "a", "score": 1},
    "questions": {"question": "q", "target": "a"},
}


@pytest.mark.parametrize("path", FOREIGN.values(), ids=FOREIGN.keys())
def test_other_tools_files_are_not_taken_for_spans(path: Path):
    assert not is_otel(path)


@pytest.mark.parametrize("row", TABLES.values(), ids=TABLES.keys())
def test_other_logs_are_taken_for_no_trace(tmp_path: Path, row: dict[str, Any]):
    path = write(tmp_path / "rows.jsonl", [row])
    assert not is_otel(path)
    assert not is_langfuse(path)
    assert not is_mlflow(path)


def test_what_is_no_file_is_no_export(tmp_path: Path):
    for path in (tmp_path, tmp_path / "nothing"):
        assert not is_otel(path)
        assert not is_langfuse(path)
        assert not is_mlflow(path)


SPANS = as_sdk(calls(*(chat(f"{number}+1?", str(number)) for number in range(4))))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)
FIELDS = ["name", "parent_id", "start_time", "end_time", "status", "events", "attributes", "kind"]
ATTRIBUTES = [name for name in chat() if name != "gen_ai.operation.name"]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(FIELDS), JSON), max_size=3),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(ATTRIBUTES), JSON), max_size=3),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 200)), max_size=2),
)
def test_every_mangled_call_is_given_or_lost(tmp_path: Path, fields: Any, attributes: Any, cuts: Any):
    """One call a line, whose operation is left alone unless all its attributes go: then it is a span of anything."""
    lines = json.loads(json.dumps(SPANS))
    for number, name, value in attributes:
        lines[number]["attributes"][name] = value
    for number, name, value in fields:
        lines[number][name] = value
    texts = [json.dumps(line) for line in lines]
    for number, cut in cuts:
        texts[number] = texts[number][: max(1, len(texts[number]) - cut)]
    path = tmp_path / "mangled.jsonl"
    path.write_text("\n".join(texts))
    entries = read(path)
    given_ids = [own for entry in entries if isinstance(entry, LoggedRun) for own in entry.ids or ()]
    lost = [entry for entry in entries if isinstance(entry, LostEntry)]
    torn = {number for number, _ in cuts}
    foreign = sum(
        "attributes" in [name for at, name, _ in fields if at == number] and number not in torn for number in range(4)
    )
    assert len(set(given_ids)) == len(given_ids)
    assert 4 - foreign <= len(given_ids) + len(lost) <= 4
    for entry in entries:
        json.dumps(entry, ensure_ascii=False).encode()
