"""Reading a checkpointer's SQLite database, beside listing it as LangGraph does.

The graph itself writes the database: threads of two turns, with drafts of 2 kB. A larger one is made of its rows, with
threads and runs of other names. All are read in turn, several times, and the median counts.

    python -m benchmarks.checkpoints
"""

import argparse
import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.sqlite import SqliteSaver

from drr_agent import Score, create_drr_graph
from drr_agent.grading import get_grader
from drr_agent.policy import ThresholdPolicy
from drr_agent.training.labels import Labeler
from drr_agent.training.sources.attempts import RunSource
from drr_agent.training.sources.protocol import LoggedRun
from drr_agent.training.sources.sqlite import SqliteReader

_DRAFT = "so it goes on " * 143
_TURNS = 2
_COPIED_AT_ONCE = 20


class WrongThenRight(BaseChatModel):
    """A Reasoner without a model: every other reply is wrong."""

    replies: int = 0

    @property
    def _llm_type(self) -> str:
        return "wrong-then-right"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:  # noqa: ARG002
        self.replies += 1
        message = AIMessage(f"{_DRAFT}{self.replies}\nAnswer: {self.replies % _TURNS}")
        return ChatResult(generations=[ChatGeneration(message=message)])


class TableDM:
    """A DM without a model: it knows the answer."""

    digest = "table0000000"

    def score(self, requests: Sequence[Any]) -> list[Score]:
        """0 is right."""
        return [Score(0.9 if request.answer == "0" else 0.1) for request in requests]


def main() -> None:
    """Write the databases, read them, and print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1_000)
    parser.add_argument("--times", type=int, default=10, help="how many times larger the larger database is")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        small, large = folder / "small.sqlite", folder / "large.sqlite"
        write(small, threads=given.threads)
        ways = {
            "`SqliteSaver.list(None)`, decoded": lambda: listed(small),
            "`SqliteReader.entries()`": lambda: read(small),
            "the same, to behaviors": lambda: harvested(small),
        }
        print_ways(ways, given.threads, given.repeats)
        multiply(small, large, times=given.times)
        sizes = {"small": lambda: read(small), "large": lambda: read(large)}
        once, many = measure(sizes, given.repeats).values()
        print(f"\n{given.times} times the threads: {many:.2f} s after {once:.2f} s, {many / once:.1f} times as long")
        megabytes = [round(path.stat().st_size / 1e6) for path in (small, large)]
        print(
            f"{os.cpu_count()} cores; {given.threads} threads of {_TURNS} turns; {megabytes[0]} and {megabytes[1]} MB"
        )
    finally:
        shutil.rmtree(folder)


def print_ways(ways: dict[str, Callable[[], int]], threads: int, repeats: int) -> None:
    """Each way beside the first."""
    seconds = measure(ways, repeats)
    first = next(iter(seconds.values()))
    print("| way | threads/s | ms a thread | times the list's speed |")
    print("|---|---|---|---|")
    for way, spent in seconds.items():
        print(f"| {way} | {threads / spent:,.0f} | {1e3 * spent / threads:.3f} | {first / spent:.1f} |")


def measure(ways: dict[str, Callable[[], int]], repeats: int) -> dict[str, float]:
    """Median seconds of each; all of them in every round, so that a busy machine slows them alike."""
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, run in ways.items():
            begun = time.perf_counter()
            run()
            spent[way].append(time.perf_counter() - begun)
    return {way: statistics.median(seconds) for way, seconds in spent.items()}


def listed(path: Path) -> int:
    """How many runs there are, by LangGraph's own list."""
    with SqliteSaver.from_conn_string(str(path)) as saver:
        runs = (found.checkpoint["channel_values"].get("drr") for found in saver.list(None))
        return len({run["run_id"] for run in runs if run is not None})


def read(path: Path) -> int:
    """How many runs there are, by the reader."""
    return sum(isinstance(entry, LoggedRun) for entry in SqliteReader(path=path).entries())


def harvested(path: Path) -> int:
    """How many runs there are, to behaviors."""
    source = RunSource(reader=SqliteReader(path=path), labeler=Labeler(grader=get_grader("auto")))
    return len({outcome.content["run_id"] for outcome in source.outcomes() if isinstance(outcome.content, dict)})


def write(path: Path, *, threads: int) -> None:
    """A database of the graph's own."""
    with SqliteSaver.from_conn_string(str(path)) as saver:
        saver.setup()
        saver.conn.execute("pragma synchronous = off")
        graph = create_drr_graph(WrongThenRight(), TableDM(), policy=ThresholdPolicy(threshold=0.5), checkpointer=saver)
        for number in range(threads):
            asked = {"messages": [("user", f"question {number}?")]}
            graph.invoke(asked, {"configurable": {"thread_id": f"{number:06}"}})
    if not listed(path) == read(path) == harvested(path) == threads:
        raise RuntimeError("every way must find every run")


def multiply(small: Path, large: Path, *, times: int) -> None:
    """A database of so many times the threads: the same rows, with other threads and runs."""
    shutil.copy(small, large)
    with sqlite3.connect(large) as database:
        database.execute("pragma synchronous = off")
        runs = database.execute("select thread_id, value from writes where channel = 'drr' and type = 'msgpack'")
        names = {thread: _run_id(value) for thread, value in runs.fetchall()}
        for thread, name in names.items():
            for table in ("checkpoints", "writes"):
                rows = database.execute(f"select * from {table} where thread_id = ?", (thread,)).fetchall()
                marks = ", ".join("?" * len(rows[0]))
                database.executemany(f"insert into {table} values ({marks})", _renamed(rows, name, times))
    database.close()
    if read(large) != times * len(names):
        raise RuntimeError("every run must be one of its own")


def _run_id(value: bytes) -> bytes:
    place = value.index(b"run_id") + len("run_id") + 2  # after the name, two bytes say that 32 characters follow
    return value[place : place + 32]


def _renamed(rows: list[tuple[Any, ...]], name: bytes, times: int) -> Iterator[tuple[Any, ...]]:
    for copy in range(1, times):
        other = name[:-4] + b"x%03d" % copy  # of the same length, and no other run's name
        for thread, *cells in rows:
            renamed = [cell.replace(name, other) if isinstance(cell, bytes) else cell for cell in cells]
            yield (f"{thread}-{copy}", *renamed)


if __name__ == "__main__":
    main()
