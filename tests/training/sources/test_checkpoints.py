"""Checkpointers: whatever became of a run, every store of its checkpoints tells it, the same way, once."""

import copy
import itertools
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Annotated, TypedDict

import psycopg
import pytest
from fakes import ScriptedChatModel, TableDM, make_attempt
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt
from postgres_server import postgres_server

from drr_agent import RunLog, create_drr_graph
from drr_agent.grading import get_grader
from drr_agent.policy import ThresholdPolicy
from drr_agent.training.labels import Labeler
from drr_agent.training.sources.attempts import RunSource
from drr_agent.training.sources.postgres import PostgresReader
from drr_agent.training.sources.protocol import LoggedRun
from drr_agent.training.sources.run_log import RunLogReader
from drr_agent.training.sources.saver import SaverReader
from drr_agent.training.sources.sqlite import SqliteReader
from drr_agent.training.sources.sqlite_rows import _Outline

SCORES = {"1": 0.1, "2": 0.9, "3": 0.2, "4": 0.8, "9": 0.3}
THREAD = {"configurable": {"thread_id": "t"}}
LOST = RuntimeError("the host died")
SLOW = TimeoutError("slow")


def drr(*replies, saver=None, **settings):
    """The graph; a reply is an answer, or an error to raise. Scores of at least a half are accepted."""
    script = [reply if isinstance(reply, Exception) else f"because\nAnswer: {reply}" for reply in replies]
    return create_drr_graph(
        ScriptedChatModel(replies=script),
        TableDM(SCORES),
        policy=ThresholdPolicy(threshold=0.5),
        checkpointer=saver,
        **settings,
    )


def ask(graph, question="one?", **how):
    """A question on the thread; a host that dies is not the caller's problem here."""
    with suppress(RuntimeError):
        return graph.invoke({"messages": [("user", question)]}, THREAD, **how)


def resume(graph, **how):
    return graph.invoke(None, THREAD, **how)


def before(graph, node, turn):
    """The checkpoint before a node of a turn."""
    states = [state for state in graph.get_state_history(THREAD) if state.next == (node,)]
    return states[-turn].config


class Host(TypedDict, total=False):
    messages: Annotated[list, add_messages]
    other: int


class HostWithRun(Host, total=False):
    drr: dict


def host(schema, answer, saver=None, then=None):
    """A graph with the loop in its middle."""
    builder = StateGraph(schema).add_node("before", lambda state: {"other": 1}).add_node("answer", answer)
    builder.add_node("then", then or (lambda state: {"other": 2}))
    for edge in itertools.pairwise((START, "before", "answer", "then", END)):
        builder.add_edge(*edge)
    return builder.compile(checkpointer=saver)


def labelled(run, value="correct"):
    return {**run, "labels": [{"turn": None, "value": value, "source": "human:ann", "at": None}]}


def two_questions(saver, how):
    graph = drr(1, 2, 4, saver=saver)
    ask(graph, **how)
    ask(graph, "two?", **how)


def crash_and_resume(saver, how):
    graph = drr(1, LOST, 2, saver=saver)
    ask(graph, **how)
    resume(graph, **how)


def crash_and_go_on(saver, how):
    graph = drr(1, LOST, 4, saver=saver)
    ask(graph, **how)
    ask(graph, "two?", **how)


def crash_at_once(saver, how):
    ask(drr(LOST, saver=saver), **how)


def failed_call(saver, how):
    ask(drr(1, SLOW, 2, saver=saver), **how)


def interrupted(saver, how):
    graph = drr(1, 3, saver=saver)
    ask(graph, interrupt_before=["decide"], **how)
    resume(graph, interrupt_before=["decide"], **how)


def interrupted_and_resumed(saver, how):
    graph = drr(1, 2, saver=saver)
    ask(graph, interrupt_before=["score"], **how)
    resume(graph, interrupt_before=["decide"], **how)
    resume(graph, **how)


def saved_otherwise_later(saver, how):
    other = {"durability": "sync" if how["durability"] == "exit" else "exit"}
    graph = drr(1, LOST, 3, 2, 4, saver=saver)
    ask(graph, **how)
    resume(graph, **other)
    ask(graph, "two?", **how)


def time_travel(saver, how):
    graph = drr(1, 2, 3, 4, saver=saver)
    ask(graph, durability="sync")
    graph.invoke(None, before(graph, "think", turn=2), **how)


def time_travel_and_crash(saver, how):
    graph = drr(1, 2, 3, LOST, saver=saver)
    ask(graph, durability="sync")
    with suppress(RuntimeError):
        graph.invoke(None, before(graph, "think", turn=2), **how)


