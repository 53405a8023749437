"""drr replay through its entry point: a dataset, a log, what is printed and what is kept."""

import json
import random
import shutil
import sys

import pytest
from dm.test_certificate import make_certificate

from drr_agent.cli import main
from drr_agent.dm.folder import load_dm, update_manifest


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
    assert "chosen on: these very questions (in sample)" in " ".join(out.split())
    assert "look a little too good" in " ".join(out.split())
    assert "1 entries of" in err
    learned = len(load_dm(trained / "dm").seen)
    assert report["questions"] == 300 - learned


def test_prices_of_ones_own(replay, trained):
    write_log(trained / "metered.jsonl", 60, start=2000, input_tokens=1000, output_tokens=100)
    _, _, report = replay("metered.jsonl", "--map", "target=gold", "--price-in", "2.0", "--price-out", "10.0")
    point = report["policies"][1]["chosen"]["point"]
    assert (point["tokens"], point["usd"]) == pytest.approx((1100, 0.003))


def test_without_a_dm_it_is_about_voting_and_says_so(drr, tmp_path):
    log = write_log(tmp_path / "log.jsonl", 60)
    options = ("--map", "target=gold", "--max-turns", "5", "--quiet")
    code, _, err = drr("replay", log, "--out", tmp_path / "out", *options)
    assert code == 0
    report = json.loads((tmp_path / "out" / "replay.json").read_text())
    assert [policy["name"] for policy in report["policies"]] == ["adaptive", "single", "self_consistency"]
    assert "Without a DM nothing scores: this is about voting (adaptive)" in " ".join(err.split())
    assert "`--dm` replays it" in " ".join(err.split())


def test_a_policy_is_not_set_against_itself_by_default(drr, tmp_path):
    log = write_log(tmp_path / "log.jsonl", 60)
    policies = ("--policy", "self_consistency", "--policy", "single", "--policy", "adaptive:0.9")
    options = ("--map", "target=gold", "--max-turns", "5", "--quiet", *policies)
    code, _, err = drr("replay", log, "--out", tmp_path / "out", *options)
    assert code == 0
    assert "self_consistency is not set against itself" in " ".join(err.split())
    report = json.loads((tmp_path / "out" / "replay.json").read_text())
    assert [policy["name"] for policy in report["policies"]] == ["self_consistency", "adaptive", "single", "adaptive"]
    assert report["subject"] not in {row["against"] for row in report["comparisons"]}


def test_single_attempts_have_no_verdict_but_what_to_log(drr, tmp_path, trained):
    rows = [json.loads(line) for line in write_log(tmp_path / "log.jsonl", 60, start=5000).read_text().splitlines()]
    single = tmp_path / "single.jsonl"
    single.write_text("".join(json.dumps(row) + "\n" for row in rows[::5]))
    options = ("--map", "target=gold", "--dm", trained / "dm", "--quiet")
    code, out, _ = drr("replay", single, "--out", tmp_path / "out", *options)
    told = " ".join(out.split())
    assert code == 0
    assert told.startswith("Not yet: there is one attempt a question, so the log cannot tell")
    assert "oracle" not in told, "a table of policies that could not differ"
    assert "drr distill --attempts 8" in told
    assert "enough" not in told
    assert "Not yet: this log cannot tell." in (tmp_path / "out" / "replay.html").read_text()


def test_what_nobody_judged_names_the_way_to_labels(drr, tmp_path):
    log = write_log(tmp_path / "log.jsonl", 30)
    code, _, err = drr("replay", log, "--out", tmp_path / "out", "--map", "target=", "--quiet")
    assert code == 2
    assert "got 150 without a label; label some with `drr harvest" in " ".join(err.split())
    assert "then `drr label data`" in " ".join(err.split())
    drr("harvest", log, "--out", tmp_path / "data", "--map", "target=", "--quiet")
    code, _, err = drr("replay", tmp_path / "data", "--out", tmp_path / "out", "--quiet")
    assert code == 2
    assert f"label some with `drr label {tmp_path / 'data'}`" in " ".join(err.split())


