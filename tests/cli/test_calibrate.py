"""drr calibrate: what it says of the log beside the numbers."""

import json
import random
import re
import sys
import warnings
from collections import Counter

import pytest
from dm.test_certificate import make_certificate
from fakes import make_attempt, make_run
from training.test_certification import behaviors

from drr_agent.cli import main
from drr_agent.cli.inputs import telling_uncertified
from drr_agent.dm.folder import load_dm, read_manifest, update_manifest
from drr_agent.errors import UncertifiedWarning
from drr_agent.runs import RunLog
from drr_agent.training.calibrate import calibrate_dm
from drr_agent.training.dataset import load_dataset
from drr_agent.training.dataset.writer import write_dataset

WARNINGS = {
    "judged": "of the calibration labels are a judge's: its errors become the DM's",
    "left out": "questions or runs are left out of the loop's numbers",
    "unexplored": "no run of their Reasoner that ended in the same way explored",
}


@pytest.fixture
def drr(monkeypatch, capsys):
    """Call the program; its standard output and standard error."""

    def call(*arguments, status=0):
        monkeypatch.setattr(sys, "argv", ["drr", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        assert (caught.value.code or 0) == status, captured.err
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


def test_what_has_no_label_tells_how_far_runs_went(calibrate, tmp_path, monkeypatch):
    given = []

    def spy(folder, rows, **settings):
        given.append({row["id"] for row in rows})
        return calibrate_dm(folder, rows, **settings)

    monkeypatch.setattr("drr_agent.cli.calibrate.calibrate_dm", spy)
    calibrate(live_runs(200, explore=0.25, labels="human:ann", unlabelled=60))
    rows = load_dataset(tmp_path / "data").rows("calibration")
    assert given == [{row["id"] for row in rows}]
    assert any(row["label"] is None for row in rows)


def test_the_table_has_the_counts_that_say_something_and_ends_with_what_is_next(calibrate, tmp_path):
    out, err = calibrate(live_runs(300, explore=0.25, labels="human:ann"))
    for name in ("loop explored", "loop censored", "loop effective questions"):
        assert name in out
    for name in ("judged share", "loop left out", "loop unlike", "loop unexplored"):
        assert name not in out, "nothing is known of it but that there is none"
    told = " ".join(out.split())
    assert told.endswith(
        f"Next: `drr replay {tmp_path / 'data'} --dm {tmp_path / 'dm'} --out replay` tells what it would have saved."
    )
    assert "effective questions carry this calibration" not in err


@pytest.fixture
def folders(drr, tmp_path):
    """A dataset of so many questions to calibrate on, and a DM that was trained on others; made by a function."""

    def make(questions):
        fractions = {"train": 0.3, "validation": 0.2, "calibration": 0.5, "test": 0.0}
        write_dataset(behaviors(2 * questions, signal="logprob_mean"), tmp_path / "data", fractions=fractions)
        drr("train", tmp_path / "data", "--out", tmp_path / "dm", "--inputs", "signals", "--quiet")
        return tmp_path / "dm", tmp_path / "data"

    return make


PROMISE = ["--target-error", "0.2", "--confidence", "0.95", "--max-turns", "4"]


def test_a_certificate_is_told_and_stored_until_the_dm_is_calibrated_anew(drr, folders):
    dm, data = folders(240)
    out, _ = drr("calibrate", dm, data, "--quiet", *PROMISE)
    (certificate,) = read_manifest(dm).certificates
    assert certificate.sentence in " ".join(out.split())
    assert "certified coverage" in out
    assert load_dm(dm).stopping.accept_at == certificate.threshold
    assert certificate.depends_on.policy == repr(load_dm(dm).stopping)
    found = json.loads(drr("calibrate", dm, data, "--quiet", "--json", *PROMISE)[0])
    assert found["certified_threshold"] == certificate.threshold
    assert found["certified_coverage_low"] < found["certified_coverage"] <= found["certified_coverage_high"]
    assert read_manifest(dm).certificates == (certificate,), "the same data, the same certificate"
    drr("calibrate", dm, data, "--quiet", "--max-turns", "4")
    assert read_manifest(dm).certificates == ()


def numbers_in(pattern, text):
    return tuple(int(number.replace(",", "")) for number in re.search(pattern, text).groups())


def test_a_refusal_says_what_was_asked_and_what_to_do(drr, folders):
    dm, data = folders(30)
    _, err = drr("calibrate", dm, data, "--quiet", "--max-turns", "4", "--target-error", "0.05", status=1)
    assert "asked was at most 5 % of the accepted answers wrong, with 95 % confidence; 32 labelled questions" in err
    fewest, likely = numbers_in(r"([\d,]+) may do if more turn out just as these, and about ([\d,]+) are likely", err)
    labels = numbers_in(r"label ([\d,]+) to ([\d,]+) more questions for the calibration split", err)
    assert labels == (fewest - 32, likely - 32)
    (share, *harvested) = numbers_in(r"gets (\d+)% of what is harvested: harvest ([\d,]+) to ([\d,]+) questions", err)
    assert harvested == [pytest.approx(100 * more / share, rel=0.02) for more in labels]
    least = float(re.search(r"would have been certified for is `--target-error (0\.\d+)`", err)[1])
    assert 0.05 < least <= 0.5
    assert "on other labels" in err


def test_few_questions_are_doubted(drr, folders):
    _, err = drr("calibrate", *folders(16), "--quiet", "--max-turns", "4")
    assert "Only 18 effective questions carry this calibration, and 30 are the fewest to believe" in err


def test_a_refusal_leaves_what_calibration_without_it_would(drr, folders):
    dm, data = folders(30)
    drr("calibrate", dm, data, "--quiet", "--max-turns", "4")
    plain = read_manifest(dm)
    out, err = drr("calibrate", dm, data, "--quiet", "--json", "--max-turns", "4", "--target-error", "0.05", status=1)
    assert "not certified:" in err
    found = json.loads(out)
    assert found["needed_questions"] >= 59
    assert found["attainable_target_error"] > 0.05
    assert read_manifest(dm) == plain


def test_a_refusal_leaves_a_certified_dm_as_it_was(drr, folders):
    dm, data = folders(30)
    drr("calibrate", dm, data, "--quiet", "--max-turns", "4", "--target-error", "0.4")
    certified = read_manifest(dm)
    assert certified.certificates
    _, err = drr("calibrate", dm, data, "--quiet", "--max-turns", "4", "--target-error", "0.05", status=1)
    assert "The DM keeps its certificate of at most 40 % wrong, and its calibration." in err
    assert "is dropped" not in err
    assert read_manifest(dm) == certified


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--drawn-at-random"], "`--drawn-at-random` is of a certificate", id="drawn for nothing"),
        pytest.param(["--target-error", "5"], "`--target-error` must be between 0 and 1, got 5; write 0.05", id="5"),
        pytest.param(["--target-error", "1"], "got 1; write 0.05 for 5 %", id="one"),
        pytest.param(["--target-error", "nan"], "got nan; write 0.05 for 5 %", id="not a number"),
        pytest.param(["--confidence", "95"], "`--confidence` must be between 0 and 1, got 95; write 0.95", id="95"),
        pytest.param(
            ["--target-error", "0.05", "--confidence", "97.5"], "got 97.5; write 0.975", id="a percentage of both"
        ),
        pytest.param(["--confidence", "0.9"], "drop it, or add `--target-error 0.05`", id="confidence in what"),
        pytest.param(["--worth", "50", "--mean-calls", "2"], "each say how long to think", id="said twice"),
        pytest.param(["--worth", "50"], "for one that has not (too few); drop it", id="a worth that nothing reads"),
        pytest.param(
            ["--mean-calls", "2", "--target-error", "0.05"], "each choose this DM's threshold", id="two thresholds"
        ),
        pytest.param(["--price-in", "1"], "are for a worth in USD, got None; drop them", id="a price of nothing"),
    ],
)
def test_what_cannot_be_or_would_be_ignored_is_refused_and_changes_nothing(drr, folders, options, said):
    dm, data = folders(30)
    update_manifest(dm, stopping=None, no_stopping="too few")
    before = read_manifest(dm)
    _, err = drr("calibrate", dm, data, *options, status=2)
    assert said in err
    assert read_manifest(dm) == before


