"""Any checkpointer of the program: listed once, under its lock, whatever it holds."""

import asyncio
import json
import pickle
import sys
from pathlib import Path

import ormsgpack
import pytest
from fakes import FunctionChatModel, make_attempt, make_run
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from drr_agent import create_drr_graph
from drr_agent.errors import ConfigError, DataError
from drr_agent.training.sources.protocol import LoggedRun
from drr_agent.training.sources.saver import SaverReader


def play(saver, *threads):
    """A run of the graph on each thread."""
    graph = create_drr_graph(FunctionChatModel(function=lambda _: "because\nAnswer: 4"), None, checkpointer=saver)
    for thread in threads:
        graph.invoke({"messages": [("user", "2 + 2?")]}, {"configurable": {"thread_id": thread}})
    return saver


def checkpoint(thread="t", name="1", writes=(), state=None, **channels):
    """What a saver lists."""
    configurable = {"thread_id": thread, "checkpoint_ns": "", "checkpoint_id": name}
    held = {"channel_values": channels} if state is None else state
    pending = [("task", channel, value) for channel, value in writes]
    return CheckpointTuple({"configurable": configurable}, held, {}, None, pending)


class Listed(BaseCheckpointSaver):
    """Lists what it was given, and fails at an error."""

    def __init__(self, *listed):
        super().__init__()
        self.listed = listed

    def list(self, config, **how):
        for item in self.listed:
            if isinstance(item, BaseException):
                raise item
            yield item


def read(saver):
    return list(SaverReader(saver=saver).entries())


def losses(saver):
    return [(entry.place, entry.flaw.detail) for entry in read(saver) if not isinstance(entry, LoggedRun)]


def test_a_reader_names_its_saver():
    reader = SaverReader(saver=InMemorySaver())
    assert (reader.location, reader.kind) == ("InMemorySaver", "saver")


def test_a_saver_may_be_asked_between_two_runs(tmp_path):
    with SqliteSaver.from_conn_string(str(tmp_path / "c.sqlite")) as saver:
        play(saver, "a", "b")
        for entry in SaverReader(saver=saver).entries():
            assert saver.get_tuple({"configurable": {"thread_id": entry.place.split()[1]}})


def test_a_saver_keeps_its_serializer():
    saver = play(InMemorySaver(), "t")
    before = saver.serde
    assert len(read(saver)) == 1
    assert saver.serde is before


@pytest.mark.parametrize("order", [1, -1], ids=["newest first", "oldest first"])
def test_the_order_of_a_list_is_no_matter(order):
    saver = play(InMemorySaver(), "b", "a")
    listed = list(saver.list(None))[::order]
    assert [entry.run for entry in read(Listed(*listed))] == [entry.run for entry in read(saver)]
    assert [entry.place.split()[1] for entry in read(saver)] == ["a", "b"]


async def test_a_saver_that_needs_a_loop_is_refused(tmp_path):
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "c.sqlite")) as saver:
        with pytest.raises(ConfigError, match="AsyncSqliteSaver; pass its synchronous form, or harvest its database"):
            SaverReader(saver=saver)
    assert asyncio.get_running_loop() is saver.loop


def test_what_is_no_saver_is_refused():
    with pytest.raises(ConfigError, match="must be a LangGraph checkpointer, got str"):
        SaverReader(saver="checkpoints.sqlite")


def test_a_saver_that_cannot_be_listed_says_why():
    with pytest.raises(DataError, match=r"expected a BaseCheckpointSaver that .*NotImplementedError.*; mend it"):
        read(BaseCheckpointSaver())


def test_a_list_that_breaks_off_costs_the_rest():
    found = read(Listed(checkpoint(drr=make_run()), RuntimeError("gone")))
    assert [entry.run for entry in found if isinstance(entry, LoggedRun)] == [make_run()]
    assert losses(Listed(checkpoint(drr=make_run()), RuntimeError("gone"))) == [
        ("after thread t checkpoint 1", "RuntimeError: gone")
    ]


DEEP = [None]
for _ in range(2_000):
    DEEP = [DEEP]
STRANGE = {
    "a number": (0.5, "not a run"),
    "a class": (InMemorySaver, "cannot be stored"),
    "too deep": (make_run(more=DEEP), "cannot be stored"),
    "too large": ({**make_run(), "draw": 2**64}, "cannot be stored"),
    "a record": ({"run_id": 1, "attempts": 2, "labels": 3}, "not a run"),
    "attempts of another kind": ({**make_run(), "attempts": [1]}, "with a wrong attempts.0"),
    "no number": (make_run(score=float("nan")), "nan is no number"),
}