def test_a_dm_that_does_not_rank_is_doubted(drr, replay, tmp_path):
    backwards = write_log(tmp_path / "backwards.jsonl", 60, start=7000)
    rows = [json.loads(line) for line in backwards.read_text().splitlines()]
    for row in rows:
        total = int(row["gold"])
        right = row["answer"] == row["gold"]
        row["rationale"] = f"{total // 2} + {total // 2} = {total + 1 if right else total}"
    backwards.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, err, report = replay(backwards, "--map", "target=gold")
    assert report["dm"]["within_question_auroc"] <= 0.5
    assert "The DM does not rank attempts: its within-question AUROC is 0." in " ".join(err.split())
    _, err, _ = replay("data")
    assert "does not rank" not in err


def test_voting_needs_no_dm(drr, tmp_path):
    log = write_log(tmp_path / "log.jsonl", 60)
    options = ("--policy", "self_consistency", "--against", "adaptive", "--map", "target=gold", "--quiet")
    code, out, _ = drr("replay", log, "--out", tmp_path / "out", "--max-turns", "5", *options)
    assert code == 0
    assert "self_consistency k=" in out


@pytest.fixture
def certified(trained, tmp_path):
    """The DM with a certificate of three turns, about another Reasoner."""
    folder = tmp_path / "certified"
    shutil.copytree(trained / "dm", folder)
    update_manifest(folder, certificates=(make_certificate(max_turns=3),))
    return folder


@pytest.mark.parametrize(
    ("options", "turns"),
    [pytest.param([], 3, id="as certified"), pytest.param(["--max-turns", "4"], 4, id="as told")],
)
def test_a_certified_dm_has_the_turns_that_were_certified(drr, trained, certified, tmp_path, options, turns):
    given = ("--out", tmp_path / "out", "--dm", certified, "--quiet", *options)
    code, out, err = drr("replay", trained / "data", *given)
    assert code == 0, err
    told = " ".join(out.split())
    assert f"at most {turns} turns" in told
    assert "Uncertified: the DM's certificate (at most 5 % of the accepted answers wrong) is not about this" in told
    assert "the attempts are by openai:gpt-4o-mini here, and by pocket there" in told
    assert ("runs have at most" in told) == bool(options)
    assert "calls, accept_at " in told
    report = json.loads((tmp_path / "out" / "replay.json").read_text())
    assert (report["max_turns"], report["certification"]["certified"]) == (turns, False)
    assert "Uncertified: " in (tmp_path / "out" / "replay.html").read_text()


def test_of_accepted_answers_it_is_said_how_many_are_wrong_where_some_are_not_accepted(replay, tmp_path):
    out, _, report = replay("data", "--policy", "consensus:0.97", "--against", "single")
    point = report["policies"][0]["chosen"]["point"]
    assert 0 < point["accepted"] < 1
    share, count = f"{100 * point['wrong_of_accepted']:.1f} %", f"{point['accepted'] * report['questions']:,.0f}"
    assert "wrong of accepted" in " ".join(out.split())
    assert f"{share} of {count}" in out
    assert f"{share} of {count}" in (tmp_path / "out" / "replay.html").read_text()
    out, _, _ = replay("data", "--policy", "consensus:0.0", "--against", "single")
    assert "wrong of accepted" not in " ".join(out.split())


def test_a_log_of_nothing_is_named(drr, tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    code, _, err = drr("replay", tmp_path / "empty.jsonl", "--out", tmp_path / "out", "--quiet")
    told = " ".join(err.split())
    assert code == 2
    assert f"expected attempts in '{tmp_path / 'empty.jsonl'}', got none" in told
    assert "drr-replay-" not in told, "a folder that is gone helps nobody"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--policy", "drr"], "'drr' needs scores, got no DM; name one with `--dm`, or replay", id="no DM"),
        pytest.param(["--policy", "adaptve"], "got 'adaptve'; did you mean `adaptive`?", id="a policy misspelled"),
        pytest.param(["--policy", "single"], "got one attempt, which every policy is set against", id="one attempt"),
        pytest.param(
            ["--policy", "majority:3", "--against", "self_consistency:3"],
            "got a policy against itself ('majority:3'); name another",
            id="a policy against itself",
        ),
        pytest.param(["--policy", "adaptive", "--mean-calls", "0.5"], "Invalid value for '--mean-calls'", id="no call"),
        pytest.param(["--policy", "magic"], "a policy must be one of drr,", id="an unknown policy"),
        pytest.param(["--policy", "adaptive", "--price-in", "1"], "go together", id="half a price"),
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
    code, _, err = drr("replay", tmp_path / "none.jsonl", "--policy", "adaptive", "--out", tmp_path / "out", "--quiet")
    assert code == 2
    assert "found nothing" in " ".join(err.split())
