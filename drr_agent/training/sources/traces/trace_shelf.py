"""Runs of many traces in any order, given back trace by trace, in a temporary SQLite database."""

import json
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LostEntry
from drr_agent.training.sources.traces.trace_feedback import Feedback
from drr_agent.training.sources.traces.trace_tree import TraceRun, Tree, merge_runs
from drr_agent.training.spool import open_scratch

_SCHEMA = """
create table runs (id text, trace text, parent text, "order" text, record text);
create table feedback (run text, trace text, record text);
"""
_INDEX = """
create index run_ids on runs (id);
create index run_parents on runs (parent) where trace is null;
"""
# from each run whose trace is known, or whose parent nobody has seen, down to those that name their parent alone;
# `union` ends a circle of parents, whose runs are traces of their own
_NAME_TRACES = """
create table named as
    with recursive named (id, trace) as (
        select id, coalesce(trace, id) from runs
            where trace is not null or parent is null
                or not exists (select 1 from runs above where above.id = runs.parent)
        union
        select runs.id, named.trace from named join runs on runs.parent = named.id and runs.trace is null
    )
    select * from named;
create index named_ids on named (id);
update runs set trace = coalesce((select trace from named where named.id = runs.id limit 1), id) where trace is null;
"""
_NAME_FEEDBACK = """
update feedback set run = coalesce(run, trace);
update feedback set trace = (select runs.trace from runs where runs.id = feedback.run limit 1);
create index feedback_traces on feedback (trace);
"""


class TraceShelf:
    """Takes runs and feedback in any order; nothing of it is kept in memory but one trace at a time."""

    def __init__(self) -> None:
        self._scratch = open_scratch()
        self._scratch.executescript(_SCHEMA)
        self._scratch.execute("begin")

    def add_run(self, run: TraceRun) -> None:
        """Take a run."""
        key = (run["id"], run["trace"], run["parent"], run["order"], json.dumps(run, default=str))
        self._scratch.execute("insert into runs values (?, ?, ?, ?, ?)", key)

    def add_feedback(self, run: str | None, trace: str | None, feedback: Feedback) -> None:
        """Take a judgment of a run, or of the root of a trace."""
        self._scratch.execute("insert into feedback values (?, ?, ?)", (run, trace, json.dumps(feedback)))

    def trees(self) -> Iterator[Tree | LostEntry]:
        """Every trace with the feedback on its runs, then the feedback on runs that are not here."""
        self._name()
        rows = self._scratch.execute('select trace, record from runs order by trace, "order", rowid')
        for trace, group in groupby(rows, key=itemgetter(0)):
            runs = merge_runs([json.loads(record) for _, record in group])
            said = self._feedback(trace)
            yield Tree(
                f"trace {trace}", [{**run, "feedback": [*run["feedback"], *said.get(run["id"], ())]} for run in runs]
            )
        for run, count in self._scratch.execute("select run, count(*) from feedback where trace is null group by run"):
            yield LostEntry(f"run {run}", Flaw("bad value", f"{count} feedback on a run that is not here"))

    def close(self) -> None:
        """Drop everything."""
        self._scratch.close()

    def _name(self) -> None:
        """Find the trace of what does not tell it."""
        self._scratch.executescript(_INDEX)
        if self._scratch.execute("select 1 from runs where trace is null limit 1").fetchone():
            self._scratch.executescript(_NAME_TRACES)
        self._scratch.executescript(_NAME_FEEDBACK)

    def _feedback(self, trace: str) -> dict[str, list[Any]]:
        said: dict[str, list[Any]] = {}
        for run, record in self._scratch.execute("select run, record from feedback where trace = ?", (trace,)):
            said.setdefault(run, []).append(json.loads(record))
        return said
