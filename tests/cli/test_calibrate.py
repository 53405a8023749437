"""drr calibrate: what it says of the log beside the numbers."""

import json
import random
import sys

import pytest
from fakes import make_attempt, make_run

from drr_agent.cli import main
from drr_agent.runs import RunLog

WARNINGS = {
    "judged": "of the calibration labels are a judge's: its errors become the DM's",
    "left out": "questions or runs are left out of the loop's numbers",
    "unexplored": "runs ended at an accept, and no run of their Reasoner explored",
}


@pytest.fixture
def drr(monkeypatch, capsys):
    """Call the program; its standard output and standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["drr", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        assert not caught.value.code, captured.err
        return captured.out, " ".join(captured.err.split())

    return call


def live_runs(count, *, explore, labels, unlabelled=0):
    """Runs of two turns in use, most accepted at the first; every fourth of those explored where the graph explores."""
    generator, runs = random.Random(3), []
    for number in range(count):
        attempts = [make_attempt(str(generator.randint(1, 2)), 0.9, turn=turn, verdict=None) for turn in (1, 2)]
        for attempt in attempts:
            attempt["signals"] = {"logprob_mean": generator.gauss(1.0 if attempt["answer"] == "1" else -1.0, 1.0)}
        accepted = number % 5 > 0
        attempts[0]["verdict"] = "accept" if accepted else "reject"
        attempts[1]["verdict"] = None if accepted else "reject"
        shown = attempts if not accepted or (explore and number % 4 == 0) else attempts[:1]
        said = [
            {"turn": a["turn"], "value": "correct" if a["answer"] == "1" else "incorrect", "source": labels, "at": None}
            for a in shown
        ]
        run = make_run(f"r{number}", shown, question=f"Question {number}?", explore=explore, origin="live", target=None)
        runs.append({**run, "labels": [] if number < unlabelled else said})
    return runs


@pytest.fixture
def calibrate(drr, tmp_path):
    """Harvest runs, train, and calibrate; the numbers, or what is printed, and the warnings."""

    def call(runs, *flags):
        log = RunLog(path=tmp_path / "runs.jsonl")
        for run in runs:
            log.append(run)
        split = ["--fractions", "0.3,0.2,0.5,0"]
        drr("harvest", log.path, "--out", tmp_path / "data", "--quiet", *split)
        drr("train", tmp_path / "data", "--out", tmp_path / "dm", "--inputs", "signals", "--quiet")
        return drr("calibrate", tmp_path / "dm", tmp_path / "data", "--quiet", "--max-turns", "2", *flags)

    return call


@pytest.mark.parametrize(
    ("settings", "warned", "numbers"),
    [
        pytest.param(
            {"explore": 0.25, "labels": "human:ann"}, set(), {"judged_share": 0.0, "loop_left_out": 0}, id="explored"
        ),
        pytest.param(
            {"explore": 0.0, "labels": "human:ann"}, {"unexplored"}, {"loop_explored": 0}, id="never explored"
        ),
        pytest.param({"explore": 0.25, "labels": "judge:m"}, {"judged"}, {"judged_share": 1.0}, id="judged"),
        pytest.param({"explore": 0.25, "labels": "human:ann", "unlabelled": 90}, {"left out"}, {}, id="unlabelled"),
    ],
)
def test_what_the_log_cannot_tell_is_told(calibrate, settings, warned, numbers):
    out, err = calibrate(live_runs(300, **settings), "--json")
    found = json.loads(out)
    assert {name for name, text in WARNINGS.items() if text in err} == warned
    assert numbers.items() <= found.items()
    assert (found["loop_unexplored"] > 0) == ("unexplored" in warned)
    assert (found["loop_left_out"] > 0) == ("left out" in warned)
    assert (found["loop_explored"] > 0) == (settings["explore"] > 0)
    assert found["loop_censored"] > 0
    assert found["loop_effective_questions"] > 1


def test_the_table_has_the_counts(calibrate):
    out, _ = calibrate(live_runs(300, explore=0.25, labels="human:ann"))
    for name in ("judged share", "loop explored", "loop censored", "loop left out", "loop effective questions"):
        assert name in out
