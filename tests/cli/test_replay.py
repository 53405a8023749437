"""drr replay through its entry point: a dataset, a log, what is printed and what is kept."""

import json
import random
import sys

import pytest

from drr_agent.cli import main


@pytest.fixture
def drr(monkeypatch, capsys):
    """Call the program; its exit status, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "160")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["drr", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return call


def write_log(path, questions, *, start=0, **changes):
    """Five draws at each question; a wrong rationale does not add up."""
    generator = random.Random(start)
    with path.open("w") as file:
        for number in range(start, start + questions):
            skill = generator.choice([0.3, 0.6, 0.9])
            for draw in range(5):
                right = generator.random() < skill
                told = 2 * number if right or generator.random() < 0.2 else 2 * number + 1
                row = {
                    "question": f"What is {number} + {number}?",
                    "rationale": f"{number} + {number} = {told}",
                    "answer": str(2 * number if right else 2 * number + generator.randint(1, 3)),
                    "gold": str(2 * number),
                    "model": "openai:gpt-4o-mini",
                    "sample_index": draw,
                }
                file.write(json.dumps({**row, **changes}) + "\n")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A log, a dataset of it, and a DM of signals, calibrated."""
    folder = tmp_path_factory.mktemp("trained")
    log, data, dm = write_log(folder / "log.jsonl", 240), folder / "data", folder / "dm"
    steps = (
        ("harvest", log, "--out", data, "--fractions", "0.3,0.1,0.3,0.3", "--map", "target=gold"),
        ("train", data, "--out", dm, "--inputs", "signals"),
        ("calibrate", dm, data, "--max-turns", "5"),
    )
    for step in steps:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["drr", *map(str, step), "--quiet"])
            with pytest.raises(SystemExit) as caught:
                main()
        assert not caught.value.code
    return folder


@pytest.fixture
def replay(drr, trained, tmp_path):
    """`drr replay` of a file in that folder; what `drr` gives, and the record."""

    def call(source, *options):
        given = ("--out", tmp_path / "out", "--dm", trained / "dm", "--max-turns", "5", "--quiet", *options)
        code, out, err = drr("replay", trained / source, *given)
        assert code == 0, err
        return out, err, json.loads((tmp_path / "out" / "replay.json").read_text())

    return call


def test_a_dataset_is_replayed_on_its_test_split(replay, tmp_path):
    out, _, report = replay("data")
    for text in (
        "questions (test)",
        "calls against single: +",
        "adaptive at",
        "oracle",
        "chosen on: calibration",
        "Use it: ",
    ):
        assert text in " ".join(out.split())
    assert "tokens and USD are of questions without such" in " ".join(out.split()), "this log has no token counts"
    assert report["split"] == "test"
    assert report["environment"]["dataset"] is not None
    assert (tmp_path / "out" / "scores.sqlite").is_file()


def test_signals_are_enough_where_texts_are_hashed(drr, replay, trained, tmp_path):
    fresh = write_log(tmp_path / "fresh.jsonl", 60, start=3000)
    hashed = tmp_path / "hashed"
    settings = ("--capture", "digest", "--fractions", "0,0,0.5,0.5", "--map", "target=gold", "--quiet")
    drr("harvest", fresh, "--out", hashed, *settings)
    _, _, report = replay(hashed)
    assert report["chosen_on"] == "calibration"
    assert report["dm"]["auroc"] > 0.7


def test_for_machines(replay):
    out, _, report = replay("data", "--json", "--policy", "consensus:0.8", "--against", "adaptive:0.9")
    assert json.loads(out) == report
    assert [policy["label"] for policy in report["policies"]] == ["consensus at 0.8", "single", "adaptive at 0.9"]
    assert report["verdict"]["word"] == "use it"


def test_a_log_is_replayed_in_sample_and_without_what_the_dm_has_learned(replay, trained):
    rows = (trained / "log.jsonl").read_text()
    fresh = write_log(trained / "fresh.jsonl", 60, start=1000).read_text()
    (trained / "all.jsonl").write_text(rows + fresh + "not json\n")
    out, err, report = replay("all.jsonl", "--map", "target=gold")
    assert "questions are left out: the DM has learned from them" in out
    assert "look a little too good" in " ".join(out.split())
    assert "1 entries of" in err
    learned = len((trained / "dm" / "questions.txt").read_text().split())
    assert report["questions"] == 300 - learned


def test_prices_of_ones_own(replay, trained):
    write_log(trained / "metered.jsonl", 60, start=2000, input_tokens=1000, output_tokens=100)
    _, _, report = replay("metered.jsonl", "--map", "target=gold", "--price-in", "2.0", "--price-out", "10.0")
    point = report["policies"][1]["chosen"]["point"]
    assert (point["tokens"], point["usd"]) == pytest.approx((1100, 0.003))


def test_voting_needs_no_dm(drr, tmp_path):
    log = write_log(tmp_path / "log.jsonl", 60)
    options = ("--policy", "self_consistency", "--against", "adaptive", "--map", "target=gold", "--quiet")
    code, out, _ = drr("replay", log, "--out", tmp_path / "out", "--max-turns", "5", *options)
    assert code == 0
    assert "self_consistency k=" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param([], "'drr' needs scores, got no DM; name one with `--dm`", id="no DM"),
        pytest.param(["--policy", "magic"], "a policy must be one of drr,", id="an unknown policy"),
        pytest.param(["--policy", "single", "--price-in", "1"], "go together", id="half a price"),
        pytest.param(["--dm", "none"], "expected a DM folder at 'none'", id="a missing DM"),
    ],
)
def test_bad_input_is_one_message(drr, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    log = write_log(tmp_path / "log.jsonl", 5)
    code, out, err = drr("replay", log, "--out", "out", "--quiet", "--map", "target=gold", *options)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert "Traceback" not in err


def test_a_missing_source_is_one_message(drr, tmp_path):
    code, _, err = drr("replay", tmp_path / "none.jsonl", "--policy", "single", "--out", tmp_path / "out", "--quiet")
    assert code == 2
    assert "found nothing" in " ".join(err.split())
