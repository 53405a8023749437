"""Of what a store tells of a run: every branch at its fullest, once, from memory or from a spool."""

import json

import pytest
from fakes import make_attempt, make_run

from drr_agent.training.sources.branches import Found, Shelf, branches


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
