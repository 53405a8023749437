"""Behaviors on their way into a dataset: merged by id and brought into order, on disk, however many there are."""

import hashlib
import json
from collections.abc import Iterable, Iterator

from drr_agent.parsing import clean_text
from drr_agent.training.behaviors import Behavior, join_behaviors, renew_behavior, with_labels
from drr_agent.training.drops import Drop
from drr_agent.training.labels import LabelRecord, merge_labels
from drr_agent.training.spool import open_scratch

_SCHEMA = """
create table behaviors (
    id text, place text, text_key blob, thread text, is_held int, record text, held text, fresh text
);
create unique index by_id on behaviors (id);
create index by_thread on behaviors (thread) where thread is not null;
create table drops (source text, place text, reason text, detail text);
"""

_SHARED_THREADS = "select thread from behaviors where thread is not null group by thread having count(*) > 1"
_COPIES = """
drop table if exists copies;
create table copies (text_key blob primary key, count int) without rowid;
insert into copies select text_key, count(*) from behaviors group by text_key;
"""


class Staging:
    """Takes rows in any order and any number of times."""

    def __init__(self, held: Iterable[Behavior] = ()) -> None:
        """Begin with the rows of a dataset that is there already.

        Args:
            held: unique by id.
        """
        self._scratch = open_scratch()
        self._scratch.executescript(_SCHEMA)
        self._scratch.execute("begin")
        for row in held:
            self._insert(row, is_held=True)

    def add(self, row: Behavior) -> bool:
        """Take a row of this harvest.

        Of several sightings in one harvest each tells what the others do not know. A row that the dataset held before
        is renewed by all of them together: what this harvest knows counts, what it does not know stays.

        Returns:
            Whether the row is the first of its id in this harvest.
        """
        query = "select is_held, record, held, fresh from behaviors where id = ?"
        found = self._scratch.execute(query, (row["id"],)).fetchone()
        if found is None:
            self._insert(row, is_held=False)
            return True
        is_held, record, held, fresh = found
        if not is_held:
            self._update(join_behaviors(json.loads(record), row))
        elif fresh is None:
            self._renew(json.loads(record), row)
        else:
            self._renew(json.loads(held), join_behaviors(json.loads(fresh), row))
        return bool(is_held) and fresh is None

    def label(self, row_id: str, label: LabelRecord) -> bool:
        """Add a judgment to a row; whether there is such a row."""
        found = self._scratch.execute("select record from behaviors where id = ?", (row_id,)).fetchone()
        if found is None:
            return False
        held: Behavior = json.loads(found[0])
        self._update(with_labels(held, merge_labels(held["labels"], [label])))
        return True

    def drop(self, drop: Drop) -> None:
        """Take note of an attempt that is left out."""
        self._scratch.execute("insert into drops values (?, ?, ?, ?)", tuple(map(clean_text, drop)))

    def drops(self) -> Iterator[Drop]:
        """Everything left out, in the order it came."""
        for source, place, reason, detail in self._scratch.execute("select * from drops order by rowid"):
            yield Drop(source, place, reason, detail)

    def arrivals(self) -> Iterator[Behavior]:
        """Every row, in the order in which they first came."""
        return self._read("behaviors.rowid")

    def ordered(self) -> Iterator[Behavior]:
        """Every row, by question, run and turn."""
        self._scratch.execute("create index if not exists by_place on behaviors (place)")
        return self._read("place")

    def close(self) -> None:
        """Drop everything."""
        self._scratch.close()

    def _read(self, order: str) -> Iterator[Behavior]:
        self._number_turns()
        self._scratch.executescript(_COPIES)
        query = f"select record, count from behaviors join copies using (text_key) order by {order}"
        for record, count in self._scratch.execute(query):
            row: Behavior = json.loads(record)
            row["copies"] = count
            yield row

    def _insert(self, row: Behavior, *, is_held: bool) -> None:
        values = (row["id"], _place(row), _text_key(row), _thread(row), is_held, json.dumps(row))
        self._scratch.execute("insert into behaviors values (?, ?, ?, ?, ?, ?, null, null)", values)

    def _update(self, row: Behavior) -> None:
        self._scratch.execute(
            "update behaviors set place = ?, text_key = ?, thread = ?, record = ? where id = ?",
            (_place(row), _text_key(row), _thread(row), json.dumps(row), row["id"]),
        )

    def _renew(self, held: Behavior, fresh: Behavior) -> None:
        """Make a row of what the dataset held before and of all that this harvest saw of it."""
        self._update(renew_behavior(held, fresh))
        texts = (json.dumps(held), json.dumps(fresh), fresh["id"])
        self._scratch.execute("update behaviors set held = ?, fresh = ? where id = ?", texts)

    def _number_turns(self) -> None:
        """Number the attempts of every thread by their time: a source that was split or grew tells of some alone."""
        for (thread,) in self._scratch.execute(_SHARED_THREADS).fetchall():
            found = self._scratch.execute("select record from behaviors where thread = ?", (thread,))
            rows: list[Behavior] = [json.loads(record) for (record,) in found]
            rows.sort(key=lambda row: (row["started_at"] or "", row["turn"], row["id"]))
            for turn, row in enumerate(rows, start=1):
                self._update({**row, "turn": turn, "feedback": _feedback(row, turn)})


def _feedback(row: Behavior, turn: int) -> str:
    """What was said before an attempt, once its turn is known: nothing, if it is the first one or asked afresh."""
    return ("first" if turn == 1 else "fresh") if row["feedback"] in ("first", "fresh") else row["feedback"]


def _thread(row: Behavior) -> str | None:
    """The run of an attempt in a plain trace, whose turns are known when all of them are."""
    return row["run_id"] if row["origin"] == "traced" else None


def _place(row: Behavior) -> str:
    return f"{row['question_key']} {row['run_id']} {row['turn']:06d} {row['id']}"


def _text_key(row: Behavior) -> bytes:
    said = json.dumps([row["question_key"], row["reasoner"], row["rationale"], row["answer"]])
    return hashlib.sha256(said.encode()).digest()[:16]