def time_travel_before_the_end(saver, how):
    graph = drr(1, LOST, 3, LOST, 2, saver=saver)
    ask(graph, durability="sync")
    with suppress(RuntimeError):
        graph.invoke(None, before(graph, "think", turn=2), **how)
    resume(graph, **how)


def edited_state(saver, how):
    graph = drr(1, 2, 4, saver=saver)
    ask(graph, durability="sync")
    edit = graph.update_state(before(graph, "think", turn=2), {"drr_attempts": [make_attempt("9", 0.3)]}, "score")
    graph.invoke(None, edit, **how)


def edited_after_the_end(saver, how):
    graph = drr(1, 2, LOST, saver=saver)
    ask(graph, **how)
    graph.update_state(THREAD, {"drr_attempts": [make_attempt("9", 0.3)]}, "score")
    with suppress(RuntimeError):
        resume(graph, **how)


def label_on_the_run_before(saver, how):
    graph = drr(1, 2, 3, LOST, saver=saver)
    run = ask(graph, **how)["drr"]
    ask(graph, "two?", **how)
    graph.update_state(THREAD, {"drr": labelled(run)})


def label_by_hand(saver, how):
    graph = drr(1, 2, 4, saver=saver)
    run = ask(graph, **how)["drr"]
    graph.update_state(THREAD, {"drr": labelled(run)})
    ask(graph, "two?", **how)


def label_twice(saver, how):
    graph = drr(1, 2, saver=saver)
    run = ask(graph, **how)["drr"]
    for value in ("correct", "incorrect", "correct"):
        graph.update_state(THREAD, {"drr": labelled(run, value)})


def label_twice_in_a_host(saver, how):
    graph = host(HostWithRun, drr(1, 2), saver, then=lambda state: {"drr": labelled(state["drr"], "incorrect")})
    run = ask(graph, **how)["drr"]
    graph.update_state(THREAD, {"drr": labelled(run, "correct")})


def label_in_the_graph(saver, how):
    def human(state):
        return {"drr": labelled(state["drr"], interrupt("right?"))}

    graph = host(HostWithRun, drr(1, 2), saver, then=human)
    ask(graph, **how)
    graph.invoke(Command(resume="incorrect"), THREAD, **how)


def embedded(saver, how):
    graph = host(HostWithRun, drr(1, 2, 4), saver)
    ask(graph, **how)
    ask(graph, "two?", **how)


def embedded_out_of_sight(saver, how):
    graph = host(Host, drr(1, 2, 4), saver)
    ask(graph, **how)
    ask(graph, "two?", **how)


def embedded_and_crashed(saver, how):
    graph = host(HostWithRun, drr(1, LOST, 2), saver)
    ask(graph, **how)
    resume(graph, **how)


def embedded_and_dead(saver, how):
    ask(host(Host, drr(1, LOST), saver), **how)


def called_in_a_node(saver, how):
    graph = drr(1, 2, 4)

    def answer(state):
        found = [graph.invoke({"messages": [("user", question)]}) for question in ("one?", "two?")]
        return {"messages": [said for out in found for said in out["messages"]]}

    ask(host(Host, answer, saver), **how)


def nested_twice(saver, how):
    ask(host(HostWithRun, host(HostWithRun, drr(1, 2)), saver), **how)


def with_a_memory(saver, how):
    graph = host(Host, drr(1, 2, 4, saver=True), saver)
    ask(graph, **how)
    ask(graph, "two?", **how)