@pytest.mark.parametrize(("value", "reason"), STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("as_write", [False, True], ids=["held", "written"])
def test_a_bad_value_costs_itself_once(value, reason, as_write):
    bad = [
        checkpoint(name=name, writes=[("drr", value)]) if as_write else checkpoint(name=name, drr=value)
        for name in ("3", "2")
    ]
    [lost, kept] = read(Listed(*bad, checkpoint(name="1", drr=make_run())))
    assert (lost.place, reason in lost.flaw.detail) == ("thread t checkpoint 3", True), lost
    assert kept.run == make_run()


@pytest.mark.parametrize(
    "start", ["start", {"run_id": 7}, {"run_id": "\ud800"}, InMemorySaver], ids=["text", "a number", "half", "class"]
)
def test_a_bad_start_costs_itself(start):
    assert len(losses(Listed(checkpoint(drr_start=start, drr_attempts=[])))) == 1
    assert len(losses(Listed(checkpoint(writes=[("drr_start", start), ("drr_attempts", None)])))) == 1


def test_a_run_may_be_followed_before_it_ended():
    first, second = ({"run_id": name, "started_at": name, "question": "q", "context": ""} for name in "12")
    writes = [("drr_start", second), ("drr_attempts", [])]
    found = read(Listed(checkpoint(writes=writes, drr_start=first, drr_attempts=[make_attempt()])))
    assert [(entry.run["run_id"], len(entry.run["attempts"])) for entry in found] == [("1", 1), ("2", 0)]


def test_a_state_without_a_start_is_none_of_a_run():
    channels = {"drr_attempts": [make_attempt()]}
    assert read(Listed(checkpoint(), checkpoint(**channels), checkpoint(writes=channels.items()))) == []


@pytest.mark.parametrize("order", [1, -1], ids=["newest first", "oldest first"])
def test_a_label_that_was_changed_and_changed_back_is_what_it_was_last(order):
    def label(value):
        return make_run(labels=[{"turn": None, "value": value, "source": "human", "at": None}])

    values = ["incorrect", "correct", "incorrect", "correct"]
    held = [checkpoint(name=str(number), drr=label(value)) for number, value in enumerate(values)]
    written = checkpoint(name="3", writes=[("drr", label("incorrect"))], drr=label("correct"))
    assert [entry.run for entry in read(Listed(*held[::order]))] == [label("correct")]
    assert [entry.run for entry in read(Listed(*[*held[:3], written][::order]))] == [label("incorrect")]


def test_half_a_character_is_mended():
    [entry] = read(Listed(checkpoint(drr=make_run(question="half \ud800"))))
    assert entry.run["question"] == "half ?"


def test_a_state_that_cannot_be_read_costs_itself(tmp_path):
    with SqliteSaver.from_conn_string(str(tmp_path / "c.sqlite")) as saver:
        play(saver, "t")
        saver.conn.execute("insert into checkpoints values ('s', '', '1', null, 'msgpack', x'c1', '{}')")
        [(place, reason)] = losses(saver)
    assert place == "thread s checkpoint 1"
    assert "torn or invalid msgpack" in reason


def test_nothing_that_data_names_is_imported_or_unpickled(tmp_path, monkeypatch):
    class Harm:
        def __reduce__(self):
            return Path.touch, (tmp_path / "harm",)

    (tmp_path / "hostile_saved.py").write_text(
        f"open({str(tmp_path / 'harm')!r}, 'w').close()\nclass Run(dict): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    object_ = ormsgpack.packb(ormsgpack.Ext(0, ormsgpack.packb(["hostile_saved", "Run", {}])))
    with SqliteSaver.from_conn_string(str(tmp_path / "c.sqlite")) as saver:
        saver.serde = JsonPlusSerializer(pickle_fallback=True)
        play(saver, "t")
        for number, cell in enumerate([("msgpack", object_), ("pickle", pickle.dumps(Harm()))]):
            saver.conn.execute(
                "insert into writes select thread_id, checkpoint_ns, checkpoint_id, 'x', '', ?, 'drr', ?, ? "
                "from checkpoints limit 1",
                (number, *cell),
            )
        assert len(losses(saver)) == 2
        assert not (tmp_path / "harm").exists()
        assert "hostile_saved" not in sys.modules
        list(saver.list(None))
        assert (tmp_path / "harm").exists(), "the trap must be one"
    del sys.modules["hostile_saved"]


class Reversed:
    """A cipher, if a weak one."""

    def encrypt(self, plaintext):
        return "reversed", plaintext[::-1]

    def decrypt(self, ciphername, ciphertext):
        assert ciphername == "reversed"
        return ciphertext[::-1]


def test_a_saver_decrypts_its_own():
    saver = play(InMemorySaver(serde=EncryptedSerializer(Reversed())), "t")
    [entry] = read(saver)
    assert entry.run["answer"] == "4"


class JsonSerializer:
    """A serializer that nobody knows."""

    def dumps_typed(self, value):
        return "text", json.dumps(value, default=str).encode()

    def loads_typed(self, data):
        return json.loads(data[1])


def test_an_unknown_serializer_is_used_as_it_is():
    [entry] = read(play(InMemorySaver(serde=JsonSerializer()), "t"))
    assert entry.run["answer"] == "4"
