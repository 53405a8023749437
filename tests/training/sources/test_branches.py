"""Of what a store tells of a run: every branch at its fullest, once, from memory or from a spool."""

import json

import pytest
from fakes import make_attempt, make_run

from drr_agent.training.sources.branches import Found, Shelf, Strays, branches


def found(answers, *, judged=0, **changes):
    """A run, or a state of one, of which so many attempts have verdicts."""
    attempts = [
        make_attempt(answer, turn=turn, verdict="reject" if turn <= judged else None)
        for turn, answer in enumerate(answers.split(), start=1)
    ]
    run = make_run("r", attempts, **changes)
    return Found(answers, run, json.dumps(run).encode())


OPEN = {"stop_reason": "interrupted"}
LABELLED = {"labels": [{"turn": None, "value": "correct", "source": "human", "at": None}]}


@pytest.mark.parametrize(
    ("states", "kept"),
    [
        pytest.param([found("1"), found("1", judged=1)], [1], id="the one judged further"),
        pytest.param([found("1", judged=1), found("1")], [0], id="in any order"),
        pytest.param([found("1"), found("1")], [0], id="the first of equals"),
        pytest.param([found("1", **OPEN), found("1")], [1], id="the one that ended"),
        pytest.param([found("1"), found("1", **LABELLED)], [1], id="the labelled one"),
        pytest.param([found("1", **OPEN), found("1 2", **OPEN)], [1], id="the longer one"),
        pytest.param([found("", **OPEN), found("1"), found("1 2")], [2], id="the longest"),
        pytest.param([found("1 2"), found("1 3", **OPEN)], [0, 1], id="every branch"),
        pytest.param([found("1", **LABELLED), found("1 2")], [0, 1], id="what somebody labelled"),
    ],
)
def test_each_branch_of_a_run_is_given_at_its_fullest(states, kept):
    assert branches(states) == [states[index] for index in kept]


def said(value, at=None, *, source="human", turn=None):
    return {"turn": turn, "value": value, "source": source, "at": at}


EARLY, LATE = "2026-01-02T00:00:00Z", "2026-01-02T00:00:00-01:00"
BOB = said("incorrect", source="judge:bob")


@pytest.mark.parametrize(
    ("sightings", "labels"),
    [
        pytest.param([[said("incorrect")], [said("correct")]], [said("correct")], id="the later sighting"),
        pytest.param([[said("correct")], [said("incorrect")]], [said("incorrect")], id="also where it is the stricter"),
        pytest.param([[said(None)], [said("correct")]], [said("correct")], id="expired, then judged"),
        pytest.param([[said("correct")], [said(None)]], [said(None)], id="judged, then taken back"),
        pytest.param([[said("correct")], []], [said("correct")], id="a copy without labels"),
        pytest.param([[BOB], [said("correct")]], [BOB, said("correct")], id="of every source"),
        pytest.param([[said("correct", turn=1)], [said("incorrect")]], [said("incorrect")],
                     id="by its turn or by choice"),
        pytest.param([[said("correct", turn=1)], [said("incorrect", turn=2)]],
                     [said("correct", turn=1), said("incorrect", turn=2)], id="of every attempt"),
        pytest.param([[said("incorrect", EARLY)], [said("correct", LATE)]], [said("correct", LATE)],
                     id="the later time"),
        pytest.param([[said("correct", LATE)], [said("incorrect", EARLY)]], [said("correct", LATE)],
                     id="the later time, in any order"),
        pytest.param([[said("correct", EARLY)], [said("incorrect", EARLY)]], [said("incorrect", EARLY)],
                     id="the later sighting of one time"),
        pytest.param([[said("correct", EARLY)], [said("incorrect")]], [said("correct", EARLY)],
                     id="a time before no time"),
        pytest.param([[BOB], [said("correct"), said("incorrect")]], [BOB, said("correct"), said("incorrect")],
                     id="two of one sighting, for others to judge"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "newest first"])
def test_labels_of_all_sightings_are_one_judgment_a_source_the_latest(sightings, labels, order):
    states = [found("1", labels=held)._replace(seen=f"1f{n}") for n, held in enumerate(sightings)]
    [given] = branches(states[::order])
    assert given.run["labels"] == labels
    assert given.seen == states[-1].seen


def test_what_was_said_of_another_choice_stays_with_its_attempt():
    first = found("1 2", choice=0, labels=[said("incorrect")])
    second = found("1 2", choice=1, labels=[said("correct")])._replace(seen="1")
    [given] = branches([first, second])
    assert given.run["labels"] == [said("incorrect", turn=1), said("correct")]


def test_a_copy_with_other_labels_is_no_copy():
    states = [found("1", labels=[BOB]), found("1", labels=[said("correct")])]
    shelf = Shelf()
    for state in states:
        shelf.add(state, size=1)
    given = [entry.run["labels"] for entry in shelf.give({states[1].digest})]
    assert given == [[BOB, said("correct")]]


def stray(answers, *, seen):
    return Found("thread t", {**found(answers).run, "run_id": "", "question": ""}, b"")._replace(seen=seen)


@pytest.mark.parametrize(
    ("taken", "told", "left"),
    [
        pytest.param(["1", "1"], [], ["turn 1", "turn 1"], id="alike, of two runs"),
        pytest.param(["1", "3"], [], ["turn 1", "turn 1"], id="those of two runs"),
        pytest.param(["1 2"], [("1 2 3", "1f5")], [], id="a run tells them"),
        pytest.param(["1 2"], [("1 2", "1f3")], [], id="at the same checkpoint"),
        pytest.param(["1 2"], [("1 2", "1f2")], ["turn 1", "turn 2"], id="a run that was there before"),
        pytest.param(["1 2"], [("1", "1f5")], ["turn 1", "turn 2"], id="a run tells some"),
        pytest.param(["1 2"], [("1 4", "1f5")], ["turn 1", "turn 2"], id="another run"),
        pytest.param([""], [], [], id="no attempts"),
    ],
)
def test_attempts_without_a_start_are_named_unless_a_run_tells_them(taken, told, left):
    strays = Strays()
    for answers in taken:
        strays.add(stray(answers, seen="1f3"))
    for answers, seen in told:
        strays.tell(found(answers)._replace(seen=seen))
    entries = list(strays.entries())
    assert [entry.place for entry in entries] == [f"thread t {turn}" for turn in left]
    assert {entry.flaw.reason for entry in entries} <= {"empty run"}


@pytest.mark.parametrize("kept_bytes", [0, 1_500, 10**9], ids=["none in memory", "some", "all"])
def test_a_shelf_gives_the_same_from_memory_and_from_its_spool(kept_bytes):
    runs = [make_run(f"r{n % 7}", [make_attempt(str(n // 7))], started_at=f"2026-01-0{1 + n % 3}") for n in range(21)]
    runs[3]["attempts"][0]["deep"] = {(1, b"2"): [[[None]]]}
    shelf = Shelf(kept_bytes=kept_bytes)
    for number, run in enumerate(runs):
        shelf.add(Found(str(number), run, b"%d" % (number % 20)), size=500, group="t")
    given = list(shelf.give({b"5"}))
    shelf.close()
    order = sorted(range(20), key=lambda n: (runs[n]["started_at"], runs[n]["run_id"], n))
    assert [(entry.place, entry.run) for entry in given] == [(str(n), runs[n]) for n in order if n != 5]
