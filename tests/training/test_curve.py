import json
import random
import re
import sys
from dataclasses import replace

import pytest
from dm.tiny_models import save_backbone
from training.synthetic import make_behaviors, texts_of

from drr_agent.cli import main
from drr_agent.dm import load_dm, read_manifest
from drr_agent.errors import ConfigError, DataError, DMError
from drr_agent.training import curve as module
from drr_agent.training import power_law
from drr_agent.training.config import TrainConfig
from drr_agent.training.curve import SHARES, learning_curve, learning_curve_on
from drr_agent.training.curve_record import CURVE, Curve, read_curve
from drr_agent.training.dataset.writer import write_dataset

SIGNALS = TrainConfig(inputs="signals", progress=False)


def make_rows(questions, *, seed, signal=1.0, noises=0):
    """Attempts with a telling signal, and some that only a DM with many questions learns to leave alone."""
    generator = random.Random(seed)
    rows = make_behaviors(questions, seed=seed, signal=signal)
    return [
        {**row, "signals": {**row["signals"], **{f"noise {n}": generator.gauss(0, 1) for n in range(noises)}}}
        for row in rows
    ]


VALIDATION = make_rows(60, seed=2, noises=6)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "_DRAWS", 2)
    monkeypatch.setattr(power_law, "_RESAMPLES", 60)


@pytest.fixture
def trained(monkeypatch):
    """The folders that were trained, in order."""
    seen = []

    def train(rows, judged, *, config, out, resume):
        if not (out / "drr.json").exists():
            seen.append((out.name, {row["question_key"] for row in rows}))
        return original(rows, judged, config=config, out=out, resume=resume)

    original = module.train_dm
    monkeypatch.setattr(module, "train_dm", train)
    return seen


def test_a_curve_that_grows_says_what_more_labels_would_bring(tmp_path):
    curve = learning_curve(make_rows(60, seed=1, noises=6), VALIDATION, config=SIGNALS, out=tmp_path / "dm")
    assert [point.share for point in curve.points] == list(SHARES)
    values = [point.within_question_auroc for point in curve.points]
    assert values[0] < values[-1]
    assert (curve.points[-1].questions, curve.points[-1].attempts) == (60, 240)
    assert [point.trainings for point in curve.points] == [2, 2, 2, 1]
    assert curve.doubling.questions == 120
    assert curve.doubling.low <= curve.doubling.gain <= curve.doubling.high
    said = re.fullmatch(
        r"Twice the labelled questions \(120 in place of 60\) would likely add about ([\d.]+) to the within-question "
        r"AUROC of ([\d.]+) \(95 % interval over (\d+) validation questions: [-+][\d.]+ to \+[\d.]+.*\)\.",
        curve.summary,
    )
    assert said is not None, curve.summary
    assert float(said[1]) == pytest.approx(curve.doubling.gain, abs=1e-3)
    assert float(said[2]) == pytest.approx(values[-1], abs=1e-3)
    assert int(said[3]) == curve.mixed_questions


def test_the_last_point_is_the_dm_that_was_trained(tmp_path):
    out = tmp_path / "dm"
    curve = learning_curve(make_rows(60, seed=1), VALIDATION, config=SIGNALS, out=out)
    metrics = read_manifest(out).metrics["validation"]
    last = curve.points[-1].model_dump()
    assert {name: last[name] for name in ("within_question_auroc", "auroc", "log_loss")} == pytest.approx(
        {name: metrics[name] for name in ("within_question_auroc", "auroc", "log_loss")}
    )
    assert read_curve(out) == curve == Curve.model_validate_json((out / CURVE).read_text())
    assert load_dm(out).digest
    assert not (out / "curve").exists()


def test_smaller_shares_lie_in_larger_ones(tmp_path, trained):
    rows = make_rows(100, seed=1)[::2]
    learning_curve(rows, VALIDATION, config=SIGNALS, out=tmp_path / "dm")
    questions = dict(trained)
    for draw in range(2):
        eighth, quarter, half = (questions[f"{share:g}-{draw}"] for share in SHARES[:3])
        assert eighth < quarter < half < questions["dm"]
        assert len(half) == pytest.approx(50, abs=15)
        assert len(eighth) == pytest.approx(12, abs=9)
    assert questions["0.5-0"] != questions["0.5-1"]


def test_a_killed_curve_goes_on_where_it_stopped(tmp_path, trained, monkeypatch):
    rows, out = make_rows(40, seed=1), tmp_path / "dm"

    def killed(*arguments, **settings):
        if len(trained) == 4:
            raise KeyboardInterrupt
        return going(*arguments, **settings)

    going = module.train_dm
    monkeypatch.setattr(module, "train_dm", killed)
    with pytest.raises(KeyboardInterrupt):
        learning_curve(rows, VALIDATION, config=SIGNALS, out=out)
    assert read_curve(out) is None
    monkeypatch.setattr(module, "train_dm", going)
    with pytest.raises(ConfigError, match="a finished DM"):
        learning_curve(rows, VALIDATION, config=SIGNALS, out=out)
    curve = learning_curve(rows, VALIDATION, config=SIGNALS, out=out, resume=True)
    names = [name for name, _ in trained]
    assert sorted(names) == sorted({*names}), "nothing is trained twice"
    assert len(names) == 7
    assert learning_curve(rows, VALIDATION, config=SIGNALS, out=out, resume=True) == curve
    assert len(trained) == 7, "a finished curve is not drawn again"
    with pytest.raises(ConfigError, match="resume"):
        learning_curve(rows, VALIDATION, config=replace(SIGNALS, seed=1), out=out, resume=True)