@pytest.fixture
def learned(drr, folders):
    """A DM that has learned when to stop, with a dataset whose every attempt is metered."""
    dm, data = folders(120)
    assert read_manifest(dm).stopping is not None
    return dm, data


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--worth", "50", "--price-in", "1", "--price-out", "2"], "got '50'; drop them", id="in calls"),
        pytest.param(["--worth", "1 usd", "--price-in", "1"], "go together", id="half a price"),
        pytest.param(["--worth", "1 usd"], "or give prices: `--price-in` and `--price-out`", id="no price known"),
    ],
)
def test_a_worth_that_cannot_be_read_is_refused(drr, learned, options, said):
    _, err = drr("calibrate", *learned, "--quiet", *options, status=2)
    assert said in err


def test_a_worth_beyond_what_is_learned_is_as_much_as_was(drr, learned):
    _, err = drr("calibrate", *learned, "--quiet", "--worth", "1e9")
    assert "1e9 is 1,000,000,000 Reasoner calls; what one more turn brings is learned up to 2,000" in err
    assert read_manifest(learned[0]).stopping.worth == 2000


def test_an_older_certificate_is_dropped_and_that_is_said(drr, learned):
    update_manifest(learned[0], certificates=(make_certificate(target_error=0.3),))
    _, err = drr("calibrate", *learned, "--quiet")
    assert "the certificate of at most 30 % wrong answers is dropped" in err
    assert read_manifest(learned[0]).certificates == ()