ONE, TWO = ("one?", "1 2", "accepted"), ("two?", "4", "accepted")
PLAYS = {
    # what is told of it where every step was saved, and where only the last state was
    two_questions: ([ONE, TWO], [ONE, TWO]),
    crash_and_resume: ([ONE], [ONE]),
    crash_and_go_on: ([("one?", "1", "interrupted"), TWO], [("one?", "1", "interrupted"), TWO]),
    crash_at_once: ([("one?", "", "interrupted")], [("one?", "", "interrupted")]),
    failed_call: ([("one?", "1 - 2", "accepted")], [("one?", "1 - 2", "accepted")]),
    interrupted: ([("one?", "1 3", "interrupted")], [("one?", "1 3", "interrupted")]),
    interrupted_and_resumed: ([ONE], [ONE]),
    saved_otherwise_later: ([("one?", "1 3 2", "accepted"), TWO], [("one?", "1 3 2", "accepted"), TWO]),
    time_travel: ([ONE, ("one?", "1 3 4", "accepted")], [ONE, ("one?", "1 3 4", "accepted")]),
    time_travel_and_crash: ([ONE, ("one?", "1 3", "interrupted")], [ONE, ("one?", "1 3", "interrupted")]),
    time_travel_before_the_end: ([("one?", "1 3 2", "accepted")], [("one?", "1 3 2", "accepted")]),
    edited_state: ([ONE, ("one?", "9 4", "accepted")], [ONE, ("one?", "9 4", "accepted")]),
    edited_after_the_end: ([ONE, ("one?", "9", "interrupted")], [ONE, ("one?", "9", "interrupted")]),
    label_on_the_run_before: (
        [(*ONE, "correct"), ("two?", "3", "interrupted")],
        [(*ONE, "correct"), ("two?", "3", "interrupted")],
    ),
    label_by_hand: ([(*ONE, "correct"), TWO], [(*ONE, "correct"), TWO]),
    label_twice: ([(*ONE, "correct")], [(*ONE, "correct")]),
    label_twice_in_a_host: ([(*ONE, "correct")], [(*ONE, "correct")]),
    label_in_the_graph: ([(*ONE, "incorrect")], [(*ONE, "incorrect")]),
    embedded: ([ONE, TWO], [ONE, TWO]),
    embedded_out_of_sight: ([ONE, TWO], []),
    embedded_and_crashed: ([ONE], [ONE]),
    embedded_and_dead: ([("one?", "1", "interrupted")], [("one?", "1", "interrupted")]),
    called_in_a_node: ([ONE, TWO], []),
    nested_twice: ([ONE], [ONE]),
    with_a_memory: ([ONE, TWO], [ONE, TWO]),
}
CASES = [
    pytest.param(play, {"durability": durability}, sorted(told), id=f"{play.__name__}-{durability}")
    for play, (stepwise, at_exit) in PLAYS.items()
    for durability, told in (("sync", stepwise), ("exit", at_exit))
]
CASES += [pytest.param(two_questions, {"durability": "async"}, [ONE, TWO], id="two_questions-async")]


class Everywhere(InMemorySaver):
    """Saves into several stores what it saves in memory, and remembers in what order."""

    def __init__(self, *savers):
        super().__init__()
        self.savers = savers
        self.calls = []

    def put(self, config, checkpoint, metadata, new_versions):
        self._pass_on("put", config, copy.deepcopy(checkpoint), metadata, new_versions)
        return super().put(config, checkpoint, metadata, new_versions)

    def put_writes(self, config, writes, task_id, task_path=""):
        self._pass_on("put_writes", config, writes, task_id, task_path)
        super().put_writes(config, writes, task_id, task_path)

    def _pass_on(self, method, *given):
        self.calls.append((method, given))
        for saver in self.savers:
            getattr(saver, method)(*given)


class WalkedSqliteReader(SqliteReader):
    """Follows every checkpoint, also of threads of which the last writes would tell enough."""

    def entries(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_Outline, "all_ended", lambda self, unwritten: False)
            yield from super().entries()


@pytest.fixture(scope="module")
def server():
    with postgres_server() as address, psycopg.connect(address, autocommit=True) as connection:
        PostgresSaver(connection).setup()
        yield address


@contextmanager
def in_files(tmp_path, request):
    path = tmp_path / "checkpoints.sqlite"
    with SqliteSaver.from_conn_string(str(path)) as sqlite:
        saver = Everywhere(sqlite)
        databases = [SqliteReader(path=path), WalkedSqliteReader(path=path)]
        yield saver, [*databases, SaverReader(saver=sqlite), SaverReader(saver=saver)]


