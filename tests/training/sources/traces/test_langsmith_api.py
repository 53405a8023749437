"""A LangSmith project over its API, from a server on loopback that speaks it."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from fakes import ScriptedChatModel
from langchain.agents import create_agent
from traces import QUESTION, as_flat, as_nested, behaviors_of, drr_graph, make_call, make_row, traced

from drr_agent.errors import ConfigError, DataError
from drr_agent.training.sources.protocol import LostEntry
from drr_agent.training.sources.traces.langsmith_api import LangSmithApiReader
from drr_agent.training.sources.traces.tracer import TracerReader

pytestmark = [pytest.mark.loopback, pytest.mark.allow_hosts(["127.0.0.1"])]

KEY = "lsv2_pt_0123456789abcdef0123456789abcdef_0123456789"
PROJECT = {
    "id": str(UUID(int=7)),
    "name": "my agent",
    "tenant_id": str(UUID(int=8)),
    "reference_dataset_id": None,
    "start_time": "2025-01-01T00:00:00+00:00",
}


def as_sent(row, stats):
    """A run as the API gives it."""
    ancestors = [part.partition("Z")[2] for part in row["dotted_order"].split(".")][:-1]
    sent = {name: row[name] for name in row if name not in ("parent_run_id", "run_type", "tags")}
    return {
        **sent,
        "run_type": row["run_type"].upper(),
        "parent_run_ids": ancestors,
        "project_id": PROJECT["id"],
        "metadata": row["extra"]["metadata"],
        **({"feedback_stats": stats} if stats else {}),
    }


class LangSmith(ThreadingHTTPServer):
    """Projects, runs and feedback; counts what it is asked, and refuses as often as it is told to."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.runs, self.feedback, self.asked, self.refusals = [], [], [], []
        self.counts = Counter()
        self.cursors = None
        """Given one after the other in place of the true ones, the last for ever."""
        self.loops = False
        """Whether every page of feedback is the first one."""
        self.body = None
        """Sent in place of every page of runs."""

    def load(self, log, feedback=()):
        """Hold the runs of a trace log."""
        told = {}
        for said in feedback:
            told.setdefault(said["run_id"], {})[said["key"]] = {"n": 1, "avg": said["score"]}
        self.runs = [as_sent(row, told.get(row["id"])) for row in as_flat(log)]
        self.feedback = list(feedback)

    def page(self, query):
        first, size = int(query.get("cursor", "0")), query["page_size"]
        since = query["min_start_time"]
        runs = [run for run in self.runs if not isinstance(run, dict) or run.get("start_time", since) >= since]
        following = str(first + size) if first + size < len(runs) else None
        if self.cursors:
            following = self.cursors.pop(0) if len(self.cursors) > 1 else self.cursors[0]
        return {"items": runs[first : first + size], "next_cursor": following}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""

    def answer(self, status, body, **headers):
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(payload), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(payload)

    def refuses(self):
        if self.headers.get("X-API-Key") != KEY:
            self.answer(401, {"detail": f"Invalid key {self.headers.get('X-API-Key')}"})
            return True
        return False

    def do_GET(self):
        address = urlsplit(self.path)
        query = parse_qs(address.query)
        self.server.counts[address.path] += 1
        if self.refuses():
            return
        if address.path == "/sessions":
            self.answer(200, [PROJECT] if query["name"] == [PROJECT["name"]] else [])
        elif address.path == f"/sessions/{PROJECT['id']}":
            self.answer(200, PROJECT)
        elif address.path == "/feedback":
            found = [record for record in self.server.feedback if record["run_id"] in query["run"]]
            first = 0 if self.server.loops else int(query["offset"][0])
            self.answer(200, found[first : first + int(query["limit"][0])])
        else:
            self.answer(404, {"detail": "Not Found"})

    def do_POST(self):
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.counts[self.path] += 1
        if self.refuses():
            return
        if self.server.refusals:
            self.answer(self.server.refusals.pop(), {"detail": "slow down"}, **{"Retry-After": "0.01"})
            return
        self.server.asked.append(query)
        self.answer(200, self.server.page(query) if self.server.body is None else self.server.body)