def test_a_curve_over_texts(tmp_path):
    train, validation = make_behaviors(50, seed=1), make_behaviors(30, seed=2)
    backbone = save_backbone(tmp_path / "backbone", texts_of(train + validation), encoder=True)
    config = TrainConfig(
        backbone=backbone,
        inputs="text",
        max_length=96,
        max_steps=4,
        batch_size=16,
        learning_rate=3e-3,
        evaluations=2,
        progress=False,
    )
    curve = learning_curve(train, validation, config=config, out=tmp_path / "dm")
    assert [point.trainings for point in curve.points] == [1, 1, 1, 1]
    assert all(point.within_question_auroc is not None for point in curve.points)
    assert curve.summary
    assert not list((tmp_path / "dm").glob("c*/"))


@pytest.mark.parametrize(
    ("train", "validation", "message"),
    [
        pytest.param(
            make_rows(30, seed=1),
            make_rows(10, seed=2),
            r"Nothing can be said of more labels: \d+ validation questions have right and wrong attempts",
            id="few-to-judge-by",
        ),
        pytest.param(
            [row for row in make_rows(40, seed=1) if row["draw"] == 0],
            [row for row in VALIDATION if row["draw"] == 0],
            "Nothing can be said of more labels: 0 validation questions",
            id="one-attempt-a-question",
        ),
        pytest.param(
            make_rows(5, seed=1),
            VALIDATION,
            "fewer than three shares of the questions could be trained",
            id="few-to-learn",
        ),
    ],
)
def test_where_nothing_can_be_said_the_curve_says_so(tmp_path, train, validation, message):
    curve = learning_curve(train, validation, config=SIGNALS, out=tmp_path / "dm")
    assert re.search(message, curve.summary)
    assert (curve.law, curve.doubling) == (None, None)


def test_labels_that_nothing_tells_do_not_grow(tmp_path):
    rows = make_rows(60, seed=5, signal=0.0)
    curve = learning_curve(rows, make_rows(60, seed=6, signal=0.0), config=SIGNALS, out=tmp_path / "dm")
    assert curve.doubling is None or curve.doubling.low <= 0
    assert "may be none" in curve.summary or "Nothing shows" in curve.summary


def test_a_share_that_cannot_teach_is_skipped_and_says_why(tmp_path):
    curve = learning_curve(make_rows(5, seed=1), VALIDATION, config=SIGNALS, out=tmp_path / "dm")
    skipped = [point for point in curve.points if point.skipped is not None]
    assert skipped
    assert all(re.match("expected", point.skipped) and point.within_question_auroc is None for point in skipped)
    assert curve.points[-1].within_question_auroc is not None


def test_rows_that_teach_nothing_at_all_are_refused(tmp_path):
    with pytest.raises(DataError, match="training rows"):
        learning_curve([], VALIDATION, config=SIGNALS, out=tmp_path / "dm")


def test_several_processes_are_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="one process"):
        learning_curve(make_rows(20, seed=1), VALIDATION, config=SIGNALS, out=tmp_path / "dm")
    assert not (tmp_path / "dm").exists()


def test_a_broken_curve_is_named(tmp_path):
    (tmp_path / CURVE).write_text('{"points": ')
    with pytest.raises(DMError, match=r"(?s)learning curve at .*delete it"):
        read_curve(tmp_path)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(make_rows(80, seed=1), tmp_path_factory.mktemp("data") / "data")


def test_a_curve_on_a_dataset(tmp_path, dataset):
    curve = learning_curve_on(dataset, config=SIGNALS, out=tmp_path / "dm")
    assert curve.points[-1].attempts == len(dataset.labelled("train"))
    assert read_manifest(tmp_path / "dm").dataset_digest == dataset.digest
    assert learning_curve_on(dataset, config=SIGNALS, out=tmp_path / "dm", resume=True) == curve


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
def test_the_command_prints_the_curve(tmp_path, dataset, monkeypatch, capsys, as_json):
    out = tmp_path / "dm"
    arguments = ["train", str(dataset.path), "--out", str(out), "--inputs", "signals", "--quiet", "--curve"]
    monkeypatch.setattr(sys, "argv", ["drr", *arguments, *(["--json"] if as_json else [])])
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit) as caught:
        main()
    shown, curve = capsys.readouterr().out, read_curve(out)
    assert not caught.value.code
    if as_json:
        assert json.loads(shown)["curve"] == json.loads((out / CURVE).read_text())
    else:
        assert curve.summary in " ".join(shown.split())
        assert f"{curve.points[0].within_question_auroc:.3f}" in shown
