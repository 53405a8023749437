"""What a thread tells: which checkpoints are opened, and what becomes of writes whose checkpoint is not there."""

import pytest
from fakes import make_attempt, make_run

from drr_agent.training.sources.checkpoints import read_threads
from drr_agent.training.sources.protocol import LoggedRun
from drr_agent.training.sources.stored import Cell, Checkpoint, Write, encode

RUN = make_run("in the state")


class States:
    """A store in whose every state a run has ended; it keeps count of those that are opened."""

    def __init__(self):
        self.opened = []

    def cell(self, key):
        raise AssertionError("no checkpoint here has writes")

    def state(self, key):
        self.opened.append(key)
        return {"drr": RUN}


def point(name, parent, step, source, tasks=1):
    return Checkpoint("", name, parent, step, source, name, tasks, [])


FIRST = point("first", None, -1, "input")


@pytest.mark.parametrize(
    ("checkpoints", "opened"),
    [
        pytest.param([FIRST], [], id="the first of a thread"),
        pytest.param([point("a", None, 0, "input")], ["a"], id="an input whose parents were pruned"),
        pytest.param([point("a", None, 7, "input")], ["a"], id="a later input whose parents were pruned"),
        pytest.param([point("a", None, -1, "loop")], ["a"], id="a first one that no input made"),
        pytest.param([point("a", None, -1, None)], ["a"], id="a first one that nobody knows"),
        pytest.param([point("a", None, None, "input")], ["a"], id="an input at no step"),
        pytest.param([FIRST, point("a", "first", 0, "loop")], [], id="a step"),
        pytest.param([FIRST, point("a", "first", 1, "loop")], ["a"], id="a step that was not saved"),
        pytest.param([FIRST, point("a", "first", None, "loop")], ["a"], id="a step without a number"),
        pytest.param(
            [FIRST._replace(step=None), point("a", "first", 0, "loop")], ["first", "a"], id="no number before"
        ),
        pytest.param([FIRST, point("a", "other", 0, "loop")], ["a"], id="a parent that is not there"),
        pytest.param(
            [FIRST, point("a", "first", 0, "loop"), point("b", "first", 0, "loop")], ["b"], id="a second continuation"
        ),
        *(
            pytest.param(
                [FIRST._replace(tasks=tasks), point("a", "first", 0, source)],
                opened,
                id=f"{tasks} tasks, then {source}",
            )
            for tasks, source, opened in [
                (0, "input", []),
                (2, "input", []),
                (1, "input", []),
                (0, "loop", ["a"]),
                (2, "loop", ["a"]),
                (2, "update", ["a"]),
                (1, "update", []),
            ]
        ),
    ],
)
def test_a_checkpoint_is_opened_where_the_writes_do_not_tell_everything(checkpoints, opened):
    store = States()
    found = list(read_threads([("t", checkpoints)], store))
    assert store.opened == opened
    assert [entry.run for entry in found] == [RUN] * bool(opened)


class Written:
    """A store of writes; it keeps count of those that are read."""

    def __init__(self):
        self.read = []

    def cell(self, key):
        channel, value = key
        self.read.append(channel)
        return Cell("msgpack", encode(value))

    def state(self, key):
        return {}


def attempts(answers):
    return [make_attempt(answer, turn=turn) for turn, answer in enumerate(answers.split(), start=1)]


def begun(name):
    start = {"run_id": name, "started_at": name, "question": f"{name}?", "context": ""}
    return [("drr_start", start), ("drr_attempts", [])]


def tried(answers):
    return [("drr_attempts", attempts(answers))]


def ended(name, answers):
    run = make_run(name, attempts(answers), started_at=name, question=f"{name}?")
    return [*tried(answers), ("drr", run)]


def saved(name, step, writes=(), source="loop"):
    """A checkpoint, made after the one before it."""
    parent = None if step < 0 else f"{name[0]}{int(name[1:]) - 1}"
    return Checkpoint(
        "", name, parent, step, source, name, int(bool(writes) or source == "input"), [Write(w[0], w) for w in writes]
    )


def loose(name, writes):
    """Writes whose checkpoint is not stored."""
    return Checkpoint("", name, None, None, None, None, 1, [Write(w[0], w) for w in writes], stored=False)