@pytest.fixture
def langsmith(monkeypatch):
    server = LangSmith()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("LANGSMITH_API_KEY", KEY)
    monkeypatch.setenv("LANGSMITH_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A trace log of two drr runs, and of an agent that was asked twice in a thread."""
    path = tmp_path_factory.mktemp("log") / "traces.jsonl"
    for answers in (["3", "4"], ["4"]):
        traced(drr_graph(*(f"Answer: {answer}" for answer in answers)), QUESTION, path)
    agent = create_agent(ScriptedChatModel(replies=["three", "four"]))
    return traced(agent, {"messages": [("user", "2+2?")]}, path, times=2, metadata={"thread_id": "t"})


def record(run_id, *, score=1, number=1, **changes):
    """A feedback record as the API gives it."""
    return {
        "id": str(UUID(int=number)),
        "run_id": run_id,
        "trace_id": run_id,
        "key": "thumb",
        "score": score,
        "created_at": "2026-02-01T00:00:00+00:00",
        "modified_at": "2026-02-01T00:00:00+00:00",
        **changes,
    }


def trace_of(hour):
    """An agent that began at an hour, and its call half an hour later, as the API gives them."""
    root, call = f"20260101T{hour:02}0000000000Zr{hour}", f"20260101T{hour:02}3000000000Zc{hour}"
    rows = [
        make_row(f"r{hour}", start_time=f"2026-01-01T{hour:02}:00:00", dotted_order=root),
        make_call(f"c{hour}", f"r{hour}", start_time=f"2026-01-01T{hour:02}:30:00", dotted_order=f"{root}.{call}"),
    ]
    return [as_sent(row, {}) for row in rows]


def read(**settings):
    return LangSmithApiReader(**{"location": "langsmith://my%20agent", **settings})


class TestReading:
    @pytest.mark.parametrize("page_size", [3, 1000])
    @pytest.mark.parametrize("project", ["my%20agent", PROJECT["id"]], ids=["name", "id"])
    def test_a_project_gives_what_the_trace_log_gives(self, project, page_size, langsmith, log):
        langsmith.load(log)
        reader = read(location=f"langsmith://{project}", page_size=page_size)
        assert behaviors_of(reader) == behaviors_of(TracerReader(path=log))
        assert len(langsmith.asked) == -(-len(langsmith.runs) // page_size)

    def test_what_is_asked_for(self, langsmith, log):
        langsmith.load(log)
        list(read().entries())
        (query,) = langsmith.asked
        assert query["project_ids"] == [PROJECT["id"]]
        assert query["page_size"] == 200
        assert query["min_start_time"].startswith("2000-01-01")  # without a time the server gives the last day alone
        assert {"ID", "INPUTS", "OUTPUTS", "TRACE_ID", "DOTTED_ORDER", "FEEDBACK_STATS"} <= set(query["selects"])
        assert not {"EVENTS", "MANIFEST", "ATTACHMENTS"} & set(query["selects"])
        assert (langsmith.counts["/sessions"], langsmith.counts["/feedback"]) == (1, 0)

    @pytest.mark.parametrize("since", ["2030-01-01", "2029-12-31T19:00:00-05:00"])
    def test_since(self, since, langsmith, log):
        langsmith.load(log)
        reader = read(location=f"langsmith://my%20agent?since={since}")
        assert (list(reader.entries()), reader.project) == ([], "my agent")
        assert langsmith.asked[0]["min_start_time"] == "2030-01-01T00:00:00.000+00:00"

    def test_a_trace_that_began_before_is_passed_over(self, langsmith):
        langsmith.runs = [sent for hour in (1, 2, 3) for sent in trace_of(hour)]
        ids = {
            since: sorted(entry.ids for entry in read(location=f"langsmith://my%20agent?since={since}").entries())
            for since in ("2026-01-01T00:30", "2026-01-01T02:30", "2026-01-01T03:30")
        }
        assert ids == {
            "2026-01-01T00:30": [["r1"], ["r2"], ["r3"]],
            "2026-01-01T02:30": [["r3"]],
            "2026-01-01T03:30": [],
        }

    def test_a_trace_that_began_since_is_read_without_its_root(self, langsmith):
        broken, call = trace_of(1)
        langsmith.runs = [{**broken, "inputs": 5}, call, *trace_of(2)[1:]]
        entries = list(read(location="langsmith://my%20agent?since=2026-01-01T00:30").entries())
        assert [entry.flaw.detail for entry in entries if isinstance(entry, LostEntry)] == [
            "inputs that are not an object but int"
        ]
        assert sorted(entry.ids for entry in entries if not isinstance(entry, LostEntry)) == [["c1"], ["c2"]]

    @pytest.mark.parametrize(("first", "ids"), [(0, [["r1"]]), (1, [])], ids=["with its root", "without"])
    def test_where_nobody_says_when_a_trace_began_its_root_does(self, first, ids, langsmith):
        langsmith.runs = [{**sent, "dotted_order": None} for sent in trace_of(1)[first:]]
        entries = read(location="langsmith://my%20agent?since=2026-01-01T00:30").entries()
        assert [entry.ids for entry in entries] == ids

    def test_without_a_time_a_trace_is_read_without_its_root(self, langsmith):
        langsmith.runs = trace_of(1)[1:]
        assert [entry.ids for entry in read().entries()] == [["c1"]]

    def test_what_was_said_of_a_trace_that_began_before_is_passed_over(self, langsmith):
        call = {**trace_of(1)[1], "id": str(UUID(int=3)), "feedback_stats": {"thumb": {"n": 1, "avg": 1}}}
        langsmith.runs, langsmith.feedback = [call], [record(call["id"])]
        assert list(read(location="langsmith://my%20agent?since=2026-01-01T01:15").entries()) == []

    def test_feedback_and_corrections(self, langsmith, log):
        first, _, third, _ = (line["id"] for line in as_nested(log))
        fix = record(third, score=0, number=2, correction={"output": "four"}, feedback_source={"type": "model"})
        langsmith.load(log, [record(first), fix])
        rows = {row["id"]: row for row in behaviors_of(read()) if row["labels"]}
        assert sorted((row["answer"], row["label"], row["label_source"]) for row in rows.values()) == [
            ("4", "correct", "feedback:thumb"),
            ("four", "correct", "grader:auto"),
            ("three", "incorrect", "grader:auto"),
        ]
        judged = [label for label in rows[third]["labels"] if label["source"] == "judge:thumb"]
        assert [label["value"] for label in judged] == ["incorrect"]
        assert langsmith.counts["/feedback"] == 1

    def test_much_feedback_is_fetched_in_pages(self, langsmith, log):
        rows = as_flat(log)
        copies = [{**row, "id": str(UUID(int=n)), "trace_id": str(UUID(int=n))} for n, row in enumerate(rows * 30)][
            :250
        ]
        langsmith.runs = [as_sent(row, {"thumb": {"n": 1, "avg": 1}}) for row in copies]
        langsmith.feedback = [record(run["id"], number=n) for n, run in enumerate(langsmith.runs)]
        list(read().entries())
        assert langsmith.counts["/feedback"] >= 3

    def test_a_broken_record_costs_its_page_but_not_what_the_runs_sum_up(self, langsmith, log):
        first = as_nested(log)[0]["id"]
        langsmith.load(log, [record(first), {"run_id": first, "key": "other", "score": 1, "id": "no id"}])
        entries = list(read().entries())
        assert [entry.place for entry in entries if isinstance(entry, LostEntry)] == ["a page of feedback"]
        labels = [
            label for entry in entries if not isinstance(entry, LostEntry) for label in entry.run.get("labels", ())
        ]
        assert sorted(label["source"] for label in labels) == ["feedback:other", "feedback:thumb"]

    def test_it_can_be_read_again(self, langsmith, log):
        langsmith.load(log)
        reader = read()
        assert list(reader.entries()) == list(reader.entries())

    def test_a_broken_run_costs_that_run(self, langsmith, log):
        langsmith.load(log)
        langsmith.runs += [{"id": None}, 5, {**langsmith.runs[0], "id": "x", "trace_id": "x", "inputs": 7}]
        lost = [entry.flaw.detail for entry in read().entries() if isinstance(entry, LostEntry)]
        assert set(lost) >= {"a run without an id", "an item that is int", "inputs that are not an object but int"}


class TestRefusals:
    def test_a_rate_limit_is_waited_for(self, langsmith, log):
        langsmith.load(log)
        langsmith.refusals = [429, 503, 429]
        assert behaviors_of(read()) == behaviors_of(TracerReader(path=log))

    @pytest.mark.parametrize(
        ("refusals", "said"),
        [
            ([429] * 50, "RateLimitError, status 429"),
            ([500] * 50, "InternalServerError, status 500"),
            ([400], "status 400"),
        ],
        ids=["limit", "broken", "bad-request"],
    )
    def test_a_server_that_goes_on_refusing(self, refusals, said, langsmith, log):
        langsmith.load(log)
        langsmith.refusals = refusals
        with pytest.raises(DataError, match=said):
            list(read().entries())

    @pytest.mark.parametrize("location", ["langsmith://my%20agent", f"langsmith://{PROJECT['id']}"], ids=["name", "id"])
    def test_a_wrong_key_is_never_shown(self, location, langsmith, monkeypatch):
        wrong = KEY.replace("0123", "9999")
        monkeypatch.setenv("LANGSMITH_API_KEY", wrong)
        with pytest.raises(DataError, match="check LANGSMITH_API_KEY") as caught:
            list(read(location=location).entries())
        shown = f"{caught.value} {caught.value.__cause__} {caught.value.__suppress_context__}"
        assert wrong not in shown
        assert wrong[:8] not in str(caught.value)
        assert caught.value.__suppress_context__

    def test_no_key(self, langsmith, monkeypatch):
        monkeypatch.delenv("LANGSMITH_API_KEY")
        with pytest.raises(DataError, match="expected LangSmith's key in LANGSMITH_API_KEY, found none"):
            list(read().entries())
        assert not langsmith.counts

    @pytest.mark.parametrize("project", ["other", str(UUID(int=9))], ids=["name", "id"])
    def test_no_such_project(self, project, langsmith):
        with pytest.raises(DataError, match=f"expected a project '{project}' at"):
            list(read(location=f"langsmith://{project}").entries())

    @pytest.mark.parametrize("body", [b"<html>hello</html>", b"[1]", b"5", b'{"items": 5}', b"{torn"], ids=str)
    def test_a_server_that_is_none(self, body, langsmith):
        langsmith.body = body
        with pytest.raises(DataError, match="a reply of another form"):
            list(read().entries())

    @pytest.mark.parametrize(
        ("cursors", "requests"),
        [(["0"], 2), (["1", "0"], 3), (["1", "2", "1"], 4)],
        ids=["the-same-page", "the-first-page", "pages-in-a-circle"],
    )
    def test_a_server_that_never_ends(self, cursors, requests, langsmith, log):
        langsmith.load(log)
        langsmith.cursors = cursors
        with pytest.raises(DataError, match="got a cursor that it gave before; check"):
            list(read(page_size=3).entries())
        assert len(langsmith.asked) <= requests

    def test_feedback_that_never_ends(self, langsmith, log):
        first = as_nested(log)[0]["id"]
        langsmith.load(log, [record(first, number=number) for number in range(100)])
        langsmith.loops = True
        with pytest.raises(DataError, match="got a page of feedback that it gave before; check"):
            list(read().entries())
        assert langsmith.counts["/feedback"] == 2

    def test_feedback_that_comes_twice_here_and_there_counts_once(self, langsmith, log):
        first = as_nested(log)[0]["id"]
        said = [record(first, number=number, key=f"k{number}") for number in range(120)]
        langsmith.load(log, [*said[:1], *(record for pair in zip(said[1:], said, strict=False) for record in pair)])
        rows = [row for row in behaviors_of(read()) if row["labels"]]
        assert [len(row["labels"]) for row in rows] == [120]

    def test_a_server_that_is_down(self, langsmith, monkeypatch):
        monkeypatch.setenv("LANGSMITH_ENDPOINT", "http://ann:geheim1@127.0.0.1:9")
        with pytest.raises(DataError, match="check LANGSMITH_API_KEY") as caught:
            list(read(location=f"langsmith://{PROJECT['id']}").entries())
        assert "geheim1" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"location": "langsmith://"},
        {"location": "https://smith.langchain.com"},
        {"location": "langsmith://agent?since=yesterday"},
        {"location": "langsmith://agent?since="},
        {"location": "langsmith://agent?until=2030-01-01"},
        {"location": "langsmith://?since=2030-01-01"},
        {"page_size": 0},
        {"page_size": 1001},
    ],
    ids=str,
)
def test_settings_that_cannot_work(settings):
    with pytest.raises(ConfigError):
        read(**settings)


def test_what_a_reader_is():
    reader = read()
    assert (reader.location, reader.project, reader.kind) == ("langsmith://my%20agent", "my agent", "langsmith")