def test_a_log_shorter_than_its_turns_is_told_with_what_to_do(drr, learned):
    rows = load_dataset(learned[1]).rows("calibration")
    longest = max(Counter(row["question_key"] for row in rows).values())
    _, err = drr("calibrate", *learned, "--quiet", "--max-turns", str(longest + 3))
    told = " ".join(err.split())
    assert f"No question of this log has more than {longest} attempts" in told
    assert f"nobody knows what turns {longest + 1} to {longest + 3} bring: use `max_turns={longest}`, or log" in told
    assert f"`drr distill --attempts {longest + 3}`" in told
    _, err = drr("calibrate", *learned, "--quiet", "--max-turns", str(longest))
    assert "No question of this log has more" not in err


def test_a_worth_in_usd_takes_prices(drr, learned):
    prices = ["--price-in", "1000000", "--price-out", "1000000"]
    found = json.loads(drr("calibrate", *learned, "--quiet", "--json", "--worth", "600 usd", *prices)[0])
    rows = load_dataset(learned[1]).rows("calibration")
    tokens = sum(row["input_tokens"] + row["output_tokens"] for row in rows) / len(rows)
    assert found["loop_worth_in_calls"] == pytest.approx(600 / tokens)


def test_a_certificate_of_a_mix_is_told_to_hold_for_no_graph(drr, folders, tmp_path):
    dm, _ = folders(30)
    rows = behaviors(240, signal="logprob_mean", seed=1)
    mixed = [{**row, "reasoner": "big" if place % 8 < 4 else "tiny"} for place, row in enumerate(rows)]
    write_dataset(
        mixed, tmp_path / "mixed", fractions=dict.fromkeys(("train", "validation", "test"), 0.0) | {"calibration": 1.0}
    )
    _, err = drr("calibrate", dm, tmp_path / "mixed", "--quiet", *PROMISE)
    assert "No graph will run certified by it" in err
    assert read_manifest(dm).certificates[0].depends_on.reasoners == ("big", "tiny")


def warn_twice():
    with telling_uncertified():
        warnings.warn("the graph runs uncertified", UncertifiedWarning, stacklevel=1)
        warnings.warn("of another kind", UserWarning, stacklevel=1)


def test_an_uncertified_graph_is_told_of_and_other_warnings_stay(capsys):
    with pytest.warns(UserWarning, match="of another kind") as caught:
        warn_twice()
    assert len(caught) == 1
    assert capsys.readouterr().err == "the graph runs uncertified\n"