@contextmanager
def in_postgres(tmp_path, request):
    address = request.getfixturevalue("server")
    with psycopg.connect(address, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
        connection.execute("truncate checkpoints, checkpoint_blobs, checkpoint_writes")
        postgres = PostgresSaver(connection)
        yield Everywhere(postgres), [PostgresReader(dsn=address), SaverReader(saver=postgres)]


@pytest.fixture(params=[in_files, in_postgres], ids=["sqlite and memory", "postgres"])
def stores(request, tmp_path):
    """A saver into all of them, and their readers."""
    with request.param(tmp_path, request) as opened:
        yield opened


def tell(entry):
    """A run in short: question, answers, how it ended, and what was said of it."""
    assert isinstance(entry, LoggedRun), entry
    run = entry.run
    answers = " ".join(attempt["answer"] or "-" for attempt in run["attempts"])
    return run["question"], answers, run["stop_reason"], *(label["value"] for label in run.get("labels", ()))


@pytest.mark.parametrize(("play", "how", "told"), CASES)
def test_every_run_is_told_once(stores, play, how, told):
    saver, readers = stores
    play(saver, how)
    for reader in readers:
        assert sorted(map(tell, reader.entries())) == told, reader.location


@pytest.fixture(scope="module")
def calls():
    """What a checkpointer was asked to save, call by call: two questions, of two turns and of one."""
    saver = Everywhere()
    two_questions(saver, {"durability": "sync"})
    return saver.calls


def expect(saved):
    """What is told of the calls that were saved."""
    told, question, answers, ended = [], None, [], True
    for method, given in saved:
        for channel, value in given[1] if method == "put_writes" else ():
            if channel == "drr_start":
                told += [] if ended else [(question, " ".join(answers), "interrupted")]
                question, answers, ended = value["question"], [], False
            elif channel == "drr_attempts":
                answers = [attempt["answer"] for attempt in value]
            elif channel == "drr":
                told.append((question, " ".join(answers), value["stop_reason"]))
                ended = True
    return told if ended else [*told, (question, " ".join(answers), "interrupted")]


def test_a_host_may_be_killed_after_any_call_of_its_saver(stores, calls):
    saver, readers = stores
    for number, (method, given) in enumerate(calls, start=1):
        getattr(saver, method)(*given)
        for reader in readers:
            assert sorted(map(tell, reader.entries())) == sorted(expect(calls[:number])), (number, reader.location)
    assert number == 28


@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_a_killed_run_may_be_resumed(tmp_path, request, calls, durability):
    after = [index for index, (method, _) in enumerate(calls) if method == "put_writes"]
    told = ["3 2", "3 2", "1 3 2", "1 3 2", "1 3 2", "1 2", "1 2", "1 2"]  # from before `begin` to after `decide`
    for last, answers in zip(after, told, strict=False):
        (tmp_path / str(last)).mkdir()
        with in_files(tmp_path / str(last), request) as (saver, readers):
            for method, given in calls[: last + 1]:
                getattr(saver, method)(*given)
            resume(drr(3, 2, saver=saver), durability=durability)
            for reader in readers:
                assert list(map(tell, reader.entries())) == [("one?", answers, "accepted")], (last, reader)


def test_a_checkpoint_may_be_missing(tmp_path, request, calls):
    puts = [index for index, (method, _) in enumerate(calls) if method == "put"]
    assert len(puts) == 15
    for missing in puts:
        (tmp_path / str(missing)).mkdir()
        with in_files(tmp_path / str(missing), request) as (saver, readers):
            for method, given in calls[:missing] + calls[missing + 1 :]:
                getattr(saver, method)(*given)
            for reader in readers:
                told = Counter(tell(entry) for entry in reader.entries() if isinstance(entry, LoggedRun))
                assert (told.pop(ONE), told.pop(TWO)) == (1, 1), (missing, reader)
                assert {answers for _, answers, _ in told} <= {""}, (missing, reader)


TRUTH = {"one?": ["1", "2"], "two?": ["4"]}


def out_of_order(calls, seed):
    """The calls as an executor may bring them: checkpoints one after another, writes some steps sooner or later."""
    chance = random.Random(seed)
    lag = [0.0 if method == "put" else chance.uniform(-9, 9) for method, _ in calls]
    return [calls[n] for n in sorted(range(len(calls)), key=lambda n: n + lag[n])]


def account(reader):
    """What is told of the truth, and nothing else: the questions with their answers, and how many are named."""
    told, named = Counter(), 0
    for entry in reader.entries():
        if isinstance(entry, LoggedRun):
            answers = [attempt["answer"] for attempt in entry.run["attempts"]]
            assert answers == TRUTH[entry.run["question"]][: len(answers)], entry
            told[entry.run["question"]] = max(told[entry.run["question"]], len(answers))
        else:
            assert entry.flaw.reason == "empty run", entry
            named += 1
    return told, named


def logged(saved):
    """How many attempts of each question are in the writes that were saved."""
    lists = [value for method, given in saved if method == "put_writes" for channel, value in given[1]
             if channel == "drr_attempts"]  # fmt: skip
    most = dict.fromkeys(TRUTH, 0)
    for attempts, (question, answers) in itertools.product(lists, TRUTH.items()):
        if [attempt["answer"] for attempt in attempts] == answers[: len(attempts)]:
            most[question] = max(most[question], len(attempts))
    return most


@pytest.mark.parametrize("seed", range(6))
def test_writes_may_come_before_their_checkpoint_and_before_each_other(stores, calls, seed):
    saver, readers = stores
    ordered = out_of_order(calls, seed)
    assert ordered != calls
    for number, (method, given) in enumerate(ordered, start=1):
        getattr(saver, method)(*given)
        for reader in readers:
            told, named = account(reader)
            if not isinstance(reader, SaverReader):  # a saver lists no writes whose checkpoint it does not have
                most = logged(ordered[:number])
                missing = sum(max(0, most[question] - told[question]) for question in TRUTH)
                assert named == missing, (number, reader.location)
    for reader in readers:
        assert sorted(map(tell, reader.entries())) == [ONE, TWO], reader.location


class Snapping(SqliteSaver):
    """Keeps a copy of its database after every save."""

    def put(self, *given):
        done = super().put(*given)
        self._snap()
        return done

    def put_writes(self, *given):
        super().put_writes(*given)
        self._snap()

    def _snap(self):
        with self.lock, closing(sqlite3.connect(self.folder / f"{len(self.copies)}.sqlite")) as copied:
            self.conn.backup(copied)
            self.copies.append(self.folder / f"{len(self.copies)}.sqlite")


def test_a_live_host_that_saves_in_the_background_is_never_damaged(tmp_path):
    with closing(sqlite3.connect(tmp_path / "live.sqlite", check_same_thread=False)) as connection:
        saver = Snapping(connection)
        saver.folder, saver.copies = tmp_path, []
        two_questions(saver, {"durability": "async"})
    assert len(saver.copies) == 28
    for path in saver.copies:
        account(SqliteReader(path=path))
    assert account(SqliteReader(path=path)) == ({"one?": 2, "two?": 1}, 0)


HOST = """
import itertools, sys
from fakes import FunctionChatModel
from langgraph.checkpoint.sqlite import SqliteSaver
from drr_agent import create_drr_graph
number = itertools.count()
model = FunctionChatModel(function=lambda _: f"because {next(number)}\\nAnswer: 4")
with SqliteSaver.from_conn_string(sys.argv[1]) as saver:
    graph = create_drr_graph(model, None, max_turns=3, checkpointer=saver)
    for run in itertools.count():
        graph.invoke({"messages": [("user", f"{run}?")]}, {"configurable": {"thread_id": str(run % 3)}})
        print(run, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_a_host_that_was_killed_leaves_no_damage(tmp_path):
    path, tests = tmp_path / "c.sqlite", Path(__file__).parents[2]
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(path)],
        stdout=subprocess.PIPE,
        cwd=tests.parent,
        env={"PYTHONPATH": f"{tests.parent}:{tests}"},
    )
    with host:
        for delay in (0.0, 0.011, 0.023, 0.037):
            for _ in range(3):
                assert host.stdout.readline()
            time.sleep(delay)
            host.send_signal(signal.SIGSTOP)  # it sees no difference, and whoever reads sees a store left alone
            entries = list(SqliteReader(path=path).entries())
            assert len(entries) >= 3
            assert {entry.flaw.reason for entry in entries if not isinstance(entry, LoggedRun)} <= {"empty run"}
            host.send_signal(signal.SIGCONT)
        host.kill()
    entries = list(SqliteReader(path=path).entries())
    assert len(entries) >= 12
    assert {entry.flaw.reason for entry in entries if not isinstance(entry, LoggedRun)} <= {"empty run"}


def rows(reader):
    """What is harvested, in an order that all stores share."""
    source = RunSource(reader=reader, labeler=Labeler(grader=get_grader("auto")))
    found = [outcome.content for outcome in source.outcomes()]
    return sorted(found, key=lambda content: content["id"] if isinstance(content, dict) else str(content))


@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_every_store_gives_the_rows_of_the_run_log(stores, tmp_path, durability):
    saver, readers = stores
    log = RunLog(path=tmp_path / "runs.jsonl")
    for thread in range(3):
        graph = drr(1, SLOW, 4, 2, 3, 2, saver=saver, run_log=log, explore=0.5)
        for question in ("one?", "two?"):
            asked = {"messages": [("user", question)], "drr_assignment": {"target": "2", "sample_id": question}}
            graph.invoke(asked, {"configurable": {"thread_id": str(thread)}}, durability=durability)
    expected = rows(RunLogReader(path=log.path))
    assert len(expected) >= 12
    for reader in readers:
        assert rows(reader) == expected, reader.location