FIRST_ONE = saved("c1", -1, source="input")
ONE = [FIRST_ONE, saved("c2", 0, begun("one"))]

TWO_ENDS = [loose("d3", ended("two", "1")), loose("d5", tried("1"))]


@pytest.mark.parametrize(
    ("checkpoints", "told"),
    [
        pytest.param([*ONE, loose("c4", tried("1"))], ["one? 1"], id="the open tip's"),
        pytest.param([*ONE, loose("c4", tried("1")), loose("c5", tried("1 2"))], ["one? 1 2"], id="one after another"),
        pytest.param([*ONE, loose("c4", tried("1 2"))], ["one? 1 2"], id="writes between are not there"),
        pytest.param(
            [FIRST_ONE, loose("c2", begun("one")), loose("c4", tried("1"))], ["one? 1"], id="with their start"
        ),
        pytest.param(
            [*ONE, loose("c4", tried("1")), loose("c5", ended("one", "1 2")), loose("c7", tried("3"))],
            ["one? 1 2.", "- 3"],
            id="after the end",
        ),
        pytest.param([FIRST_ONE, loose("c4", tried("1 2"))], ["- 1 2"], id="no start"),
        pytest.param([loose("c4", tried("1")), loose("c5", tried("1 2"))], ["- 1 2"], id="a thread without any start"),
        pytest.param([FIRST_ONE, loose("c4", tried("1")), loose("c5", ended("one", "1"))], ["one? 1."], id="an end"),
        pytest.param(
            [*ONE, saved("c3", 1, tried("1")), loose("c5", tried("2 1"))], ["one? 1", "- 2 1"], id="of another run"
        ),
        pytest.param(
            [*ONE, saved("c3", 1, source="input"), saved("c4", 2), loose("c5", tried("1"))],
            ["one?", "- 1"],
            id="a question came since",
        ),
        pytest.param(
            [*ONE, loose("c4", begun("two")), loose("c6", tried("1"))], ["one?", "two? 1"], id="of the later start"
        ),
        pytest.param(
            [*ONE, loose("c4", ended("two", "1")), loose("c6", tried("1 2"))],
            ["one?", "two? 1.", "- 1 2"],
            id="after the end of another run",
        ),
        pytest.param(
            [*ONE, saved("d1", -1, source="input"), saved("d2", 0, begun("two")), *TWO_ENDS],
            ["one?", "two? 1.", "- 1"],
            id="an older tip is not the last one",
        ),
        pytest.param([loose("b1", tried("1")), *ONE], ["one?", "- 1"], id="older than the tip"),
        pytest.param([*ONE, loose("c4", [("drr_attempts", [7])])], ["one?", "!"], id="damage is damage"),
    ],
)
def test_writes_without_a_checkpoint_go_on_from_the_open_run_before_them(checkpoints, told):
    ordered = sorted(checkpoints, key=lambda checkpoint: not checkpoint.stored)
    found, named = [], []
    for entry in read_threads([("t", ordered)], Written()):
        if isinstance(entry, LoggedRun):
            run = entry.run
            answers = " ".join([run["question"], *(attempt["answer"] for attempt in run["attempts"])])
            found.append(answers + "." * (run["stop_reason"] != "interrupted"))
        else:
            named.append(entry)
    damaged = [entry for entry in named if entry.flaw.reason == "unreadable"]
    strays = [entry for entry in named if entry.flaw.reason == "empty run"]
    assert sorted(found) == sorted(line for line in told if line[0] not in "-!")
    assert len(strays) == sum(len(line.split()) - 1 for line in told if line[0] == "-"), strays
    assert len(damaged) == told.count("!"), damaged


def test_a_run_that_ended_is_not_read_as_an_open_one():
    store = Written()
    steps = [
        saved("c2", 0, begun("one")),
        saved("c3", 1, tried("1")),
        saved("c4", 2, ended("one", "9")),
        saved("c5", 3),
    ]
    [entry] = read_threads([("t", [FIRST_ONE, *steps])], store)
    assert [attempt["answer"] for attempt in entry.run["attempts"]] == ["9"]
    assert store.read == ["drr"]
